"""The daemon's methods: how each one's request becomes a message, and its response a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from dejalog.client.answer import Answer, FollowUpdate
from dejalog.client.connection import DEFAULT_TIMEOUT_S
from dejalog.client.errors import RemoteError
from dejalog.client.messages import admin, events, requests, results
from dejalog.indexer.answer import (
    Context,
    DiffResult,
    HistogramResult,
    PatternsResult,
    PrecedentsResult,
    SimilarResult,
)
from dejalog.indexer.errors import QueryError
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
from dejalog.proto.v1 import search_pb2

Request = TypeVar("Request")
Result = TypeVar("Result")
Request_contra = TypeVar("Request_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Result]):
    """A method of the stubs by its name, and what is done with what it takes and gives."""

    name: str
    to_message: Callable[[Request], Any]
    from_message: Callable[[Any], Result]

    def message(self, request: Request, page_token: str = "") -> Any:
        """Returns the message of a request; raises QueryError on one that cannot be sent."""
        if getattr(request, "skip", 0):
            raise QueryError("a daemon is asked for pages by page_token: leave skip at 0")
        try:
            message = self.to_message(request)
        except (TypeError, ValueError) as error:
            raise QueryError(f"the request cannot be sent: {error}") from error
        if page_token:
            message.page_token = page_token
        return message

    def result(self, message: Any) -> Result:
        """Returns what a response carries; raises RemoteError on what only a newer one knows."""
        try:
            return self.from_message(message)
        except (KeyError, ValueError) as error:
            raise RemoteError(
                f"the daemon's answer to {self.name} has a value that this client does not know "
                f"({error}); update the client",
                code="UNKNOWN",
            ) from error

    def answer(self, message: Any) -> Answer[Result]:
        """Returns the result with what stands beside it."""
        # Those of a SimilarResponse are in the SearchResponse within.
        marked = message.result if isinstance(message, search_pb2.SimilarResponse) else message
        return Answer(
            result=self.result(message),
            is_cut=getattr(marked, "is_cut", False),
            next_page_token=getattr(marked, "next_page_token", ""),
        )


class Asking(Protocol[Request_contra, Result_co]):
    """A client's method whose answers come in pages."""

    def __call__(
        self, request: Request_contra, *, page_token: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Result_co:
        """Asks for one page."""


class AsyncAsking(Protocol[Request_contra, Result_co]):
    """The same on an event loop."""

    async def __call__(
        self, request: Request_contra, *, page_token: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Result_co:
        """Asks for one page."""


def follow_update(message: search_pb2.FollowResponse) -> FollowUpdate:
    """Returns what one response of a stream carries."""
    return FollowUpdate(
        matches=tuple(map(events.match_from_message, message.matches)),
        last_event_id=message.last_event_id,
        is_partial=message.is_partial,
    )


SEARCH: Method[SearchRequest, SearchResult] = Method(
    "Search", requests.search_to_message, results.search_from_message
)
SIMILAR: Method[SimilarRequest, SimilarResult] = Method(
    "Similar", requests.similar_to_message, results.similar_from_message
)
PRECEDENTS: Method[PrecedentsRequest, PrecedentsResult] = Method(
    "Precedents", requests.precedents_to_message, results.precedents_from_message
)
PATTERNS: Method[PatternsRequest, PatternsResult] = Method(
    "Patterns", requests.patterns_to_message, results.patterns_from_message
)
DIFF: Method[DiffRequest, DiffResult] = Method(
    "Diff", requests.diff_to_message, results.diff_from_message
)
HISTOGRAM: Method[HistogramRequest, HistogramResult] = Method(
    "Histogram", requests.histogram_to_message, results.histogram_from_message
)
CONTEXT: Method[ContextRequest, Context] = Method(
    "Context", requests.context_to_message, results.context_from_message
)
FOLLOW: Method[FollowRequest, FollowUpdate] = Method(
    "Follow", requests.follow_to_message, follow_update
)
STATUS: Method[None, IndexStatus] = Method(
    "Status", admin.status_request, admin.status_from_message
)
RETRY_DEAD_LETTERS: Method[LetterFilter, RetryReport] = Method(
    "RetryDeadLetters", admin.letter_filter_to_message, admin.retry_report_from_message
)
