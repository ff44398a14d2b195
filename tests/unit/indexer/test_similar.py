from __future__ import annotations

import pytest

from dejalog.indexer.filter import Condition
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import Mode, SimilarRequest
from dejalog.indexer.retain import delete_events
from dejalog.indexer.similar import find_similar

TEXTS = [
    "connection from 10.0.0.7:443 refused after 350 attempts",
    "connection from 10.0.0.9:443 refused after 350 attempts",
    'site=lodz "belt torn" -stopped kind=note',
    "belt torn at line 3",
    "hydraulic hose leaking at the boom cylinder",
    "site=lodz",
]


@pytest.fixture
def index(make_index):
    maker = make_index()
    maker.add(*(maker.event(text, labels=(("site", "kyiv"),)) for text in TEXTS))
    return maker


def test_events_of_the_same_pattern_with_other_values_are_occurrences(index) -> None:
    found = find_similar(index.searcher(), SimilarRequest(0))
    first = found.result.hits[0]
    assert first.pattern == mask_pattern(TEXTS[0])[0]
    assert first.count == 2
    assert [each.event.text for each in first.occurrences] == TEXTS[:2]
    assert found.event.event.text == TEXTS[0]
    assert found.result.events_matched == len(TEXTS)


@pytest.mark.parametrize("number", range(len(TEXTS)))
@pytest.mark.parametrize("mode", list(Mode))
def test_the_own_pattern_comes_first_whatever_the_text_looks_like(index, number, mode) -> None:
    """`site=lodz "belt torn"` as a question would be filters that its own event fails."""
    found = find_similar(index.searcher(), SimilarRequest(number, mode=mode))
    assert found.result.hits[0].pattern == mask_pattern(TEXTS[number])[0]
    assert found.result.events_matched == len(TEXTS)


def test_evidence_points_into_the_text_of_the_event(index) -> None:
    for number, text in enumerate(TEXTS):
        hit = find_similar(index.searcher(), SimilarRequest(number)).result.hits[0]
        assert hit.evidence or number == 5
        assert all(0 <= e.query_start <= e.query_end <= len(text) for e in hit.evidence)


def test_pages_follow_each_other(index) -> None:
    searcher = index.searcher()
    whole = find_similar(searcher, SimilarRequest(3, limit=4)).result.hits
    pages = [
        hit.pattern
        for skip in (0, 2)
        for hit in find_similar(searcher, SimilarRequest(3, limit=2, skip=skip)).result.hits
    ]
    assert pages == [hit.pattern for hit in whole]


def test_an_own_pattern_that_fails_the_filters_is_no_hit(index) -> None:
    index.add(index.event("belt torn at line 3", labels=(("site", "lodz"),)))
    searcher = index.searcher()
    elsewhere = find_similar(searcher, SimilarRequest(4, where=("site=lodz",)))
    assert [hit.pattern for hit in elsewhere.result.hits] == ["belt torn at line 3"]
    assert elsewhere.event.event.text == TEXTS[4]


def test_a_text_longer_than_a_question_still_has_its_own_pattern_first(make_index) -> None:
    maker = make_index()
    tail = " ".join(f"register {chr(97 + n % 26)}{chr(97 + n // 26)} is dirty" for n in range(600))
    maker.add(f"{tail} at the end", f"{tail} and so on", "register dirty")
    for number in (0, 1):
        hit = find_similar(maker.searcher(), SimilarRequest(number, limit=1)).result.hits[0]
        assert hit.occurrences[0].event_id == number


def test_an_event_that_is_not_there_is_said_so(index) -> None:
    searcher = index.searcher()
    for number in (len(TEXTS), 10**15):
        with pytest.raises(LookupError, match=f"event {number} is not in this index"):
            find_similar(searcher, SimilarRequest(number))


def test_a_deleted_event_is_not_there(index) -> None:
    delete_events(index.directory, [Condition("site", "=", "kyiv")])
    with pytest.raises(LookupError, match="not any more"):
        find_similar(index.searcher(), SimilarRequest(0))


def test_no_patience_is_a_timeout(index) -> None:
    with pytest.raises(TimeoutError):
        find_similar(index.searcher(), SimilarRequest(0), Patience(deadline=0.0))
