from __future__ import annotations

import threading

import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.errors import CorruptShardError, QueryError
from dejalog.indexer.event import Kind
from dejalog.indexer.filter import Condition
from dejalog.indexer.patience import Patience
from dejalog.indexer.precedents import find_precedents
from dejalog.indexer.request import Mode, PrecedentsRequest
from dejalog.indexer.retain import delete_events
from dejalog.indexer.store.layout import DamagedValueError
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import Snapshot

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PUMP, FAN = (("asset", "P-101"),), (("asset", "F-7"),)

#: What happened, when, on which asset; events are numbered in this order.
STORY = [
    *(
        ("heartbeat of the drive", hour * HOUR, labels, Kind.LOG)
        for hour in range(48)
        for labels in (PUMP, FAN)
    ),
    ("vibration at drive end bearing is high", 10 * HOUR - 2 * MINUTE, PUMP, Kind.LOG),
    ("motor overload, pump tripped", 10 * HOUR, PUMP, Kind.LOG),
    ("motor overload, pump tripped", 10 * HOUR + MINUTE, PUMP, Kind.LOG),
    ("pump trips\nAction taken: drive end bearing replaced", 14 * HOUR, PUMP, Kind.NOTE),
    ("filter cleaned", 15 * HOUR, FAN, Kind.NOTE),
    ("motor overload, pump tripped", 40 * HOUR, FAN, Kind.LOG),
    ("light in the hall is broken", 41 * HOUR, (("asset", "hall"),), Kind.NOTE),
]
FIRST = len(STORY) - 7
BEARING, OVERLOAD, AGAIN, REPAIR, FILTER, ON_FAN, LIGHT = range(FIRST, FIRST + 7)


@pytest.fixture
def index(make_index):
    maker = make_index()
    for text, time_ns, labels, kind in STORY:
        maker.add(maker.event(text, time_ns=time_ns, labels=labels, kind=kind), is_indexed=False)
    maker.index_words()
    return maker


def ask(maker, text: str = "", **changes: object):
    return find_precedents(maker.searcher(), PrecedentsRequest(text, **changes))


def told(result) -> list[tuple[str, int, int]]:
    """Asset, minute of the start, and events of each precedent."""
    return [(p.asset, p.start_ns // MINUTE, p.events) for p in result.precedents]


def test_an_earlier_incident_comes_with_its_course_and_with_what_fixed_it(index) -> None:
    best = ask(index, "pump stops because the motor is overloaded").precedents[0]
    assert (best.asset_label, best.asset) == ("asset", "P-101")
    assert (best.start_ns, best.end_ns) == (10 * HOUR, 10 * HOUR + MINUTE)
    assert best.events == best.hits[0].count == 2
    assert best.hits[0].pattern == "motor overload, pump tripped"
    assert [each.event_id for each in best.hits[0].occurrences] == [OVERLOAD]
    assert [step.pattern for step in best.course] == [
        "vibration at drive end bearing is high",
        "motor overload, pump tripped",
    ]
    assert [(n.note.event_id, n.after_s) for n in best.notes] == [(REPAIR, 4 * 3600)]
    assert best.notes[0].note.event.text.endswith("drive end bearing replaced")


def test_incidents_are_told_apart_by_asset_and_by_time(index) -> None:
    found = told(ask(index, "motor overload, pump tripped"))
    assert sorted(found[:2]) == [("F-7", 2400, 1), ("P-101", 600, 2)]
    apart = ask(index, "motor overload, pump tripped", gap_s=30.0)
    assert ("P-101", 600, 1) in told(apart)
    assert ("P-101", 601, 1) in told(apart)
    assert told(ask(index, "motor overload, pump tripped", gap_s=0.0))[0][2] == 1


def test_the_incident_of_the_event_asked_about_is_no_precedent(index) -> None:
    by_event = ask(index, event_id=ON_FAN)
    assert by_event.event is not None
    assert by_event.event.event_id == ON_FAN
    assert told(by_event) == [("P-101", 600, 2)]
    assert all(each[0] != "P-101" for each in told(ask(index, event_id=AGAIN)))


def test_an_everyday_pattern_is_no_incident_beside_a_rare_one(index) -> None:
    result = ask(index, "heartbeat of the drive\nmotor overload, pump tripped")
    assert {each[0] for each in told(result)} == {"P-101", "F-7"}
    assert all(
        hit.pattern == "motor overload, pump tripped"
        for precedent in result.precedents
        for hit in precedent.hits
    )


def test_an_everyday_pattern_is_found_where_there_is_nothing_else(index) -> None:
    everyday, rare = ask(index, event_id=0), ask(index, event_id=ON_FAN)
    assert len(everyday.precedents) == 5
    hits = [hit.pattern for precedent in everyday.precedents for hit in precedent.hits]
    assert set(hits) == {"heartbeat of the drive"}
    assert everyday.precedents[0].score < 0.3 < rare.precedents[0].score


def test_a_note_that_answers_is_an_incident_of_its_own(index) -> None:
    best = ask(index, "lamp broken").precedents[0]
    assert [each.event_id for each in best.hits[0].occurrences] == [LIGHT]
    assert best.course == ()
    assert best.asset == "hall"


def test_a_note_that_a_better_precedent_shows_is_no_precedent_again(index) -> None:
    result = ask(index, "pump tripped by motor overload, trips", limit=20)
    shown = [n.note.event_id for p in result.precedents for n in p.notes]
    own = [o.event_id for p in result.precedents for h in p.hits for o in h.occurrences]
    assert REPAIR in shown
    assert REPAIR not in own
    assert len(result.precedents) == result.incidents_total


def test_several_lines_are_asked_together_and_nothing_in_them_is_a_filter(index) -> None:
    question = "vibration at drive end bearing is high\nmotor overload, pump tripped\nasset=F-7"
    best = ask(index, question).precedents[0]
    assert best.asset == "P-101"
    assert {hit.pattern for hit in best.hits} == {
        "vibration at drive end bearing is high",
        "motor overload, pump tripped",
    }


def test_the_incident_that_a_line_was_pasted_from_is_no_precedent(make_index) -> None:
    """`tail -n 1 plant.log | dejalog precedents -` answered with what had just happened."""
    maker = make_index()
    times = {"05": 5 * HOUR, "09": 9 * HOUR}
    for hour, time_ns in times.items():
        line = f"1970-01-01T{hour}:00:00Z motor overload"
        maker.add(maker.event(line, time_ns=time_ns, labels=PUMP))
    pasted = ask(maker, "1970-01-01T09:00:00Z motor overload\n")
    assert [p.start_ns for p in pasted.precedents] == [5 * HOUR]
    assert pasted.event is None
    elsewhere = ask(maker, "1970-01-01T09:30:00Z motor overload")
    assert len(elsewhere.precedents) == len(ask(maker, "motor overload").precedents) == 2


def test_filters_say_which_events_may_be_hits_and_not_which_notes_followed(index) -> None:
    text = "motor overload, pump tripped"
    assert told(ask(index, text, where=("asset=F-7",))) == [("F-7", 2400, 1)]
    assert told(ask(index, f"{text} asset=F-7")) == [("F-7", 2400, 1)]
    assert told(ask(index, text, since_ns=20 * HOUR)) == [("F-7", 2400, 1)]
    logs = ask(index, text, where=("kind=log", "asset=P-101"))
    assert [n.note.event_id for n in logs.precedents[0].notes] == [REPAIR]


def test_a_horizon_ends_what_counts_as_having_followed(index) -> None:
    request = {"where": ("asset=P-101", "kind=log")}
    text = "motor overload, pump tripped"
    assert ask(index, text, horizon_s=3600.0, **request).precedents[0].notes == ()
    assert ask(index, text, notes=0, **request).precedents[0].notes == ()


def test_labels_that_may_name_an_asset_can_be_chosen(make_index) -> None:
    maker = make_index()
    labels = (("asset", "P-101"), ("line", "3"))
    others = (("asset", "P-102"), ("line", "3"))
    maker.add(
        maker.event("belt torn", time_ns=0, labels=labels),
        maker.event("belt torn", time_ns=MINUTE, labels=others),
        *(maker.event("all is well", time_ns=n * HOUR, labels=labels) for n in range(9)),
    )
    assert len(ask(maker, "belt torn").precedents) >= 2
    together = ask(maker, "belt torn", asset_labels=("line",)).precedents[0]
    assert (together.asset_label, together.asset, together.events) == ("line", "3", 2)


def test_events_that_name_no_asset_go_by_their_file(make_index) -> None:
    maker = make_index()
    for name in ("a.log", "b.log"):
        maker.add(maker.event("disk is full", time_ns=HOUR, labels=(("file", name),)))
        maker.add(
            *(
                maker.event("request served", time_ns=hour * HOUR, labels=(("file", name),))
                for hour in range(20)
            )
        )
    result = ask(maker, "disk is full")
    found = {(p.asset_label, p.asset, p.source) for p in result.precedents[:2]}
    assert found == {("", "", "a.log"), ("", "", "b.log")}


def test_pages_follow_each_other(index) -> None:
    whole = told(ask(index, "motor overload, pump tripped", limit=4))
    pages = [
        each
        for skip in (0, 1)
        for each in told(ask(index, "motor overload, pump tripped", limit=1, skip=skip))
    ]
    assert pages == whole[:2]


def test_compacted_shards_answer_as_fresh_ones_do(index) -> None:
    fresh = ask(index, "motor overload, pump tripped")
    index.appender.seal()
    compact_directory(index.directory, lambda: index.encoder, CompactRules(write_bytes_per_s=0))
    compacted = ask(index, "motor overload, pump tripped")
    assert told(compacted)[:2] == told(fresh)[:2]
    assert compacted.precedents[0].course == fresh.precedents[0].course


def test_deleted_events_are_in_no_incident_course_or_aftermath(index) -> None:
    delete_events(index.directory, [Condition("asset", "=", "P-101")])
    result = ask(index, "motor overload, pump tripped", limit=50)
    assert {asset for asset, _, _ in told(result)} <= {"F-7", "hall"}
    with pytest.raises(LookupError, match="not any more"):
        ask(index, event_id=OVERLOAD)


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_finds_the_same_words(index, mode) -> None:
    result = ask(index, "motor overload", mode=mode)
    assert result.precedents[0].hits[0].pattern == "motor overload, pump tripped"


def test_questions_that_ask_nothing_are_refused(index) -> None:
    for text, changes, reason in (
        ("", {}, "a text or with the number"),
        ("x", {"event_id": 1}, "a text or with the number"),
        ("asset=P-101", {}, "say what happened"),
        ("x", {"gap_s": -1.0}, "gap"),
        ("x", {"horizon_s": float("nan")}, "horizon"),
    ):
        with pytest.raises(QueryError, match=reason):
            ask(index, text, **changes)


def test_an_empty_index_has_no_precedents(make_index) -> None:
    result = ask(make_index(), "motor overload")
    assert result.precedents == ()
    assert result.incidents_total == result.coverage.events_total == 0


def test_no_patience_is_a_timeout(index) -> None:
    request = PrecedentsRequest("motor overload")
    with pytest.raises(TimeoutError):
        find_precedents(index.searcher(), request, Patience(deadline=0.0))


@pytest.fixture
def three_shards(make_index):
    """The same fault on three assets, a week apart, each in a shard of its own."""
    maker = make_index(ShardLimits(events_max=1))
    for week, asset in enumerate(("boiler", "chiller", "dryer")):
        labels = (("asset", asset),)
        maker.add(maker.event("fan is stuck", time_ns=week * 7 * DAY, labels=labels))
    return maker


@pytest.mark.parametrize("step", ["snapshot", "find_pattern", "texts"])
def test_a_damaged_shard_is_named_and_the_others_answer(three_shards, monkeypatch, step) -> None:
    of = Shard if step == "snapshot" else Snapshot
    whole = getattr(of, step)

    def read(one: Shard | Snapshot, *given: object) -> object:
        if "000002" in str(one.path if isinstance(one, Shard) else one._path):
            if isinstance(one, Shard):
                raise CorruptShardError(one.path, "page 7 is not what was written")
            raise DamagedValueError("checksum does not fit the payload")
        return whole(one, *given)

    monkeypatch.setattr(of, step, read)
    result = ask(three_shards, "fan is stuck")
    assert sorted(asset for asset, _, _ in told(result)) == ["boiler", "dryer"]
    assert result.coverage.is_partial
    (damaged,) = result.coverage.damaged_shards
    assert damaged.startswith("000002: ")


class StoppedAtLook(threading.Event):
    """Set from some look at it on, as another thread would set it meanwhile."""

    def __init__(self, look: int) -> None:
        super().__init__()
        self._left = look

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_whenever_the_patience_ends_the_answer_is_partial_or_a_timeout(index) -> None:
    searcher = index.searcher()
    request = PrecedentsRequest("heartbeat\nmotor overload, pump tripped")
    endings = set()
    for look in range(60):
        try:
            result = find_precedents(searcher, request, Patience(stop=StoppedAtLook(look)))
        except TimeoutError:
            endings.add("timeout")
            continue
        endings.add("partial" if result.coverage.is_partial else "whole")
        if not result.coverage.is_partial:
            break
        assert result.precedents
    assert endings == {"timeout", "partial", "whole"}
