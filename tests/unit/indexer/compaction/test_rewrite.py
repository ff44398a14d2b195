from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.append import text_blocks
from dejalog.indexer.compaction.rewrite import (
    DIGEST_BYTES,
    HOLLOW_BLOCK_EVENTS,
    Source,
    Window,
    dead_letters,
    hollowed,
    join_columns,
    kept_window,
    new_patterns,
    new_texts,
    number_labelsets,
    number_patterns,
    pattern_texts,
    read_source,
)
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.store import layout
from dejalog.indexer.store.events import open_block
from dejalog.indexer.store.layout import TextBlock
from dejalog.indexer.store.manifest import Deletion

names = st.integers(0, 8).map(lambda n: bytes([n]) * DIGEST_BYTES)
shard = st.lists(
    st.tuples(names, st.booleans(), st.booleans()), max_size=12, unique_by=lambda t: t[0]
)


@given(st.lists(shard, min_size=1, max_size=4))
def test_every_pattern_in_use_gets_one_number_and_its_text_from_one_place(
    shards: list[list[tuple[bytes, bool, bool]]],
) -> None:
    digests = [
        np.frombuffer(b"".join(d for d, _, _ in s), np.uint8).reshape(-1, DIGEST_BYTES)
        for s in shards
    ]
    used = [np.array([u for _, u, _ in s], np.bool_) for s in shards]
    preferred = [np.array([p for _, _, p in s], np.bool_) for s in shards]
    numbering = number_patterns(digests, used, preferred)
    expected = {d for s in shards for d, is_used, _ in s if is_used}
    assert numbering.count == len(expected)
    order = [
        (index, int(number)) for index, taken in enumerate(numbering.taken) for number in taken
    ]
    assert order == sorted(order)
    by_new = [shards[index][number][0] for index, number in order]
    assert set(by_new) == expected
    for index, each in enumerate(shards):
        for number, (name, is_used, is_preferred) in enumerate(each):
            if is_used:
                new = int(numbering.maps[index][number])
                assert by_new[new] == name
                at, taken = order[new]
                assert shards[at][taken][1]
                assert shards[at][taken][2] or not is_preferred


def event(number: int, text: str, source: str = "a.log") -> Event:
    return Event(
        Kind.LOG, number, TimeOrigin.EVENT, text, source, "1", 7 * number, number, (), (("n", "v"),)
    )


@given(
    st.lists(
        st.tuples(st.text(max_size=5), st.sampled_from(["a", "b"]), st.booleans()), min_size=1
    ),
    st.data(),
)
def test_a_hollow_event_leaves_nothing_and_the_others_stay(
    rows: list[tuple[str, str, bool]], data: st.DataObject
) -> None:
    events = [
        event(n, t.encode("utf-8", "replace").decode(), s) for n, (t, s, _) in enumerate(rows)
    ]
    ((_, block),) = text_blocks(events)
    skipped = data.draw(st.integers(0, len(rows) - 1))
    kept = np.array([k for _, _, k in rows[skipped:]], np.bool_)
    opened = open_block(50 + skipped, hollowed(50, block, kept, skipped=skipped))
    assert len(opened) == len(kept)
    for at, is_kept in enumerate(kept.tolist()):
        old = events[skipped + at]
        found = (
            opened.text(at),
            opened.origin(at),
            int(opened.offsets[at]),
            int(opened.subs[at]),
            opened.block.time_origins[at],
            opened.block.attributes[at],
        )
        gone = ("", ("", ""), 0, 0, 0, [])
        there = (old.text, (old.source, "1"), old.offset, old.sub, 1, [("n", "v")])
        assert found == (there if is_kept else gone)
    named = {origin for origin in opened.block.origins if origin != ("", "")}
    assert named == {(s, "1") for _, s, k in rows[skipped:] if k}


def source_of(
    maker,
    index: int = 0,
    *,
    deletions: Sequence[Deletion] = (),
    expire_before_ns: int | None = None,
) -> Source:
    return read_source(maker.directory.shards[index], deletions, expire_before_ns)


def numbered(sources):
    preferred = [np.ones(s.counters.patterns, np.bool_) for s in sources]
    return number_patterns([s.digests for s in sources], [s.used for s in sources], preferred)


def test_two_shards_are_put_together_in_the_order_of_their_events(make_index) -> None:
    maker = make_index()
    host = (("host", "gw1"),)
    maker.add("pump on", maker.event("pump off", labels=host), is_indexed=False)
    maker.appender.seal()
    maker.add(maker.event("valve on", labels=host), "pump on", is_indexed=False)
    sources = [source_of(maker, 0), source_of(maker, 1)]
    patterns = numbered(sources)
    labelsets, labelset_numbers = number_labelsets(sources)
    window = kept_window(sources)
    assert window == Window(0, 4)
    columns = join_columns(sources, window, patterns, labelset_numbers)
    texts = [t for _, some, _ in new_patterns(sources, patterns) for t in some]
    assert texts == ["pump on", "pump off", "valve on"]
    assert columns.patterns.tolist() == [0, 1, 2, 0]
    assert [labelsets[n] for n in columns.labelsets.tolist()] == [(), host, host, ()]
    assert columns.times.tolist() == [2 * 10**9, 10**9, 3 * 10**9, 4 * 10**9]
    assert all(source.is_whole for source in sources)


def test_what_is_deleted_or_expired_is_not_kept_and_ends_are_trimmed(make_index) -> None:
    maker = make_index()
    maker.add(*["pump on"] * 3, "pump off", *["pump on"] * 2, is_indexed=False)
    middle = Deletion(1, 0, 6, since_ns=4 * 10**9, until_ns=5 * 10**9)
    source = source_of(maker, deletions=[middle], expire_before_ns=2 * 10**9)
    assert source.is_kept.tolist() == [False, True, True, False, True, True]
    assert not source.is_whole
    window = kept_window([source])
    assert window == Window(1, 6)
    patterns, (labelsets, labelset_numbers) = numbered([source]), number_labelsets([source])
    assert patterns.count == 1
    assert labelsets == [()]
    columns = join_columns([source], window, patterns, labelset_numbers)
    assert columns.kinds.tolist() == [1, 1, 0, 1, 1]
    ((key, value),) = list(new_texts([source], window))
    assert layout.number_of(key) == 1
    opened = open_block(1, layout.unseal_compressed(value, TextBlock))
    assert [opened.text(n) for n in range(5)] == ["pump on", "pump on", "", "pump on", "pump on"]


def test_text_blocks_without_a_change_are_copied_byte_for_byte(make_index) -> None:
    maker = make_index()
    maker.add("pump on", is_indexed=False)
    maker.add("pump off", is_indexed=False)
    source = source_of(maker)
    with source.shard.snapshot() as snapshot:
        stored = list(snapshot.sealed(b"texts"))
    assert list(new_texts([source], kept_window([source]))) == stored
    assert len(stored) == 2


def test_rows_that_no_shard_has_are_filled_in(make_index) -> None:
    maker = make_index()
    maker.add("pump on", is_indexed=False)
    source = source_of(maker)
    window = Window(0, 2 * HOLLOW_BLOCK_EVENTS + 1)
    blocks = [
        (layout.number_of(key), open_block(0, layout.unseal_compressed(value, TextBlock)))
        for key, value in new_texts([source], window)
    ]
    assert [(first, len(block)) for first, block in blocks] == [
        (0, 1),
        (1, HOLLOW_BLOCK_EVENTS),
        (1 + HOLLOW_BLOCK_EVENTS, HOLLOW_BLOCK_EVENTS),
    ]
    assert blocks[1][1].origin(5) == ("", "")


def test_pattern_texts_are_found_by_number_in_any_block(make_index) -> None:
    maker = make_index()
    maker.add(*[f"pump in hall {chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(150)])
    wanted = np.array([0, 63, 64, 149])
    texts = list(pattern_texts(maker.directory.shards[0], wanted))
    assert texts == ["pump in hall AA", "pump in hall CL", "pump in hall CM", "pump in hall FT"]
    assert list(pattern_texts(maker.directory.shards[0], wanted[:0])) == []


def test_dead_letters_are_copied_as_they_are(make_index) -> None:
    maker = make_index()
    maker.add("pump on")
    assert list(dead_letters(source_of(maker))) == []
