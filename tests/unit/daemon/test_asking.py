"""Whoever answers, the same questions are asked and the same errors are raised."""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dejalog.client import Answer, LateError, UnknownEventError
from dejalog.daemon.asking import LocalAnswerer, RemoteAnswerer, open_answerer
from dejalog.daemon.flags import add_common_flags
from dejalog.daemon.remote import add_server_flags
from dejalog.indexer.errors import DejalogError
from dejalog.indexer.hit import SearchResult
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import (
    ContextRequest,
    DiffRequest,
    HistogramRequest,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
    Window,
)

PARTIAL = SearchResult((), 10, 10, 1, 1, 0.1, is_partial=True)
REQUEST = SearchRequest("pump")
QUESTIONS: dict[str, Any] = {
    "search": REQUEST,
    "similar": SimilarRequest(7),
    "precedents": PrecedentsRequest("pump"),
    "patterns": PatternsRequest(),
    "diff": DiffRequest(Window(0, 1), Window(1, 2)),
    "histogram": HistogramRequest(),
    "context": ContextRequest(7),
}


class SlowAnswers:
    """Searches until it is stopped; a person presses Ctrl-C meanwhile."""

    def __init__(self, *, interrupts: int, has_found: bool = True) -> None:
        self._interrupts = interrupts
        self._has_found = has_found

    def search(self, request: SearchRequest, patience: Patience) -> SearchResult:
        assert patience.stop is not None
        for number in range(self._interrupts):
            os.kill(os.getpid(), signal.SIGINT)
            # Two signals that wait together are one; another thread may be the one to get them.
            assert patience.stop.wait(10)
            if number:
                time.sleep(10)
        if not self._has_found:
            raise TimeoutError
        return PARTIAL


class Named:
    """Returns which method was asked what, or raises an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def asked(request: Any, *patience: Patience, timeout_s: float = 0.0) -> Any:
            if self._error is not None:
                raise self._error
            return (name, request) if patience else Answer((name, request), is_cut=True)

        return asked


@pytest.fixture(autouse=True)
def _interrupts_are_not_ignored() -> Iterator[None]:
    """A shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def local(answers: Any) -> LocalAnswerer:
    return LocalAnswerer(answers, lambda: frozenset({"site"}))


def remote(client: Any) -> RemoteAnswerer:
    return RemoteAnswerer(client)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_reaches_the_method_of_its_name(name: str) -> None:
    request = QUESTIONS[name]
    here = getattr(local(Named()), name)(request, timeout_s=5)
    assert here == Answer((name, request), is_cut=False)
    there = getattr(remote(Named()), name)(request, timeout_s=5)
    assert there == Answer((name, request), is_cut=True)


def test_an_interrupt_ends_the_search_with_what_was_found() -> None:
    before = signal.getsignal(signal.SIGINT)
    answer = local(SlowAnswers(interrupts=1)).search(REQUEST, timeout_s=10)
    assert answer.result is PARTIAL
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_ends_the_command() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        local(SlowAnswers(interrupts=2)).search(REQUEST, timeout_s=10)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_before_anything_was_found_ends_the_command() -> None:
    with pytest.raises(KeyboardInterrupt):
        local(SlowAnswers(interrupts=1, has_found=False)).search(REQUEST, timeout_s=10)


def test_a_timeout_without_any_result_says_what_to_do() -> None:
    with pytest.raises(DejalogError, match=r"within 0\.5 s; raise --timeout"):
        local(Named(TimeoutError())).search(REQUEST, timeout_s=0.5)
    late = LateError("the daemon at x did not answer in time", code="DEADLINE_EXCEEDED")
    with pytest.raises(DejalogError, match="did not answer in time; raise --timeout"):
        remote(Named(late)).search(REQUEST, timeout_s=0.5)


def test_an_event_that_is_not_there_is_named_and_a_mistake_of_ours_is_not_taken_for_it() -> None:
    missing = LookupError("event 7 is not in this index")
    with pytest.raises(UnknownEventError, match="event 7 is not in this index"):
        local(Named(missing)).similar(SimilarRequest(7), timeout_s=5)
    with pytest.raises(KeyError):
        local(Named(KeyError("x"))).similar(SimilarRequest(7), timeout_s=5)


def test_only_an_index_in_this_process_can_tell_the_names_of_its_labels() -> None:
    assert local(Named()).label_names() == {"site"}
    assert remote(Named()).label_names() is None


def test_a_thread_other_than_the_main_one_may_ask() -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            local(Named(TimeoutError())).search(REQUEST, timeout_s=1)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert [type(failure) for failure in failures] == [DejalogError]


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    add_server_flags(parser)
    return parser.parse_args(arguments)


def test_with_a_server_it_is_asked_and_the_data_directory_is_not_opened(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with open_answerer(parse("--server", "127.0.0.1:1", "--data", missing)) as answerer:
        assert isinstance(answerer, RemoteAnswerer)


def test_without_a_server_the_data_directory_answers(make_index: Any) -> None:
    maker = make_index()
    event = maker.event("pump trips", labels=(("site", "lodz"),))
    maker.add(event)
    maker.directory.close()
    with open_answerer(parse("--data", str(maker.path))) as answerer:
        found = answerer.search(SearchRequest("pump"), timeout_s=30)
        assert [hit.pattern for hit in found.result.hits] == ["pump trips"]
        number = found.result.hits[0].occurrences[0].event_id
        assert answerer.context(ContextRequest(number), timeout_s=30).result.event.event == event
        assert answerer.label_names() == {"site"}
