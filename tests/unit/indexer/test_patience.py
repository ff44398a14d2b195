from __future__ import annotations

import threading
import time

import pytest

from dejalog.indexer.patience import ENDLESS, Patience


def test_without_a_bound_there_is_no_end() -> None:
    assert not ENDLESS.is_over
    ENDLESS.check()


def test_a_deadline_that_has_passed_ends_it() -> None:
    now = time.monotonic()
    assert not Patience(now + 3600).is_over
    late = Patience(now - 1)
    assert late.is_over
    with pytest.raises(TimeoutError, match="the deadline passed"):
        late.check()


def test_a_stop_ends_it_at_once_whatever_the_deadline() -> None:
    stop = threading.Event()
    patience = Patience(time.monotonic() + 3600, stop)
    assert not patience.is_over
    thread = threading.Thread(target=stop.set)
    thread.start()
    thread.join()
    assert patience.is_over
    with pytest.raises(TimeoutError):
        patience.check()
