from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.event import Kind
from dejalog.indexer.filter import Condition
from dejalog.indexer.incidents.timeline import Timeline
from dejalog.indexer.query import parse_text
from dejalog.indexer.retain import delete_events

SECOND = 10**9


def compact(maker) -> None:
    """Compacts what there is, as a restart of the daemon a week later would."""
    maker.appender.seal()
    compact_directory(maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0))


@pytest.fixture
def index(make_index):
    """Two assets, two shards once the first is compacted, one note."""
    maker = make_index()
    rows = [("pump tripped", "A", 1), ("pump started", "A", 2), ("pump tripped", "B", 3)]
    for text, asset, second in rows:
        maker.add(maker.event(text, time_ns=second * SECOND, labels=(("asset", asset),)))
    return maker


def timeline_of(searcher, stack) -> Timeline:
    return Timeline(stack.enter_context(searcher.shards.held()), ("asset",))


def as_rows(timeline: Timeline, events) -> list[tuple[int, str, int, int, bool]]:
    columns = (events.times, events.assets, events.hits, events.numbers, events.is_note)
    return sorted(
        (int(when) // SECOND, timeline.asset(int(asset)).value, int(hit), int(number), bool(note))
        for when, asset, hit, number, note in zip(*columns, strict=True)
    )


def test_events_of_patterns_are_found_in_fresh_and_compacted_shards(index) -> None:
    compact(index)
    note = index.event("pump tripped", time_ns=9 * SECOND, kind=Kind.NOTE, labels=(("asset", "a"),))
    index.add(note)
    searcher = index.searcher()
    with searcher.shards.held() as held:
        assert len(held.shards) == 2
        timeline = Timeline(held, ("asset",))
        events = timeline.events_of(["no such pattern", "pump tripped"])
        first = held.shards[1].state.header.first_event
        assert as_rows(timeline, events) == [
            (1, "A", 1, 0, False),
            (3, "B", 1, 2, False),
            (9, "A", 1, first, True),
        ]
        assert timeline.occurrence(first).event == note


def test_deleted_events_are_nowhere(index) -> None:
    delete_events(index.directory, [Condition("asset", "=", "B")])
    with index.searcher().shards.held() as held:
        timeline = Timeline(held, ("asset",))
        events = timeline.events_of(["pump tripped"])
        assert as_rows(timeline, events) == [(1, "A", 0, 0, False)]
        assert timeline.cells(10 * SECOND).counts.tolist() == [2]


def test_cells_count_all_events_of_each_asset(index) -> None:
    with index.searcher().shards.held() as held:
        timeline = Timeline(held, ("asset",))
        cells = timeline.cells(2 * SECOND)
        names = [timeline.asset(int(owner)).value for owner in cells.owners]
        assert list(zip(names, cells.stretches, cells.counts, strict=True)) == [
            ("A", 0, 1),
            ("A", 1, 1),
            ("B", 1, 1),
        ]


def test_filters_say_which_events_count(index) -> None:
    with index.searcher().shards.held() as held:
        timeline = Timeline(held, ("asset",))
        events = timeline.events_of(["pump tripped", "pump started"])

        def counted(text: str, since_ns: int | None = None) -> list[int]:
            query = parse_text(text, known_labels=frozenset({"asset"}))
            is_counted, is_partial = timeline.is_counted(
                events, query, since_ns=since_ns, until_ns=None, set_aside=held.set_aside
            )
            assert not is_partial
            return sorted(np.asarray(events.numbers)[is_counted].tolist())

        assert counted("trip") == [0, 1, 2]
        assert counted("asset=B") == [2]
        assert counted('"pump tripped"') == [0, 2]
        assert counted("pump", since_ns=2 * SECOND) == [1, 2]


def test_an_event_that_is_not_there_cannot_be_read(index) -> None:
    with index.searcher().shards.held() as held, pytest.raises(LookupError, match="event 77"):
        Timeline(held, ("asset",)).occurrence(77)
