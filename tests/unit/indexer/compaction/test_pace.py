from __future__ import annotations

from threading import Event

import pytest

from dejalog.indexer.compaction.pace import Pace, StoppedError


class Waits(Event):
    """Notes how long it was waited for; `now` moves with it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        self.now += timeout
        return self.is_set()


def test_so_many_bytes_take_their_time_and_no_longer() -> None:
    waits = Waits()
    pace = Pace(1000, waits, clock=lambda: waits.now)
    pace.spend(500)
    pace.spend(250)
    assert waits.waited == [0.5, 0.25]
    waits.now += 10
    pace.spend(1000)
    # The ten seconds in which nothing was written are not saved up.
    assert waits.waited[-1] == 1.0


def test_work_between_two_steps_counts_as_waiting() -> None:
    waits = Waits()
    pace = Pace(1000, waits, clock=lambda: waits.now)
    waits.wait = lambda timeout=None: False  # type: ignore[method-assign]
    pace.spend(1000)
    waits.now += 0.75
    waited: list[float | None] = []
    waits.wait = lambda timeout=None: bool(waited.append(timeout))  # type: ignore[method-assign]
    pace.spend(100)
    assert waited == [pytest.approx(0.35)]


def test_without_a_bound_nothing_waits() -> None:
    waits = Waits()
    Pace(0, waits).spend(1 << 40)
    assert waits.waited == []


def test_a_stop_is_an_error_at_the_next_step() -> None:
    stop = Event()
    pace = Pace(0, stop)
    pace.check()
    stop.set()
    with pytest.raises(StoppedError, match="as it was before"):
        pace.check()
    with pytest.raises(StoppedError):
        pace.spend(1)
