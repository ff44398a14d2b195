from __future__ import annotations

import random

import numpy as np
import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.arrivals import Arrivals, EventBlock
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.exact import whole_words
from dejalog.indexer.filter import Condition
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.retain import delete_events

RULES = CompactRules(write_bytes_per_s=0, merge_factor=2)


def follow(maker) -> Arrivals:
    return Arrivals(OpenShards(maker.directory, maker.encoder.fingerprint))


def read(arrivals: Arrivals, after: int) -> tuple[list[tuple[int, str]], int]:
    """Numbers and texts of the events above a number, and the last one looked at."""
    found = []
    with arrivals.reading() as reading:
        for block in reading.blocks(after):
            there = np.flatnonzero(block.is_there).tolist()
            found += [(block.first + index, block.event(index).text) for index in there]
            after = block.last
    return found, after


def compact(maker) -> None:
    maker.appender.seal()
    maker.index_words()
    compact_directory(maker.directory, lambda: maker.encoder, RULES)


def test_events_come_once_and_in_order_however_shards_are_rolled_and_compacted(make_index) -> None:
    maker = make_index(ShardLimits(events_max=7))
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    arrivals, after, written = follow(maker), -1, []
    seen: list[tuple[int, str]] = []
    for step in range(25):
        texts = [f"pump {step} part {part}" for part in range(chance.randrange(6))]
        written += texts
        maker.add(*texts, is_indexed=False)
        if chance.random() < 0.5:
            new, after = read(arrivals, after)
            seen += new
        if step in (8, 17):
            compact(maker)
    new, after = read(arrivals, after)
    assert [text for _, text in seen + new] == written
    assert [number for number, _ in seen + new] == list(range(len(written)))
    assert read(arrivals, after) == ([], after)


def test_deleted_events_do_not_come_before_nor_after_compaction(make_index) -> None:
    maker = make_index()
    labels = [(("host", "gw1" if n % 2 else "gw2"),) for n in range(6)]
    maker.add(*(maker.event(f"line {n}", labels=label) for n, label in enumerate(labels)))
    delete_events(maker.directory, [Condition("host", "=", "gw1")])
    wanted = [(n, f"line {n}") for n in (0, 2, 4)]
    assert read(follow(maker), -1)[0] == wanted
    compact(maker)
    assert read(follow(maker), -1)[0] == wanted
    assert read(follow(maker), 2)[0] == wanted[2:]


def test_what_is_gone_shows_as_a_gap_before_the_next_block(make_index) -> None:
    maker = make_index(ShardLimits(events_max=2))
    for n in range(6):
        maker.add(f"line {n}")
    first = maker.directory.shards[0].header.shard
    with maker.directory.compacting():
        maker.directory.replace_shards([first], None)
    with follow(maker).reading() as reading:
        assert next(reading.blocks(-1)).first == 2
        assert reading.newest == 5


def test_an_empty_index_has_no_newest_event(make_index) -> None:
    with follow(make_index()).reading() as reading:
        assert reading.newest == -1
        assert list(reading.blocks(-1)) == []
        assert reading.label_names == frozenset()


def test_only_the_first_event_of_a_pattern_is_new_in_every_shard(make_index) -> None:
    maker = make_index(ShardLimits(events_max=3))
    texts = ["a b", "c d", "a b", "a b", "e f", "c d", "g h", "g h", "a b"]
    for text in texts:
        maker.add(text)

    def new_ones(arrivals: Arrivals, after: int = -1) -> list[int]:
        found = []
        with arrivals.reading() as reading:
            for block in reading.blocks(after):
                flags = block.are_new(np.arange(len(block)))
                found += [block.first + int(i) for i in np.flatnonzero(flags)]
        return found

    arrivals = follow(maker)
    assert new_ones(arrivals) == [0, 1, 4, 6]
    assert new_ones(follow(maker), 5) == [6]
    maker.add("i j", "a b", "i j")
    assert new_ones(arrivals, 8) == [9]
    compact(maker)
    assert new_ones(follow(maker)) == [0, 1, 4, 6, 9]


def test_strings_are_found_as_quoted_strings_are(make_index) -> None:
    maker = make_index()
    texts = ["E-1034 at pump", "e-1034", "E-10345", "XE-1034", "Stra\u00dfe 7", "", "pump\0E-1034"]
    events = [maker.event(text) for text in texts]
    events.append(maker.event("see fields", attributes=(("code", "E-1034"), ("x", "pump"))))
    maker.add(*events)
    with follow(maker).reading() as reading:
        (block,) = reading.blocks(-1)
        every = np.ones(len(block), np.bool_)
        for needle in ("E-1034", "pump", "STRASSE", "stra\u00dfe", "7", "see fields"):
            expected = [
                any(whole_words(needle).search(t) for t in (e.text, *(v for _, v in e.attributes)))
                for e in events
            ]
            assert block.holding(needle, every).tolist() == expected, needle
        none = np.zeros(len(block), np.bool_)
        assert not block.holding("pump", none).any()


@pytest.mark.parametrize("start", [0, 3, 5])
def test_a_block_begins_where_it_is_asked_to(make_index, start: int) -> None:
    maker = make_index()
    maker.add(*(f"line {n} of it" for n in range(8)))
    with follow(maker).reading() as reading:
        block: EventBlock = next(reading.blocks(start - 1))
        assert (block.first, block.last, len(block)) == (start, 7, 8 - start)
        assert [block.event(i).text for i in range(len(block))] == [
            f"line {n} of it" for n in range(start, 8)
        ]
        assert block.patterns[block.pattern_index].tolist() == block.columns.patterns.tolist()


def test_blocks_are_shared_by_those_at_the_same_place(make_index) -> None:
    maker = make_index()
    maker.add("line")
    with follow(maker).reading() as reading:
        assert next(reading.blocks(-1)) is next(reading.blocks(-1))
