"""One way to ask, whoever answers: the index in this process, or a daemon over gRPC.

Every question is a request of `indexer/request.py` and gets the answer of `indexer/answer.py` that
belongs to it. Both ways raise the same errors: QueryError on a question that cannot be understood,
UnknownEventError on an event that is not there, and DejalogError where nothing was found in time.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from dejalog.client import Answer, Client, UnknownEventError
from dejalog.daemon.flags import load_settings
from dejalog.daemon.remote import open_client
from dejalog.indexer.answer import (
    Context,
    DiffResult,
    HistogramResult,
    PatternsResult,
    PrecedentsResult,
    SimilarResult,
)
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
)

if TYPE_CHECKING:  # The index is loaded only where it is asked in this process.
    from dejalog.daemon.answers import Answers

_Request = TypeVar("_Request")
_Result = TypeVar("_Result")


class Answerer(Protocol):
    """Whoever answers; an answer is cut where a daemon shortened it to fit into one message."""

    def search(self, request: SearchRequest, *, timeout_s: float) -> Answer[SearchResult]:
        """Returns hits."""

    def similar(self, request: SimilarRequest, *, timeout_s: float) -> Answer[SimilarResult]:
        """Returns hits that are like an event."""

    def precedents(
        self, request: PrecedentsRequest, *, timeout_s: float
    ) -> Answer[PrecedentsResult]:
        """Returns earlier incidents and what followed them."""

    def patterns(self, request: PatternsRequest, *, timeout_s: float) -> Answer[PatternsResult]:
        """Returns patterns with their counts."""

    def diff(self, request: DiffRequest, *, timeout_s: float) -> Answer[DiffResult]:
        """Returns what changed between two windows."""

    def histogram(self, request: HistogramRequest, *, timeout_s: float) -> Answer[HistogramResult]:
        """Returns counts of events by time."""

    def context(self, request: ContextRequest, *, timeout_s: float) -> Answer[Context]:
        """Returns the neighbours of an event."""

    def label_names(self) -> frozenset[str] | None:
        """The names of all labels, or None if they cannot be known."""


class LocalAnswerer:
    """Asks the index in this process; SIGINT ends a question with what has been found."""

    def __init__(self, answers: Answers, names: Callable[[], frozenset[str]]) -> None:
        self._answers = answers
        self._names = names

    def search(self, request: SearchRequest, *, timeout_s: float) -> Answer[SearchResult]:
        """Returns hits, partial after `timeout_s` or SIGINT."""
        return _answered(self._answers.search, request, timeout_s)

    def similar(self, request: SimilarRequest, *, timeout_s: float) -> Answer[SimilarResult]:
        """Returns hits that are like an event."""
        return _answered(self._answers.similar, request, timeout_s)

    def precedents(
        self, request: PrecedentsRequest, *, timeout_s: float
    ) -> Answer[PrecedentsResult]:
        """Returns earlier incidents and what followed them."""
        return _answered(self._answers.precedents, request, timeout_s)

    def patterns(self, request: PatternsRequest, *, timeout_s: float) -> Answer[PatternsResult]:
        """Returns patterns with their counts."""
        return _answered(self._answers.patterns, request, timeout_s)

    def diff(self, request: DiffRequest, *, timeout_s: float) -> Answer[DiffResult]:
        """Returns what changed between two windows."""
        return _answered(self._answers.diff, request, timeout_s)

    def histogram(self, request: HistogramRequest, *, timeout_s: float) -> Answer[HistogramResult]:
        """Returns counts of events by time."""
        return _answered(self._answers.histogram, request, timeout_s)

    def context(self, request: ContextRequest, *, timeout_s: float) -> Answer[Context]:
        """Returns the neighbours of an event."""
        return _answered(self._answers.context, request, timeout_s)

    def label_names(self) -> frozenset[str] | None:
        """The names of all labels that occur."""
        return self._names()


class RemoteAnswerer:
    """Asks a daemon."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def search(self, request: SearchRequest, *, timeout_s: float) -> Answer[SearchResult]:
        """Returns hits."""
        with _late_answers_explained():
            return self._client.search(request, timeout_s=timeout_s)

    def similar(self, request: SimilarRequest, *, timeout_s: float) -> Answer[SimilarResult]:
        """Returns hits that are like an event."""
        with _late_answers_explained():
            return self._client.similar(request, timeout_s=timeout_s)

    def precedents(
        self, request: PrecedentsRequest, *, timeout_s: float
    ) -> Answer[PrecedentsResult]:
        """Returns earlier incidents and what followed them."""
        with _late_answers_explained():
            return self._client.precedents(request, timeout_s=timeout_s)

    def patterns(self, request: PatternsRequest, *, timeout_s: float) -> Answer[PatternsResult]:
        """Returns patterns with their counts."""
        with _late_answers_explained():
            return self._client.patterns(request, timeout_s=timeout_s)

    def diff(self, request: DiffRequest, *, timeout_s: float) -> Answer[DiffResult]:
        """Returns what changed between two windows."""
        with _late_answers_explained():
            return self._client.diff(request, timeout_s=timeout_s)

    def histogram(self, request: HistogramRequest, *, timeout_s: float) -> Answer[HistogramResult]:
        """Returns counts of events by time."""
        with _late_answers_explained():
            return self._client.histogram(request, timeout_s=timeout_s)

    def context(self, request: ContextRequest, *, timeout_s: float) -> Answer[Context]:
        """Returns the neighbours of an event."""
        with _late_answers_explained():
            return self._client.context(request, timeout_s=timeout_s)

    def label_names(self) -> frozenset[str] | None:
        """None: the daemon is not asked for them."""
        return None


@contextmanager
def open_answerer(parsed: argparse.Namespace) -> Iterator[Answerer]:
    """Opens what the flags name: a daemon with --server, otherwise the data directory."""
    client = open_client(parsed)
    if client is not None:
        with client:
            yield RemoteAnswerer(client)
        return
    from dejalog.daemon.answers import IndexAnswers
    from dejalog.daemon.engine import open_searcher
    from dejalog.indexer.search import label_names

    with open_searcher(load_settings(parsed).settings) as (_, searcher):
        yield LocalAnswerer(IndexAnswers(searcher), lambda: label_names(searcher.states()))


def _answered(
    ask: Callable[[_Request, Patience], _Result], request: _Request, timeout_s: float
) -> Answer[_Result]:
    with _stop_on_interrupt() as stop:
        try:
            return Answer(ask(request, Patience(time.monotonic() + timeout_s, stop)))
        except LookupError as error:
            if type(error) is not LookupError:
                raise  # A KeyError is a fault of ours, not of the question.
            raise UnknownEventError(str(error)) from error
        except TimeoutError as error:
            if stop.is_set():
                raise KeyboardInterrupt from error
            raise DejalogError(
                f"nothing was searched within {timeout_s:g} s; raise --timeout"
            ) from error


@contextmanager
def _late_answers_explained() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise DejalogError(f"{error}; raise --timeout") from error


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Turns the first SIGINT into an event; the second one ends the command as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def interrupted(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
