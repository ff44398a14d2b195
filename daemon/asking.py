"""One way to ask, whoever answers: the index in this process, or a daemon over gRPC."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from dejalog.daemon.client import Client
from dejalog.indexer.context import Context, read_context
from dejalog.indexer.errors import DejalogError, QueryError
from dejalog.indexer.hit import Occurrence, SearchResult
from dejalog.indexer.query import SearchRequest
from dejalog.indexer.search import Searcher, label_names

NO_REMOTE_CONTEXT = (
    "lines around a hit (-A, -B, -C) cannot be had over --server in this version; "
    "search in the data directory itself, with --data"
)


class Answerer(Protocol):
    """What the search command needs of whoever answers."""

    def search(self, request: SearchRequest, *, timeout_s: float) -> tuple[SearchResult, bool]:
        """Returns the result, and whether hits were shortened on the way; raises DejalogError."""

    def label_names(self) -> frozenset[str] | None:
        """The names of all labels, or None if they cannot be known."""

    def context(self, occurrence: Occurrence, *, before: int, after: int) -> Context:
        """Returns an occurrence's neighbours."""


class LocalAnswerer:
    """Asks the index in this process; SIGINT ends the search with what has been found."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    def search(self, request: SearchRequest, *, timeout_s: float) -> tuple[SearchResult, bool]:
        """Returns the result, partial after `timeout_s` or SIGINT."""
        with _stop_on_interrupt() as stop:
            try:
                deadline = time.monotonic() + timeout_s
                return self._searcher.search(request, deadline=deadline, stop=stop), False
            except TimeoutError as error:
                if stop.is_set():
                    raise KeyboardInterrupt from error
                raise DejalogError(
                    f"nothing was searched within {timeout_s:g} s; raise --timeout"
                ) from error

    def label_names(self) -> frozenset[str] | None:
        """The names of all labels that occur."""
        return label_names(self._searcher.states())

    def context(self, occurrence: Occurrence, *, before: int, after: int) -> Context:
        """Returns an occurrence's neighbours."""
        states = self._searcher.states()
        return read_context(states, occurrence.event_id, before=before, after=after)


class RemoteAnswerer:
    """Asks a daemon."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def search(self, request: SearchRequest, *, timeout_s: float) -> tuple[SearchResult, bool]:
        """Returns the daemon's result."""
        try:
            answer = self._client.search(request, timeout_s=timeout_s)
        except TimeoutError as error:
            raise DejalogError(f"{error}; raise --timeout") from error
        return answer.result, answer.is_cut

    def label_names(self) -> frozenset[str] | None:
        """None: the daemon is not asked for them."""
        return None

    def context(self, occurrence: Occurrence, *, before: int, after: int) -> Context:
        """Raises QueryError: this version's daemon does not send neighbours."""
        raise QueryError(NO_REMOTE_CONTEXT)


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
