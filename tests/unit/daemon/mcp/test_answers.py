"""Answers of bounded size, with what had to be left out."""

from __future__ import annotations

from datetime import UTC

import msgspec
import pytest

from dejalog.daemon.mcp.answers import (
    ANSWER_BYTES_MAX,
    DATA_WARNING,
    SearchAnswer,
    count_remarks,
    fitting,
    hit_remarks,
    reach_remarks,
    told,
)
from dejalog.daemon.mcp.views import DETAILS, EventView, Viewer, event_text
from dejalog.indexer.answer import Coverage
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Occurrence, SearchResult


def occurrences(count: int, text: str) -> list[Occurrence]:
    event = Event(Kind.LOG, 0, TimeOrigin.EVENT, text, "plc.log", "1:1", 0)
    return [Occurrence(number, event) for number in range(count)]


def fitted(count: int, text: str) -> list[EventView]:
    found = occurrences(count, text)
    return fitting(UTC, lambda viewer: [viewer.event(each) for each in found], event_text)


def sizes(views: list[EventView]) -> tuple[int, int]:
    as_text = sum(len(event_text(view).encode()) + 1 for view in views)
    return as_text, len(msgspec.json.encode(views))


def test_what_fits_is_shown_in_full() -> None:
    views = fitted(5, "x" * 1_000)
    assert [len(view.text) for view in views] == [1_000] * 5


def test_what_does_not_fit_in_full_is_shown_in_less_detail() -> None:
    views = fitted(20, "x" * 1_000)
    assert len(views) == 20
    assert {len(view.text) for view in views} == {DETAILS[1].text_bytes}


@pytest.mark.parametrize("text", ["x" * 1_000, '"' * 1_000, "\u017c" * 500, "\n" * 300 + "x", "a"])
def test_no_answer_is_larger_than_its_bound(text: str) -> None:
    views = fitted(500, text)
    assert 0 < len(views) < 500
    assert [view.event_id for view in views] == [str(number) for number in range(len(views))]
    assert max(sizes(views)) < ANSWER_BYTES_MAX
    # One more would not have fitted.
    last = Viewer(UTC, DETAILS[-1]).event(occurrences(1, text)[0])
    assert max(sizes([*views, *[last] * 2])) > ANSWER_BYTES_MAX - 3_072


@pytest.mark.parametrize(
    ("shown", "given", "found", "remarks"),
    [
        (0, 0, 0, ["0 hits found"]),
        (1, 1, 1, ["1 hit found"]),
        (3, 3, 3, ["3 hits found"]),
        (
            3,
            12,
            12,
            ["3 of 12 hits shown", "9 were left out, as an answer has 16 KiB at most"],
        ),
        (
            5,
            5,
            1_200,
            [
                "5 of 1 200 hits shown",
                "for others raise limit, or narrow since, until, where or the query",
            ],
        ),
    ],
)
def test_what_was_left_out_is_counted(
    shown: int, given: int, found: int, remarks: list[str]
) -> None:
    assert count_remarks("hits", shown, given, found) == remarks


def result(**changes: object) -> SearchResult:
    fields: dict[str, object] = {
        "hits": (),
        "events_total": 1_200,
        "events_matched": 30,
        "patterns_scored": 5,
        "shards_searched": 1,
        "elapsed_s": 0.1,
        "is_partial": False,
    }
    return SearchResult(**{**fields, **changes})  # type: ignore[arg-type]


def test_as_many_hits_as_asked_for_may_not_be_all() -> None:
    hits = (object(),) * 5
    remarks = hit_remarks(5, result(hits=hits), 5)
    assert remarks[0] == "5 of the best hits shown"
    assert remarks[1].startswith("for others raise limit")
    assert hit_remarks(5, result(hits=hits), 6)[0] == "5 hits found"


def test_how_much_was_searched_is_said_and_what_was_not() -> None:
    assert hit_remarks(0, result(), 5) == ["0 hits found", "30 of 1 200 events passed the filters"]
    damaged = ("shards/000003: crc\x1b",) * 50
    remarks = reach_remarks(Coverage(5, 5, 1, 0.1, is_partial=True, damaged_shards=damaged))
    assert remarks[1].startswith("partial: ")
    assert remarks[2].startswith("not searched: shards/000003: crc\\x1b; ")
    assert len(remarks[2]) == 300


def test_what_comes_from_the_index_is_set_off_from_what_is_said_of_it() -> None:
    answer = SearchAnswer(shown=1, found=1, is_partial=False, remarks=["1 hit found"], hits=[])
    lines = told(answer, ["1. score", "  | text"]).text.splitlines()
    assert lines[:2] == ["1 hit found.", DATA_WARNING]
    assert lines[2:4] == ["1. score", "  | text"]
    assert "dejalog context EVENT_ID" in lines[4]
    assert told(answer, []).text == "1 hit found."
