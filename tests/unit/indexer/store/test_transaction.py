from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.store.layout import Coded, Counters, DamagedValueError, digest, key_u32
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.shard import Shard, new_header

HEADER = new_header(
    shard=1,
    created_ns=5,
    first_event=0,
    first_dead_letter=0,
    encoder_fingerprint="model",
    mask_version=1,
    dim=4,
    pooled_dim=2,
)


@pytest.fixture
def shard(tmp_path: Path):
    opened = Shard.create(tmp_path / "000001", HEADER, [])
    yield opened
    opened.close()


@given(st.lists(st.lists(st.text(), max_size=150, unique=True), max_size=3))
@settings(max_examples=20, deadline=None)
def test_every_pattern_is_found_by_its_number(tmp_path_factory, batches: list[list[str]]) -> None:
    shard = Shard.create(tmp_path_factory.mktemp("shard") / "000001", HEADER, [])
    texts = list(dict.fromkeys(text for batch in batches for text in batch))
    split = len(texts) // 2
    for first, part in ((0, texts[:split]), (split, texts[split:])):
        with shard.write() as write:
            write.put_patterns(first, part, [digest(text) for text in part])
    with shard.snapshot() as snapshot:
        assert [snapshot.pattern(number) for number in range(len(texts))] == texts
        assert [snapshot.find_pattern(digest(text)) for text in texts] == list(range(len(texts)))
        assert dict(snapshot.pattern_digests()) == {digest(t): n for n, t in enumerate(texts)}
        if texts:
            with pytest.raises(DamagedValueError, match=f"pattern {len(texts)} is missing"):
                snapshot.pattern(len(texts))
    shard.close()


def test_values_travel_between_shards_as_they_are_stored(shard: Shard, tmp_path: Path) -> None:
    other = Shard.create(tmp_path / "000002", HEADER, [], Tier.COMPACTED)
    with shard.write() as write:
        for number in range(5):
            write.put_labelset(number, [("n", str(number))])
    with shard.snapshot() as snapshot, other.write() as write:
        for key, value in snapshot.sealed(b"labelsets", key_u32(2)):
            write.put_sealed(b"labelsets", key, value)
    with other.snapshot() as snapshot:
        assert [number for number, _ in snapshot.labelsets_from(0)] == [2, 3, 4]
    with pytest.raises(AssertionError, match="already reaches 3"), other.write() as write:
        write.put_sealed(b"labelsets", key_u32(3), b"")
    other.close()


def test_what_a_shard_does_not_have_is_named(shard: Shard) -> None:
    match = "lacks the key b'coded'"
    with pytest.raises(CorruptShardError, match=match), shard.snapshot() as snapshot:
        snapshot.coded()
    match = "texts has no block for 7"
    with pytest.raises(CorruptShardError, match=match), shard.snapshot() as snapshot:
        snapshot.texts_start(7)


def test_a_section_is_given_its_name_once(tmp_path: Path) -> None:
    made = Shard.create(tmp_path / "000002", HEADER, [], Tier.COMPACTED)
    coded = Coded(2, 8, 1, 0.5, 0.25, 0.125, blocks=(), sources=(1, 2))
    with made.write() as write:
        write.put_section("times", np.arange(3))
        write.put_coded(coded)
        write.put_counters(Counters(events=3))
    with pytest.raises(AssertionError, match="already"), made.write() as write:
        write.put_section("times", np.arange(4))
    with made.snapshot() as snapshot:
        assert snapshot.section("times") == np.arange(3).tobytes()
        assert snapshot.coded() == coded
    made.close()
