from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.counts import pattern_tally
from dejalog.indexer.counts.pattern_tally import (
    ChosenPatterns,
    merge_patterns,
    names_of,
    numbers_of,
    read_texts,
    tally_patterns,
)
from dejalog.indexer.counts.tally import CountedShard, Part
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.store.layout import digest

LETTERS = "abcdefgh"


@pytest.fixture
def held(make_index):
    maker = make_index(ShardLimits(events_max=8))
    maker.add(*(f"{letter} one" for letter in LETTERS))
    maker.add("h one", "z one", "a one", "a one")
    with OpenShards(maker.directory, maker.encoder.fingerprint).held() as held:
        yield held


def parts(held) -> list[Part]:
    counted = [CountedShard(shard, None) for shard in held.shards]
    return [Part(each, tally_patterns(each, lambda: None)) for each in counted]


def test_a_shard_counts_by_its_own_numbers(held) -> None:
    tally = parts(held)[1].tally
    assert tally.numbers.tolist() == [0, 1, 2]
    assert tally.counts.tolist() == [1, 1, 2]
    assert tally.oldest.tolist() == [9 * 10**9, 10 * 10**9, 11 * 10**9]
    assert tally.newest.tolist() == [9 * 10**9, 10 * 10**9, 12 * 10**9]


@pytest.mark.parametrize("walked", [0, 1, 1000])
def test_names_and_numbers_lead_to_each_other(
    held, monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    """Looked up one by one, or all of them walked over."""
    monkeypatch.setattr(pattern_tally, "_WALKED_PER_LOOKUP", walked)
    shard = held.shards[0]
    with shard.reading() as snapshot:
        names = names_of(snapshot, shard.state, np.array([5, 2]))
        assert [name.ljust(16, b"\0") for name in names.tolist()] == [
            digest("f one"),
            digest("c one"),
        ]
        asked = np.array([digest("z one"), *names.tolist(), digest("?")], "S16")
        assert numbers_of(snapshot, shard.state, asked).tolist() == [-1, 5, 2, -1]


def test_patterns_of_all_shards_are_brought_together(held) -> None:
    found = parts(held)
    merged = merge_patterns([(part.shard, part.tally.numbers) for part in found])
    assert merged.size == 9
    texts = read_texts(merged, np.arange(9))
    assert sorted(texts) == [f"{letter} one" for letter in [*LETTERS, "z"]]
    names = [name.ljust(16, b"\0") for name in merged.names(np.arange(9)).tolist()]
    assert names == [digest(text) for text in texts]
    counts = np.zeros(9, np.int64)
    for part, member in zip(found, merged.members, strict=True):
        counts[member.merged] += part.tally.counts
    assert dict(zip(texts, counts.tolist(), strict=True)) == {
        **{f"{letter} one": 1 for letter in LETTERS}, "a one": 3, "h one": 2, "z one": 1,
    }  # fmt: skip


def test_of_chosen_patterns_the_newest_event_is_the_example(held) -> None:
    found = parts(held)
    merged = merge_patterns([(part.shard, part.tally.numbers) for part in found])
    texts = read_texts(merged, np.arange(9))
    chosen = np.array([texts.index("h one"), texts.index("a one"), texts.index("b one")])
    reading = ChosenPatterns(found, merged, chosen)
    seen: list[tuple[int, int]] = []
    reading.read(
        lambda chunk: seen.extend(zip(chunk.slots.tolist(), chunk.rows.tolist(), strict=True))
    )
    assert sorted(seen) == [(0, 0), (0, 7), (1, 0), (1, 2), (1, 3), (2, 1)]
    assert [each.event_id for each in reading.examples()] == [8, 11, 1]
    assert [each.event.text for each in reading.examples()] == ["h one", "a one", "b one"]


def test_no_shard_has_no_pattern() -> None:
    merged = merge_patterns([])
    assert (merged.size, merged.members) == (0, ())
    assert read_texts(merged, np.zeros(0, np.int64)) == []
