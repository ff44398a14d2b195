from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dejalog.daemon.asking import LocalAnswerer, RemoteAnswerer
from dejalog.indexer.errors import DejalogError, QueryError
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Occurrence, SearchResult
from dejalog.indexer.query import SearchRequest

PARTIAL = SearchResult((), 10, 10, 1, 1, 0.1, is_partial=True)
REQUEST = SearchRequest("pump")


class SlowSearcher:
    """Searches until it is stopped; a person presses Ctrl-C meanwhile."""

    def __init__(self, *, interrupts: int, has_found: bool = True) -> None:
        self._interrupts = interrupts
        self._has_found = has_found

    def search(
        self, request: SearchRequest, *, deadline: float, stop: threading.Event
    ) -> SearchResult:
        for number in range(self._interrupts):
            os.kill(os.getpid(), signal.SIGINT)
            # Two signals that wait together are one; another thread may be the one to get them.
            assert stop.wait(10)
            if number:
                time.sleep(10)
        if not self._has_found:
            raise TimeoutError
        return PARTIAL


class ExpiredSearcher:
    def search(self, request: SearchRequest, **_: Any) -> SearchResult:
        raise TimeoutError


@pytest.fixture(autouse=True)
def _interrupts_are_not_ignored() -> Iterator[None]:
    """A shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def local(searcher: Any) -> LocalAnswerer:
    return LocalAnswerer(searcher)


def test_an_interrupt_ends_the_search_with_what_was_found() -> None:
    before = signal.getsignal(signal.SIGINT)
    result, _ = local(SlowSearcher(interrupts=1)).search(REQUEST, timeout_s=10)
    assert result is PARTIAL
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_ends_the_command() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        local(SlowSearcher(interrupts=2)).search(REQUEST, timeout_s=10)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_before_anything_was_found_ends_the_command() -> None:
    with pytest.raises(KeyboardInterrupt):
        local(SlowSearcher(interrupts=1, has_found=False)).search(REQUEST, timeout_s=10)


def test_a_timeout_without_any_result_says_what_to_do() -> None:
    with pytest.raises(DejalogError, match=r"within 0\.5 s; raise --timeout"):
        local(ExpiredSearcher()).search(REQUEST, timeout_s=0.5)


def test_a_thread_other_than_the_main_one_may_ask() -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            local(ExpiredSearcher()).search(REQUEST, timeout_s=1)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert [type(failure) for failure in failures] == [DejalogError]


class ExpiredClient:
    def search(self, request: SearchRequest, *, timeout_s: float) -> None:
        raise TimeoutError("the daemon at nowhere did not answer in time")


def test_a_daemon_that_does_not_answer_is_an_error() -> None:
    answerer = RemoteAnswerer(ExpiredClient())
    with pytest.raises(DejalogError, match="raise --timeout"):
        answerer.search(REQUEST, timeout_s=1)
    assert answerer.label_names() is None


def test_a_daemon_cannot_be_asked_for_neighbours() -> None:
    event = Event(Kind.LOG, 0, TimeOrigin.EVENT, "text", "file", "0", 0)
    with pytest.raises(QueryError, match="--data"):
        RemoteAnswerer(ExpiredClient()).context(Occurrence(1, event), before=1, after=1)
