"""Every question reaches the index."""

from __future__ import annotations

from typing import Any

import pytest

from dejalog.daemon.answers import IndexAnswers
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

SECOND = 10**9
OVER = Patience(deadline=0.0)


@pytest.fixture
def answers(make_index: Any) -> Any:
    maker = make_index()
    maker.add("pump trips", "pump runs", "pump trips")
    searcher = maker.searcher()
    yield IndexAnswers(searcher)
    searcher.close()


def test_each_question_gets_its_own_answer(answers: IndexAnswers) -> None:
    patience = Patience()
    found = answers.search(SearchRequest("trips"), patience).hits[0]
    assert (found.pattern, found.count) == ("pump trips", 2)
    event_id = found.occurrences[0].event_id
    similar = answers.similar(SimilarRequest(event_id), patience)
    assert (similar.event.event_id, similar.result.hits[0].pattern) == (event_id, "pump trips")
    assert answers.context(ContextRequest(event_id), patience).event.event.text == "pump trips"
    precedents = answers.precedents(PrecedentsRequest(event_id=event_id), patience)
    assert precedents.event is not None
    assert (precedents.event.event_id, precedents.coverage.events_total) == (event_id, 3)
    assert {
        each.pattern: each.count for each in answers.patterns(PatternsRequest(), patience).patterns
    } == {
        "pump trips": 2,
        "pump runs": 1,
    }
    windows = DiffRequest(Window(0, 2 * SECOND), Window(2 * SECOND, 4 * SECOND))
    diff = answers.diff(windows, patience)
    assert (diff.events_before, diff.events_after) == (1, 2)
    series = answers.histogram(HistogramRequest(), patience).series
    assert sum(series[0].counts) == 3


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("search", SearchRequest("trips")),
        ("similar", SimilarRequest(0)),
        ("precedents", PrecedentsRequest("trips")),
        ("context", ContextRequest(0)),
    ],
)
def test_without_any_time_nothing_is_answered(
    answers: IndexAnswers, name: str, request_: Any
) -> None:
    with pytest.raises(TimeoutError):
        getattr(answers, name)(request_, OVER)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("similar", SimilarRequest(10**9)),
        ("precedents", PrecedentsRequest(event_id=10**9)),
        ("context", ContextRequest(10**9)),
    ],
)
def test_an_event_that_is_not_there_is_a_lookup_error_and_no_other(
    answers: IndexAnswers, name: str, request_: Any
) -> None:
    with pytest.raises(LookupError, match=str(10**9)) as caught:
        getattr(answers, name)(request_, Patience())
    # A KeyError would be taken for a fault (service_search.py).
    assert type(caught.value) is LookupError
