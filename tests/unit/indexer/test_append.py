from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.append import (
    TEXT_BLOCK_EVENTS,
    Appender,
    Batch,
    PreparedEvent,
    ShardLimits,
    text_blocks,
)
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import ConfigError, DataDirectoryError
from dejalog.indexer.event import DeadLetter, Event, Kind, Position, TimeOrigin
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.quantize import dequantize_rows
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.environment import MAP_BYTES
from dejalog.indexer.store.events import open_block
from dejalog.indexer.store.view import FreshVectors, ShardView


def event(text: str, offset: int, *, time_ns: int = 0, host: str = "gw7") -> Event:
    return Event(
        kind=Kind.LOG,
        time_ns=time_ns,
        time_origin=TimeOrigin.EVENT,
        text=text,
        source="file",
        partition="1:2",
        offset=offset,
        labels=(("host", host),),
        attributes=(("pid", "42"),),
    )


def batch(*events: Event, end: int = 0, dead_letters: tuple[DeadLetter, ...] = ()) -> Batch:
    prepared = [PreparedEvent(e, mask_pattern(e.text)[0]) for e in events]
    return Batch(prepared, dead_letters, [Position("file", "1:2", end)])


def letter(offset: int) -> DeadLetter:
    return DeadLetter("not-utf8", "byte 3", b"\xff", 1, 1, "file", "1:2", offset)


def test_a_batch_is_stored_whole(tmp_path: Path, encoder: Encoder) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        first = event("pump P-101 tripped, id 8812345", 0, time_ns=50)
        other = event("pump P-101 tripped, id 9912345", 31, time_ns=20, host="gw8")
        added = appender.append(batch(first, other, end=62, dead_letters=(letter(62),)))
        assert (added.events, added.new_patterns, added.dead_letters) == (2, 1, 1)
        arrays = ShardView(directory.shards[0]).refresh()
        assert arrays.columns.times.tolist() == [50, 20]
        assert arrays.columns.patterns.tolist() == [0, 0]
        assert list(arrays.labelsets) == [(("host", "gw7"),), (("host", "gw8"),)]
        assert (arrays.counters.oldest_ns, arrays.counters.newest_ns) == (20, 50)
        assert appender.positions() == [Position("file", "1:2", 62)]
        expected = encoder.encode_patterns([mask_pattern(first.text)[0]])[0]
        assert isinstance(arrays.vectors, FreshVectors)
        stored = dequantize_rows(arrays.vectors.codes, arrays.vectors.scales)
        np.testing.assert_allclose(stored, expected.vectors, atol=0.01)


def test_a_known_pattern_is_not_stored_again_even_after_a_restart(
    tmp_path: Path, encoder: Encoder
) -> None:
    for offset in (0, 10, 20):
        with DataDirectory.open(tmp_path, is_writable=True) as directory:
            appender = Appender(directory, encoder)
            added = appender.append(batch(event("valve V-7 stuck", offset), end=offset + 10))
            assert added.new_patterns == (1 if offset == 0 else 0)
    with (
        DataDirectory.open(tmp_path, is_writable=False) as directory,
        directory.shards[0].snapshot() as snapshot,
    ):
        counters = snapshot.counters()
    assert (counters.events, counters.patterns, counters.labelsets) == (3, 1, 1)


def test_a_full_shard_is_followed_by_one_that_goes_on_where_it_ended(
    tmp_path: Path, encoder: Encoder
) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder, limits=ShardLimits(events_max=2))
        for number in range(3):
            offset = number * 10
            appender.append(
                batch(
                    event(f"alarm E-{number}", offset),
                    event("ok", offset + 5),
                    end=offset + 10,
                    dead_letters=(letter(offset),),
                )
            )
        assert [s.header.first_event for s in directory.shards] == [0, 2, 4]
        assert [s.header.first_dead_letter for s in directory.shards] == [0, 1, 2]
        assert appender.positions() == [Position("file", "1:2", 30)]


def test_a_shard_ends_long_before_its_map_is_full(tmp_path: Path, encoder: Encoder) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder, limits=ShardLimits(bytes_max=100_000))
        for number in range(6):
            noise = "".join(chr(0x4E00 + (number * 7919 + i * 31) % 9000) for i in range(9_000))
            appender.append(batch(event(noise, number), end=number + 1))
        assert len(directory.shards) > 1
        assert all(shard.bytes_on_disk() < 400_000 for shard in directory.shards)


def test_age_ends_a_shard_but_not_an_empty_one(tmp_path: Path, encoder: Encoder) -> None:
    now = [1_000_000_000]
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        limits = ShardLimits(age_max_s=60)
        appender = Appender(directory, encoder, limits=limits, clock=lambda: now[0])
        now[0] += 3600 * 10**9
        appender.append(batch(event("first", 0)))
        assert len(directory.shards) == 1
        appender.append(batch(event("second", 1)))
        assert len(directory.shards) == 2


def test_a_shard_that_has_grown_old_is_left_alone_without_another_event(
    tmp_path: Path, encoder: Encoder
) -> None:
    now = [1_000_000_000]
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        limits = ShardLimits(age_max_s=60)
        appender = Appender(directory, encoder, limits=limits, clock=lambda: now[0])
        now[0] += 3600 * 10**9
        assert not appender.roll_if_due()
        appender.append(batch(event("first", 0), end=7))
        assert appender.roll_if_due()
        assert not appender.roll_if_due()
        assert [s.header.first_event for s in directory.shards] == [0, 1]
        assert appender.positions() == [Position("file", "1:2", 7)]


def test_a_full_shard_of_nothing_is_not_rolled_again_and_again(
    tmp_path: Path, encoder: Encoder
) -> None:
    """With shard.bytes_max below the size of an empty shard each look would have made another."""
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder, limits=ShardLimits(bytes_max=1))
        assert not appender.roll_if_due()
        assert len(directory.shards) == 1


def test_sealing_begins_a_new_shard_only_behind_something(tmp_path: Path, encoder: Encoder) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        assert not appender.seal()
        appender.append(batch(dead_letters=(letter(0),)))
        assert appender.seal()
        assert not appender.seal()
        assert [s.header.first_dead_letter for s in directory.shards] == [0, 1]


def test_an_index_of_another_model_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    class Other:
        fingerprint = "another"
        dim, pooled_dim = encoder.dim, encoder.pooled_dim

    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        Appender(directory, encoder)
        with pytest.raises(DataDirectoryError, match="another is loaded"):
            Appender(directory, Other())


def test_positions_alone_can_be_stored(tmp_path: Path, encoder: Encoder) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        appender.append(Batch([], [], [Position("file", "9:9", 5, "state")]))
        assert appender.positions() == [Position("file", "9:9", 5, "state")]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_texts_come_back_from_their_blocks(texts: list[str]) -> None:
    events = [event(text, number) for number, text in enumerate(texts)]
    read = []
    for first, block in text_blocks(events):
        opened = open_block(first, block)
        assert first == len(read)
        read += [opened.text(i) for i in range(len(opened))]
    assert read == texts


def test_blocks_are_bounded_in_events_and_bytes() -> None:
    many = [event("x", n) for n in range(TEXT_BLOCK_EVENTS * 2 + 1)]
    assert [first for first, _ in text_blocks(many)] == [0, 512, 1024]
    large = [event("x" * 100_000, n) for n in range(3)]
    assert [first for first, _ in text_blocks(large)] == [0, 1, 2]


def test_a_label_that_is_new_in_every_event_ends_the_shard(
    tmp_path: Path, encoder: Encoder
) -> None:
    """A label such as a trace id made one label set an event, all of them kept in memory."""
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder, limits=ShardLimits(labelsets_max=2))
        for number in range(5):
            appender.append(batch(event("ok", number, host=f"id-{number}"), end=number + 1))
        assert [s.header.first_event for s in directory.shards] == [0, 2, 4]
        assert len(appender._labelsets) == 1


def test_a_shard_may_not_come_near_the_end_of_its_map() -> None:
    """A bound on bytes above LMDB's map was taken, and the writer ended with MDB_MAP_FULL."""
    assert ShardLimits(bytes_max=MAP_BYTES // 2).bytes_max == MAP_BYTES // 2
    with pytest.raises(ConfigError, match=f"at most {MAP_BYTES // 2}"):
        ShardLimits(bytes_max=MAP_BYTES // 2 + 1)
