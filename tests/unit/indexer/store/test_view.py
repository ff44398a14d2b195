from __future__ import annotations

from pathlib import Path

import numpy as np

from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.view import ShardArrays, ShardView


def prepared(number: int) -> PreparedEvent:
    text = f"motor M-{number % 7} stopped"
    event = Event(
        Kind.LOG, number, TimeOrigin.EVENT, text, "s", "p", number, 0, (("n", str(number % 3)),)
    )
    return PreparedEvent(event, text)


def assert_same(first: ShardArrays, other: ShardArrays) -> None:
    assert first.counters == other.counters
    assert first.labelsets == other.labelsets
    for name in ("offsets", "codes", "scales", "pooled"):
        np.testing.assert_array_equal(getattr(first, name), getattr(other, name))
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
        codes, times = before.codes.copy(), before.columns.times.copy()
        for number in range(4, 40):
            appender.append(Batch([prepared(number)], [], []))
        assert len(view.refresh().columns.times) == 40
        np.testing.assert_array_equal(before.codes, codes)
        np.testing.assert_array_equal(before.columns.times, times)
