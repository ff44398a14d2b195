from __future__ import annotations

import pytest

from dejalog.indexer.event import Kind
from dejalog.indexer.filter import Condition
from dejalog.indexer.incidents.aftermath import Aftermath, Span
from dejalog.indexer.incidents.timeline import Timeline
from dejalog.indexer.retain import delete_events

HOUR = 3_600 * 10**9
DAY = 24 * HOUR
PUMP, FAN = (("asset", "P-101"),), (("asset", "F-7"),)
START = 10 * DAY + 6 * HOUR


@pytest.fixture
def index(make_index):
    maker = make_index()

    def note(text: str, after: int, labels=PUMP) -> None:
        event = maker.event(text, time_ns=START + after, labels=labels, kind=Kind.NOTE)
        maker.add(event, is_indexed=False)

    note("oil level checked, nothing found", -2 * HOUR)
    note("replaced drive end bearing after motor overload", 4 * HOUR)
    note("painted the handrail", 4 * HOUR)
    note("fan belt replaced", HOUR, FAN)
    note("motor overload again, motor exchanged", 9 * DAY)
    note("far too late", 20 * DAY)
    maker.add(maker.event("motor overload", time_ns=START, labels=PUMP), is_indexed=False)
    return maker


def notes_after(maker, limit: int = 9, *, question: str = "motor overload", without=frozenset()):
    with maker.searcher().shards.held() as held:
        timeline = Timeline(held, ("asset",))
        questions = [maker.encoder.encode_query(question)] if question else []
        span = Span(timeline.numbers.number(PUMP), START, START + 14 * DAY)
        found = Aftermath(timeline, questions).notes(span, limit, without=without)
        return [(each.note.event.text, each.after_s, each.score) for each in found]


def test_notes_of_the_asset_follow_what_is_like_the_question_and_soon_first(index) -> None:
    found = notes_after(index)
    assert [text for text, _, _ in found] == [
        "replaced drive end bearing after motor overload",
        "painted the handrail",
        "motor overload again, motor exchanged",
    ]
    assert [after_s for _, after_s, _ in found] == [4 * 3600, 4 * 3600, 9 * 86_400]
    scores = [score for _, _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] < scores[0] <= 1


def test_without_a_question_only_time_counts(index) -> None:
    found = notes_after(index, question="")
    assert [after_s for _, after_s, _ in found] == [4 * 3600, 4 * 3600, 9 * 86_400]
    assert found[0][2] == found[1][2] > found[2][2]


def test_the_number_of_notes_is_bounded_and_some_may_be_left_out(index) -> None:
    assert len(notes_after(index, 1)) == 1
    assert notes_after(index, 0) == []
    assert [text for text, _, _ in notes_after(index, 1, without=frozenset({1}))] == [
        "painted the handrail"
    ]


def test_deleted_notes_follow_nothing(index) -> None:
    delete_events(index.directory, [Condition("kind", "=", "note")])
    assert notes_after(index) == []


def test_a_note_with_a_date_only_follows_what_happened_on_that_day(make_index) -> None:
    """A work order of 11 January stands at midnight: before the fault that it is about."""
    maker = make_index()
    for at in (START - START % DAY, START - START % DAY - DAY, START - HOUR):
        event = maker.event(f"at {at // HOUR} h", time_ns=at, labels=PUMP, kind=Kind.NOTE)
        maker.add(event, is_indexed=False)
    found = notes_after(maker)
    assert [(text, after_s) for text, after_s, _ in found] == [("at 240 h", 0.0)]
