"""The client that waits for its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import grpc

from dejalog.client import methods
from dejalog.client.answer import Answer, FollowUpdate
from dejalog.client.connection import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_S,
    ClientTls,
    Connection,
)
from dejalog.client.errors import RemoteError, translated
from dejalog.client.methods import Asking, Method
from dejalog.client.pushed import Pushed, Receipt
from dejalog.client.retrying import NO_RETRIES, Retries
from dejalog.client.sending import NOTHING_SENT, Origin, added
from dejalog.indexer.answer import (
    Context,
    DiffResult,
    HistogramResult,
    PatternsResult,
    PrecedentsResult,
    SimilarResult,
)
from dejalog.indexer.event import Labels
from dejalog.indexer.hit import SearchResult
from dejalog.indexer.letters import LetterFilter, RetryReport
from dejalog.indexer.request import (
    ContextRequest,
    DiffRequest,
    FollowRequest,
    HistogramRequest,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
)
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2_grpc, ingest_pb2_grpc, search_pb2_grpc

_Q = TypeVar("_Q")
_R = TypeVar("_R")


class Client:
    """One connection to a daemon, made at the first call; usable from several threads.

    Every method raises QueryError on a question that is wrong, TimeoutError where no answer came
    in time, UnknownEventError on an event that is not there, and RemoteError for all of these and
    whatever else the daemon answers.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        tls: ClientTls | None = None,
        token: str = "",
        retries: int = Retries().times,
    ) -> None:
        connection = Connection(address, tls, token)
        self._address = address
        self._metadata = connection.metadata()
        self._retries = Retries(retries)
        options = connection.options()
        if tls is None:
            self._channel = grpc.insecure_channel(address, options=options)
        else:
            self._channel = grpc.secure_channel(address, tls.credentials(), options=options)
        self._search = search_pb2_grpc.SearchServiceStub(self._channel)
        self._ingest = ingest_pb2_grpc.IngestServiceStub(self._channel)
        self._admin = admin_pb2_grpc.AdminServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; running calls are cancelled."""
        self._channel.close()

    def search(
        self, request: SearchRequest, *, page_token: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Answer[SearchResult]:
        """Returns hits."""
        return self._ask(methods.SEARCH, request, timeout_s, page_token)

    def similar(
        self, request: SimilarRequest, *, page_token: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Answer[SimilarResult]:
        """Returns hits that are like an event."""
        return self._ask(methods.SIMILAR, request, timeout_s, page_token)

    def precedents(
        self,
        request: PrecedentsRequest,
        *,
        page_token: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer[PrecedentsResult]:
        """Returns earlier incidents and what followed them."""
        return self._ask(methods.PRECEDENTS, request, timeout_s, page_token)

    def patterns(
        self,
        request: PatternsRequest,
        *,
        page_token: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer[PatternsResult]:
        """Returns patterns with their counts."""
        return self._ask(methods.PATTERNS, request, timeout_s, page_token)

    def diff(
        self, request: DiffRequest, *, page_token: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Answer[DiffResult]:
        """Returns what changed between two windows."""
        return self._ask(methods.DIFF, request, timeout_s, page_token)

    def histogram(
        self, request: HistogramRequest, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Answer[HistogramResult]:
        """Returns counts of events by time."""
        return self._ask(methods.HISTOGRAM, request, timeout_s)

    def context(
        self, request: ContextRequest, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Answer[Context]:
        """Returns the neighbours of an event."""
        return self._ask(methods.CONTEXT, request, timeout_s)

    def pages(
        self,
        ask: Asking[_Q, Answer[_R]],
        request: _Q,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Iterator[Answer[_R]]:
        """Yields page after page: `client.pages(client.search, SearchRequest("pump"))`.

        A page has the request's limit, and each call its own `timeout_s`.
        """
        answer = ask(request, timeout_s=timeout_s)
        yield answer
        while answer.next_page_token:
            answer = ask(request, page_token=answer.next_page_token, timeout_s=timeout_s)
            yield answer

    def follow(
        self, request: FollowRequest, *, timeout_s: float | None = None
    ) -> Generator[FollowUpdate, None, None]:
        """Yields new events that meet the query as they come; closing the iterator ends it.

        To go on after an error, ask anew with `after_event_id` set to the last update's.
        """
        message = methods.FOLLOW.message(request)
        with self._translating():
            call = self._search.Follow(message, timeout=timeout_s, metadata=self._metadata)
            try:
                yield from map(methods.FOLLOW.result, call)
            finally:
                call.cancel()

    def append(
        self,
        source: str,
        records: Iterable[Pushed],
        *,
        partition: str = "0",
        encoding: str = "auto",
        labels: Labels = (),
        timeout_s: float | None = None,
    ) -> Receipt:
        """Sends records and returns once all are committed.

        Records go out in calls of some thousand, each with its own `timeout_s`; after an error
        the calls before it are stored. The receipt sums up all of them. Nothing is sent again by
        itself: without offsets it would be stored twice.
        """
        total = NOTHING_SENT
        for messages in Origin(source, partition, encoding, labels).calls(records):
            with self._translating():
                response = self._ingest.Append(
                    iter(messages), timeout=timeout_s, metadata=self._metadata
                )
            total = added(total, response)
        return total

    def status(self, *, timeout_s: float = 10.0) -> IndexStatus:
        """Returns the index's state."""
        call = partial(self._admin.Status, methods.STATUS.message(None))
        return methods.STATUS.result(self._call(call, timeout_s, self._retries))

    def retry_dead_letters(
        self, wanted: LetterFilter, *, timeout_s: float | None = None
    ) -> RetryReport:
        """Has the daemon decode dead letters again.

        What it stored before an error stays stored, and is not stored again by another call.
        """
        method = methods.RETRY_DEAD_LETTERS
        call = partial(self._admin.RetryDeadLetters, method.message(wanted))
        return method.result(self._call(call, timeout_s, NO_RETRIES))

    def _ask(
        self, method: Method[_Q, _R], request: _Q, timeout_s: float, page_token: str = ""
    ) -> Answer[_R]:
        call = partial(getattr(self._search, method.name), method.message(request, page_token))
        return method.answer(self._call(call, timeout_s, self._retries))

    def _call(self, call: Callable[..., Any], timeout_s: float | None, retries: Retries) -> Any:
        """Makes a call, and again where the daemon says when, until `timeout_s` is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        tries = 0
        while True:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                with self._translating():
                    return call(timeout=left_s, metadata=self._metadata)
            except RemoteError as error:
                wait_s = retries.wait_s(error, tries, deadline)
                if wait_s is None:
                    raise
            tries += 1
            time.sleep(wait_s)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise translated(error, self._address) from error
