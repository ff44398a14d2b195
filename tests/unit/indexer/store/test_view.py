from __future__ import annotations

from pathlib import Path

import numpy as np

from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.store.compacted import CodedVectors
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.view import FreshVectors, ShardArrays, ShardView


def prepared(number: int) -> PreparedEvent:
    text = f"motor M-{number % 7} stopped"
    event = Event(
        Kind.LOG, number, TimeOrigin.EVENT, text, "s", "p", number, 0, (("n", str(number % 3)),)
    )
    return PreparedEvent(event, text)


def assert_same(first: ShardArrays, other: ShardArrays) -> None:
    assert first.counters == other.counters
    assert first.labelsets == other.labelsets
    np.testing.assert_array_equal(first.newest, other.newest)
    for name in ("offsets", "codes", "scales", "pooled_codes", "pooled_scales"):
        np.testing.assert_array_equal(getattr(first.vectors, name), getattr(other.vectors, name))
    for name in ("times", "patterns", "labelsets", "kinds"):
        np.testing.assert_array_equal(getattr(first.columns, name), getattr(other.columns, name))


def test_a_view_that_followed_equals_one_that_starts_now(tmp_path: Path, encoder: Encoder) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        following = ShardView(directory.shards[0])
        number = 0
        for size in (0, 1, 3, 0, 8, 2):
            appender.append(Batch([prepared(number + i) for i in range(size)], [], []))
            number += size
            assert_same(following.refresh(), ShardView(directory.shards[0]).refresh())


def test_a_state_stays_as_it_was_while_the_view_grows(tmp_path: Path, encoder: Encoder) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        view = ShardView(directory.shards[0])
        appender.append(Batch([prepared(n) for n in range(4)], [], []))
        before = view.refresh()
        assert isinstance(before.vectors, FreshVectors)
        codes, times = before.vectors.codes.copy(), before.columns.times.copy()
        newest = before.newest.copy()
        for number in range(4, 40):
            appender.append(Batch([prepared(number)], [], []))
        assert len(view.refresh().columns.times) == 40
        np.testing.assert_array_equal(before.vectors.codes, codes)
        np.testing.assert_array_equal(before.newest, newest)
        np.testing.assert_array_equal(before.columns.times, times)


def test_the_view_of_a_compacted_shard_is_what_was_written(tmp_path: Path, make_compacted) -> None:
    written = make_compacted(tmp_path / "000001", [[3, 1], [2]], events=12)
    shard = Shard.open_compacted(tmp_path / "000001")
    view = ShardView(shard)
    arrays = view.refresh()
    assert view.refresh() is arrays
    assert isinstance(arrays.vectors, CodedVectors)
    assert arrays.counters == written.counters
    assert [len(block) for block in arrays.vectors.blocks] == [2, 1]
    assert arrays.label_names == {"host"}
    assert arrays.deleted is not None
    np.testing.assert_array_equal(np.flatnonzero(arrays.deleted), [11])
    for pattern in range(3):
        expected = np.flatnonzero(written.columns.patterns[:11] == pattern)
        np.testing.assert_array_equal(arrays.rows_of(pattern), expected)
        assert arrays.newest[pattern] == written.columns.times[expected].max()
    shard.close()


def test_rows_and_newest_of_a_fresh_pattern_are_what_its_events_say(
    tmp_path: Path, encoder: Encoder
) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        view = ShardView(directory.shards[0])
        for numbers in ([5, 3, 12], [26, 19], []):
            appender.append(Batch([prepared(number) for number in numbers], [], []))
            view.refresh()
        arrays = view.refresh()
        # Times are the numbers; the pattern is that of the number modulo 7.
        assert [arrays.rows_of(pattern).tolist() for pattern in range(2)] == [[0, 2, 3, 4], [1]]
        assert arrays.newest.tolist() == [26, 3]
