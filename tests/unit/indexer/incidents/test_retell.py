from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer.event import Kind, TimeOrigin
from dejalog.indexer.hit import Hit, Scores
from dejalog.indexer.incidents.aftermath import Aftermath
from dejalog.indexer.incidents.grouping import DEFAULT_RULES, describe, group
from dejalog.indexer.incidents.retell import HITS_SHOWN, Found, Retelling
from dejalog.indexer.incidents.timeline import Timeline
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.request import PrecedentsRequest

MINUTE = 60 * 10**9
PUMP = (("asset", "P-101"),)
SCORES = Scores(1.0, 0.5, 0.5, 0.0, 0.0)


def hit_of(pattern: str) -> Hit:
    return Hit(pattern[:4], pattern, SCORES, 99, 0, 0, (), ())


def found_in(held, patterns: list[str], bits: float = 4.0) -> Found:
    """All events of the patterns as incidents; the first pattern weighs most."""
    timeline = Timeline(held, ("asset",))
    events = timeline.events_of(patterns)
    answers = np.array([[1.0 / (place + 1) for place in range(len(patterns))]])
    of_events = np.full(len(events), bits)
    numbers = group(events, 10 * MINUTE)
    incidents = describe(events, numbers, answers, of_events, DEFAULT_RULES)
    hits = [hit_of(pattern) for pattern in patterns]
    return Found(timeline, events, numbers, incidents, hits, answers, of_events)


def retelling(found: Found, patience: Patience = ENDLESS, **changes: object) -> Retelling:
    request = PrecedentsRequest("x", **changes)
    return Retelling(found, request, Aftermath(found.timeline, []), patience)


@pytest.fixture
def index(make_index):
    maker = make_index()
    for text, minute, kind in (
        ("pump tripped", 100, Kind.LOG),
        ("motor overload", 101, Kind.LOG),
        ("pump tripped", 104, Kind.LOG),
        ("bearing replaced", 200, Kind.NOTE),
        ("valve opened", 500, Kind.LOG),
    ):
        event = maker.event(text, time_ns=minute * MINUTE, labels=PUMP, kind=kind)
        maker.add(event, is_indexed=False)
    return maker


def test_hits_speak_of_the_incident_alone_and_the_weightiest_comes_first(index) -> None:
    with index.searcher().shards.held() as held:
        told = retelling(found_in(held, ["motor overload", "pump tripped"]), occurrences=5)
        precedent = told.precedent(0, ())
    assert (precedent.asset, precedent.events) == ("P-101", 3)
    assert (precedent.start_ns, precedent.end_ns) == (100 * MINUTE, 104 * MINUTE)
    first, second = precedent.hits
    assert (first.pattern, first.count) == ("motor overload", 1)
    assert (second.count, second.first_seen_ns, second.last_seen_ns) == (
        2,
        100 * MINUTE,
        104 * MINUTE,
    )
    assert [each.event_id for each in second.occurrences] == [0, 2]
    assert precedent.score == pytest.approx(float(1.0 + 0.3 / 2))


def test_notes_that_followed_leave_out_the_one_asked_about(index) -> None:
    with index.searcher().shards.held() as held:
        told = retelling(found_in(held, ["pump tripped"]))
        assert [note.note.event_id for note in told.notes(0, None)] == [3]
        assert told.notes(0, 3) == ()


def test_without_patience_there_is_neither_course_nor_note(index) -> None:
    with index.searcher().shards.held() as held:
        found = found_in(held, ["pump tripped"])
        late = retelling(found, Patience(deadline=0.0))
        assert late.notes(0, None) == ()
        assert late.precedent(0, ()).course == ()
        assert retelling(found).precedent(0, ()).course != ()


def test_notes_in_a_file_that_name_no_asset_do_not_follow_each_other(make_index) -> None:
    maker = make_index()
    labels = (("file", "orders.jsonl"),)
    for minute in (1, 30):
        maker.add(
            maker.event(f"note {minute}", time_ns=minute * MINUTE, labels=labels, kind=Kind.NOTE)
        )
    with maker.searcher().shards.held() as held:
        told = retelling(found_in(held, ["note 1"]))
        assert told.notes(0, None) == ()
        precedent = told.precedent(0, ())
    assert (precedent.asset_label, precedent.asset, precedent.source) == ("", "", "orders.jsonl")
    assert precedent.course == ()


def test_a_note_without_a_time_of_its_own_is_followed_by_nothing(make_index) -> None:
    """A table of undated work orders came in within a second, and each "followed" the others."""
    maker = make_index()
    for text, origin in (
        ("belt torn", TimeOrigin.RECEIVED),
        ("fan stuck", TimeOrigin.EVENT),
        ("oil changed", TimeOrigin.RECEIVED),
    ):
        note = maker.event(text, labels=PUMP, kind=Kind.NOTE, time_origin=origin)
        maker.add(note, is_indexed=False)
    with maker.searcher().shards.held() as held:
        assert retelling(found_in(held, ["belt torn"])).notes(0, None) == ()
        (follower,) = retelling(found_in(held, ["fan stuck"])).notes(0, None)
    assert follower.note.event.text == "oil changed"


def test_the_number_of_hits_is_bounded(make_index) -> None:
    maker = make_index()
    patterns = [f"fault {chr(97 + n)}" for n in range(HITS_SHOWN + 3)]
    maker.add(*(maker.event(text, time_ns=MINUTE, labels=PUMP) for text in patterns))
    with maker.searcher().shards.held() as held:
        precedent = retelling(found_in(held, patterns), occurrences=0).precedent(0, ())
    assert [hit.pattern for hit in precedent.hits] == patterns[:HITS_SHOWN]
    assert all(hit.occurrences == () for hit in precedent.hits)
    assert precedent.events == len(patterns)
