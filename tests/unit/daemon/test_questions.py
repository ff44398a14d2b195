"""Each method asks for its page and tells whether there is another one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dejalog.client import limits
from dejalog.daemon import questions
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.indexer.answer import (
    Change,
    Context,
    Coverage,
    DiffResult,
    HistogramResult,
    PatternChange,
    PatternsResult,
    PatternSummary,
    Precedent,
    PrecedentsResult,
    Series,
    SimilarResult,
)
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Hit, Occurrence, Scores, SearchResult
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.proto.v1 import search_pb2

COVERAGE = Coverage(1, 1, 1, 0.5)
EVENT = Occurrence(7, Event(Kind.LOG, 1, TimeOrigin.EVENT, "text", "s", "0", 0))
WINDOW = search_pb2.Window(since_unix_nano=1, until_unix_nano=2)


def hit(number: int) -> Hit:
    return Hit(f"{number}", "", Scores(1, 1, 1, 1, 1), 1, 1, 1, (), ())


def precedent(number: int) -> Precedent:
    return Precedent("", f"{number}", "s", 1, 2, 1.0, 1, (), (), ())


def summary(number: int) -> PatternSummary:
    return PatternSummary(f"{number}", "", 1, 1, 1, 1, (), EVENT)


def change(number: int) -> PatternChange:
    return PatternChange(f"{number}", "", Change.MORE, 1, 1, 1.0, 0.5, 1, EVENT)


@dataclass
class Numbers:
    """Answers with what stands at a question's page among `total` results, numbered from 0."""

    total: int
    asked: list[Any] = field(default_factory=list)

    def _page(self, make: Callable[[int], Any], request: Any) -> tuple[Any, ...]:
        self.asked.append(request)
        end = min(request.skip + request.limit, self.total)
        return tuple(make(number) for number in range(request.skip, end))

    def search(self, request: Any, patience: Patience) -> SearchResult:
        return SearchResult(self._page(hit, request), 1, 1, 1, 1, 0.1, is_partial=False)

    def similar(self, request: Any, patience: Patience) -> SimilarResult:
        return SimilarResult(EVENT, self.search(request, patience))

    def precedents(self, request: Any, patience: Patience) -> PrecedentsResult:
        return PrecedentsResult(None, self._page(precedent, request), self.total, COVERAGE)

    def patterns(self, request: Any, patience: Patience) -> PatternsResult:
        return PatternsResult(self._page(summary, request), self.total, 1, 1, COVERAGE)

    def diff(self, request: Any, patience: Patience) -> DiffResult:
        return DiffResult(self._page(change, request), self.total, 9, 1, 1, COVERAGE)

    def histogram(self, request: Any, patience: Patience) -> HistogramResult:
        self.asked.append(request)
        return HistogramResult((Series("", (1, 2)),), 1, 1, COVERAGE)

    def context(self, request: Any, patience: Patience) -> Context:
        self.asked.append(request)
        return Context(EVENT, (), (EVENT,))


PAGED: dict[str, tuple[Any, Any, Callable[[Any], list[str]]]] = {
    "search": (
        questions.search,
        search_pb2.SearchRequest(query="x"),
        lambda m: [each.pattern_id for each in m.hits],
    ),
    "similar": (
        questions.similar,
        search_pb2.SimilarRequest(event_id=7),
        lambda m: [each.pattern_id for each in m.result.hits],
    ),
    "precedents": (
        questions.precedents,
        search_pb2.PrecedentsRequest(query="x"),
        lambda m: [each.asset for each in m.precedents],
    ),
    "patterns": (
        questions.patterns,
        search_pb2.PatternsRequest(),
        lambda m: [each.pattern_id for each in m.patterns],
    ),
    "diff": (
        questions.diff,
        search_pb2.DiffRequest(before=WINDOW, after=WINDOW),
        lambda m: [each.pattern_id for each in m.changes],
    ),
}


def token_of(message: Any) -> str:
    marked = message.result if isinstance(message, search_pb2.SimilarResponse) else message
    return str(marked.next_page_token)


def all_pages(name: str, answers: Numbers, limit: int) -> list[list[str]]:
    ask, message, names = PAGED[name]
    request = type(message)()
    request.CopyFrom(message)
    request.limit = limit
    pages: list[list[str]] = []
    while True:
        response = ask(request)(answers, ENDLESS)
        pages.append(names(response))
        request.page_token = token_of(response)
        if not request.page_token:
            return pages


@pytest.mark.parametrize("name", PAGED)
@pytest.mark.parametrize("total", [0, 1, 4, 5, 8])
def test_pages_hold_every_result_once_and_the_last_one_leads_nowhere(name: str, total: int) -> None:
    pages = all_pages(name, Numbers(total), limit=4)
    assert [each for page in pages for each in page] == [str(n) for n in range(total)]
    assert len(pages) == max(1, -(-total // 4))


@pytest.mark.parametrize("name", PAGED)
def test_all_pages_together_end_at_the_bound(name: str) -> None:
    pages = all_pages(name, Numbers(5_000), limit=99)
    assert sum(map(len, pages)) == limits.LIMIT_MAX
    assert len(pages[-1]) == limits.LIMIT_MAX % 99


def test_a_question_that_is_wrong_is_refused_before_any_work() -> None:
    for ask, message in [
        (questions.search, search_pb2.SearchRequest(limit=-1)),
        (questions.similar, search_pb2.SimilarRequest(event_id=-1)),
        (questions.precedents, search_pb2.PrecedentsRequest()),
        (questions.patterns, search_pb2.PatternsRequest(page_token="made up")),
        (questions.diff, search_pb2.DiffRequest()),
        (questions.histogram, search_pb2.HistogramRequest(values=-1)),
        (questions.context, search_pb2.ContextRequest(before=-1)),
    ]:
        with pytest.raises(ServiceError):
            ask(message)


def test_windows_of_a_diff_end_at_the_present() -> None:
    """One that reached a year ahead had 0.16 times the events of the one before, p 5e-07."""
    hour_ns, now_ns = 3600 * 10**9, time.time_ns()
    before = search_pb2.Window(since_unix_nano=now_ns - 2 * hour_ns, until_unix_nano=now_ns)
    ahead = search_pb2.Window(since_unix_nano=now_ns - hour_ns, until_unix_nano=now_ns + hour_ns)
    answers = Numbers(0)
    questions.diff(search_pb2.DiffRequest(before=before, after=ahead))(answers, ENDLESS)
    (asked,) = answers.asked
    assert asked.before.until_ns == now_ns
    assert now_ns <= asked.after.until_ns <= time.time_ns()
    ahead.since_unix_nano = now_ns + hour_ns // 2
    with pytest.raises(ServiceError, match=r"after\.since_unix_nano: must be in the past"):
        questions.diff(search_pb2.DiffRequest(before=before, after=ahead))


def test_a_histogram_and_a_context_are_answered_whole() -> None:
    answers = Numbers(0)
    histogram = questions.histogram(search_pb2.HistogramRequest(by="site"))(answers, ENDLESS)
    assert list(histogram.series[0].counts) == [1, 2]
    context = questions.context(search_pb2.ContextRequest(event_id=7, before=0))(answers, ENDLESS)
    assert (context.event.event_id, len(context.after)) == (7, 1)
    assert (answers.asked[0].by, answers.asked[1].before) == ("site", 0)
