"""Everything that can be asked of an index, in one place: what gRPC serves and commands ask."""

from __future__ import annotations

from typing import Protocol

from dejalog.indexer.answer import (
    Context,
    DiffResult,
    HistogramResult,
    PatternsResult,
    PrecedentsResult,
    SimilarResult,
)
from dejalog.indexer.context import read_context
from dejalog.indexer.diff import diff_patterns
from dejalog.indexer.histogram import count_events
from dejalog.indexer.hit import SearchResult
from dejalog.indexer.patience import Patience
from dejalog.indexer.patterns import list_patterns
from dejalog.indexer.precedents import find_precedents
from dejalog.indexer.request import (
    ContextRequest,
    DiffRequest,
    HistogramRequest,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
)
from dejalog.indexer.search import Searcher
from dejalog.indexer.similar import find_similar


class Answers(Protocol):
    """What answers: blocking, called from several threads at once.

    Each method returns what was found until the patience is over. Raises QueryError on a question
    that cannot be understood, LookupError on an event that is not there, TimeoutError where there
    was no time to find anything.
    """

    def search(self, request: SearchRequest, patience: Patience) -> SearchResult:
        """Returns hits."""

    def similar(self, request: SimilarRequest, patience: Patience) -> SimilarResult:
        """Returns hits that are like an event."""

    def precedents(self, request: PrecedentsRequest, patience: Patience) -> PrecedentsResult:
        """Returns earlier incidents and what followed them."""

    def patterns(self, request: PatternsRequest, patience: Patience) -> PatternsResult:
        """Returns patterns with their counts."""

    def diff(self, request: DiffRequest, patience: Patience) -> DiffResult:
        """Returns what changed between two windows."""

    def histogram(self, request: HistogramRequest, patience: Patience) -> HistogramResult:
        """Returns counts of events by time."""

    def context(self, request: ContextRequest, patience: Patience) -> Context:
        """Returns the neighbours of an event."""


class IndexAnswers:
    """Answers from the index in this process."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    def search(self, request: SearchRequest, patience: Patience) -> SearchResult:
        """Returns hits."""
        return self._searcher.search(request, patience)

    def similar(self, request: SimilarRequest, patience: Patience) -> SimilarResult:
        """Returns hits that are like an event."""
        return find_similar(self._searcher, request, patience)

    def precedents(self, request: PrecedentsRequest, patience: Patience) -> PrecedentsResult:
        """Returns earlier incidents and what followed them."""
        return find_precedents(self._searcher, request, patience)

    def patterns(self, request: PatternsRequest, patience: Patience) -> PatternsResult:
        """Returns patterns with their counts."""
        return list_patterns(self._searcher.shards, request, patience)

    def diff(self, request: DiffRequest, patience: Patience) -> DiffResult:
        """Returns what changed between two windows."""
        return diff_patterns(self._searcher.shards, request, patience)

    def histogram(self, request: HistogramRequest, patience: Patience) -> HistogramResult:
        """Returns counts of events by time."""
        return count_events(self._searcher.shards, request, patience)

    def context(self, request: ContextRequest, patience: Patience) -> Context:
        """Returns the neighbours of an event."""
        patience.check()
        states = self._searcher.states()
        return read_context(states, request.event_id, before=request.before, after=request.after)
