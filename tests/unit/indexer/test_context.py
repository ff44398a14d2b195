from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.answer import Context
from dejalog.indexer.append import text_blocks
from dejalog.indexer.context import read_context
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.layout import Columns, Counters, Vectors, digest
from dejalog.indexer.store.shard import new_header
from dejalog.indexer.store.view import ShardArrays, ShardView

Origins = list[tuple[str, str]]
A, B = ("file", "a"), ("file", "b")


def events_of(origins: Origins, size: int = 1) -> list[Event]:
    return [
        Event(
            kind=Kind.LOG,
            time_ns=1000 - number,  # Newer lines have older times: order must not come from them.
            time_origin=TimeOrigin.EVENT,
            text=f"line {number}".ljust(size, "."),
            source=source,
            partition=partition,
            offset=number * 10,
            labels=(("host", "gw7"),),
        )
        for number, (source, partition) in enumerate(origins)
    ]


@contextmanager
def stored(
    folder: Path, shards: list[Origins], *, batch: int = 1000, size: int = 1, gap: int = 0
) -> Iterator[list[ShardArrays]]:
    """Shards of one pattern with these events, committed `batch` at a time."""
    with DataDirectory.open(folder, is_writable=True) as directory:
        first = 0
        for number, origins in enumerate(shards, 1):
            header = new_header(
                shard=number, created_ns=0, first_event=first, first_dead_letter=0,
                encoder_fingerprint="none", mask_version=1, dim=4, pooled_dim=4,
            )  # fmt: skip
            shard = directory.add_shard(header, ())
            events = events_of(origins, size)
            for start in range(0, len(events), batch):
                part = events[start : start + batch]
                with shard.write() as write:
                    if start == 0:
                        write.put_patterns(0, ["line"], [digest("line")])
                        write.put_vectors(0, one_vector())
                        write.put_labelset(0, (("host", "gw7"),))
                    write.put_columns(first + start, columns_of(part))
                    for at, block in text_blocks(part):
                        write.put_texts(first + start + at, block)
                    write.put_counters(Counters(start + len(part), 1, 1, 1, 0, 0, 0, 1000))
            first += len(events) + gap
        yield [ShardView(shard).refresh() for shard in directory.shards]


def columns_of(events: list[Event]) -> Columns:
    zeros = np.zeros(len(events), np.uint32)
    times = np.array([event.time_ns for event in events], np.int64)
    return Columns(times, zeros, zeros, np.ones(len(events), np.uint8))


def one_vector() -> Vectors:
    return Vectors(
        lengths=np.ones(1, np.uint32),
        codes=np.ones((1, 4), np.int8),
        scales=np.ones(1, np.float32),
        pooled_codes=np.ones((1, 4), np.int8),
        pooled_scales=np.ones(1, np.float32),
    )


def numbers(context: Context) -> tuple[list[int], list[int]]:
    return [o.event_id for o in context.before], [o.event_id for o in context.after]


def test_neighbours_are_those_of_the_same_source_in_its_order(tmp_path: Path) -> None:
    with stored(tmp_path, [[A, B, A, B, B, A, B, A]]) as states:
        context = read_context(states, 5, before=2, after=2)
        assert numbers(context) == ([0, 2], [7])
        assert context.is_complete
        occurrence = context.after[0]
        assert occurrence.event.text == "line 7"
        assert (occurrence.event.source, occurrence.event.partition) == A
        assert occurrence.event.labels == (("host", "gw7"),)


def test_partitions_of_one_source_are_told_apart(tmp_path: Path) -> None:
    kafka = [("kafka", "0"), ("kafka", "1"), ("file", "0")]
    with stored(tmp_path, [kafka * 3]) as states:
        assert numbers(read_context(states, 4, before=9, after=9)) == ([1], [7])


def test_context_crosses_shards(tmp_path: Path) -> None:
    with stored(tmp_path, [[A, B], [B, A, A], [], [B, A]]) as states:
        assert numbers(read_context(states, 3, before=3, after=3)) == ([0], [4, 6])


def test_the_context_goes_on_behind_numbers_whose_events_are_gone(tmp_path: Path) -> None:
    """Compaction trims deleted events off a shard's ends; the lines behind them are neighbours."""
    with stored(tmp_path, [[A, A], [A, A]], gap=5) as states:
        assert numbers(read_context(states, 7, before=9, after=9)) == ([0, 1], [8])


def test_deleted_events_are_no_neighbours_and_have_no_context(tmp_path: Path) -> None:
    with stored(tmp_path, [[A, B, A, A], [A, A]]) as whole:
        deleted = np.array([False, False, True, False])
        states = [replace(whole[0], deleted=deleted), whole[1]]
        assert numbers(read_context(states, 3, before=9, after=9)) == ([0], [4, 5])
        assert numbers(read_context(states, 0, before=9, after=2)) == ([], [3, 4])
        with pytest.raises(LookupError, match="not any more"):
            read_context(states, 2, before=1, after=1)


def test_nothing_is_read_where_nothing_is_asked_for(tmp_path: Path) -> None:
    with stored(tmp_path, [[A, A, A]]) as states:
        assert numbers(read_context(states, 1, before=0, after=1)) == ([], [2])
        assert numbers(read_context(states, 1, before=1, after=0)) == ([0], [])


def test_an_unknown_event_is_an_error(tmp_path: Path) -> None:
    with stored(tmp_path, [[A]]) as states:
        for number in (-1, 1):
            with pytest.raises(LookupError, match="not in this index"):
                read_context(states, number, before=1, after=1)


def test_a_rare_source_is_not_looked_for_without_end(tmp_path: Path) -> None:
    # Three lines of 60 kB are more than a text block, so each block here holds two lines.
    origins = [A, *[B] * 20, A, *[B] * 20, A]
    with stored(tmp_path, [origins], size=60_000) as states:
        far = read_context(states, 21, before=1, after=1, blocks_max=4)
        assert numbers(far) == ([], [])
        assert not far.is_complete
        assert numbers(read_context(states, 21, before=1, after=1, blocks_max=20)) == ([0], [42])


def test_the_end_of_a_source_within_the_bound_is_complete(tmp_path: Path) -> None:
    with stored(tmp_path, [[A, B, A]], batch=1) as states:
        context = read_context(states, 1, before=5, after=5, blocks_max=2)
        assert numbers(context) == ([], [])
        assert context.is_complete


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_context_is_what_a_filtered_list_has_around_it(
    tmp_path_factory: pytest.TempPathFactory, rng: random.Random
) -> None:
    origins = [("s", "0"), ("s", "1"), ("t", "0")]
    shards = [rng.choices(origins, k=rng.randrange(0, 40)) for _ in range(3)]
    flat = [origin for shard in shards for origin in shard]
    if not flat:
        return
    at, before, after = rng.randrange(len(flat)), rng.randrange(6), rng.randrange(6)
    same = [n for n, origin in enumerate(flat) if origin == flat[at]]
    place = same.index(at)
    with stored(tmp_path_factory.mktemp("c"), shards, batch=rng.randrange(1, 20)) as states:
        context = read_context(states, at, before=before, after=after)
    assert numbers(context) == (
        same[max(0, place - before) : place],
        same[place + 1 : place + 1 + after],
    )
