from __future__ import annotations

import io
import json
from datetime import UTC

import jsonschema
from rich.console import Console

from dejalog.daemon.hit_json import to_line
from dejalog.daemon.precedent_view import PrecedentPrinter, PrecedentView, precedent_to_json
from dejalog.indexer.answer import CourseStep, FollowingNote, Precedent
from dejalog.indexer.event import Event, Kind, Labels, TimeOrigin
from dejalog.indexer.hit import Hit, Occurrence, Scores

MINUTE = 60 * 10**9
#: 2022-08-22 05:00:00 UTC.
START = 1_661_144_400 * 10**9
SCORES = Scores(1.5, 0.5, 0.5, 0.5, 0.0)


def occurrence(number: int, text: str, after: int = 0, **changes: object) -> Occurrence:
    labels: Labels = (("asset", "P-101"), ("severity", "error"))
    fields = {"kind": Kind.LOG, "labels": labels, **changes}
    event = Event(
        time_ns=START + after,
        time_origin=TimeOrigin.EVENT,
        text=text,
        source="file",
        partition="1:1",
        offset=number,
        **fields,
    )
    return Occurrence(number, event)


def hit(pattern: str, count: int, *shown: Occurrence) -> Hit:
    return Hit(f"id of {pattern}", pattern, SCORES, count, START, START + MINUTE, shown, ())


def step(pattern: str, unusual: float, minute: int) -> CourseStep:
    example = occurrence(minute, f"{pattern} at last", minute * MINUTE)
    return CourseStep(f"id of {pattern}", pattern, 3, START + minute * MINUTE, unusual, example)


def note(text: str, after_s: float = 3 * 3600.0) -> FollowingNote:
    labels = (("asset", "P-101"), ("author", "M. Silva"), ("work_order", "WO-4711"))
    written = occurrence(77, text, int(after_s) * 10**9, kind=Kind.NOTE, labels=labels)
    return FollowingNote(written, after_s, 0.5)


def precedent(**changes: object) -> Precedent:
    fields: dict[str, object] = {
        "asset_label": "asset",
        "asset": "P-101",
        "source": "file",
        "start_ns": START,
        "end_ns": START + MINUTE,
        "score": 0.75,
        "events": 4,
        "hits": (hit("<time> ERROR motor overload", 4, occurrence(5, "ERROR motor overload")),),
        "course": (step("vibration is high", 9.0, 1), step("valve opened", 5.0, 2)),
        "notes": (note("pump trips\nAction taken: bearing replaced"),),
        **changes,
    }
    return Precedent(**fields)


def shown(each: Precedent, **changes: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, highlight=False, markup=False, emoji=False)
    view = PrecedentView(**{"zone": UTC, "now_ns": START + 86_400 * 10**9, **changes})
    PrecedentPrinter(console, view).print_precedent(1, each, best=1.5)
    return out.getvalue()


def test_a_precedent_says_when_where_what_then_and_what_was_done() -> None:
    assert shown(precedent()) == (
        " 1  0.75 ===...  2022-08-22 05:00:00 .. 05:01:00 +00:00  24 h ago  asset=P-101\n"
        "    matched x4    ERROR motor overload\n"
        "    course  05:01:00  x3    vibration is high\n"
        "            05:02:00  x3    valve opened\n"
        "    then, 3 h later: 2022-08-22 08:00, M. Silva, WO-4711\n"
        "            pump trips\n"
        "            action taken: bearing replaced\n"
        "\n"
    )


def test_what_matched_is_not_repeated_in_the_course() -> None:
    own = step("<time> ERROR motor overload", 20.0, 0)
    assert shown(precedent(course=(own,))).count("motor overload") == 1


def test_only_the_most_unusual_of_a_long_course_are_shown_in_the_order_of_time() -> None:
    steps = tuple(step(f"step {n}", float(9 - abs(n - 5)), n) for n in range(10))
    text = shown(precedent(course=steps))
    assert [n for n in range(10) if f"step {n}" in text] == [3, 4, 5, 6, 7]
    assert "and 5 more unusual patterns" in text
    full = shown(precedent(course=steps), is_full=True)
    assert all(f"step {n} at last" in full for n in range(10))


def test_a_note_that_matched_is_shown_as_a_note() -> None:
    written = note("belt torn\nAction taken: belt exchanged").note
    text = shown(precedent(hits=(hit("belt torn", 1, written),), course=(), notes=()))
    assert "note    2022-08-22 08:00, M. Silva, WO-4711" in text
    assert "action taken: belt exchanged" in text
    assert "matched" not in text


def test_what_names_no_asset_is_shown_with_its_source() -> None:
    text = shown(precedent(asset_label="", asset="", source="plant.log"))
    assert text.splitlines()[0].endswith("  plant.log")


def test_long_texts_are_cut_unless_everything_is_asked_for() -> None:
    long = note("word " * 200 + "end")
    assert "[... 603 characters]" in shown(precedent(notes=(long,)))
    assert "end" in shown(precedent(notes=(long,)), is_full=True)
    wide = precedent(hits=(hit("x" * 500, 1, occurrence(5, "y" * 500)),))
    assert "x" * 200 not in shown(wide)
    assert "y" * 500 in shown(wide, is_full=True)


def test_further_patterns_that_matched_are_counted() -> None:
    hits = tuple(hit(f"fault {n}", 1, occurrence(n, f"fault {n}")) for n in range(4))
    assert "and 1 more pattern that matched" in shown(precedent(hits=hits))


def test_waiting_times_are_said_as_people_would() -> None:
    for seconds, said in ((0, "at once"), (300, "5 min later"), (7200, "2 h later")):
        assert f"then, {said}:" in shown(precedent(notes=(note("x", seconds),)))
    assert "then, 9 days later:" in shown(precedent(notes=(note("x", 9 * 86_400),)))


def test_notes_are_shown_in_the_order_of_time() -> None:
    text = shown(precedent(notes=(note("best", 86_400 * 5), note("first", 7200))))
    assert text.index("first") < text.index("best")


def test_a_text_that_steers_a_terminal_is_spelled_out() -> None:
    evil = "\x1b[2Jgone\x07"
    text = shown(
        precedent(
            asset=evil,
            hits=(hit(evil, 1, occurrence(5, evil)),),
            course=(step(evil, 9.0, 1),),
            notes=(note(f"{evil}\nAction taken: {evil}"),),
        )
    )
    assert "\x1b" not in text
    assert "\x07" not in text


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rank", "score", "asset_label", "asset", "source", "start", "start_unix_nano",
                 "end", "end_unix_nano", "events", "hits", "course", "notes"],
    "properties": {
        "rank": {"type": "integer"},
        "score": {"type": "number"},
        "asset_label": {"type": "string"},
        "asset": {"type": "string"},
        "source": {"type": "string"},
        "start": {"type": "string"},
        "start_unix_nano": {"type": "string", "pattern": r"^\d+$"},
        "end": {"type": "string"},
        "end_unix_nano": {"type": "string", "pattern": r"^\d+$"},
        "events": {"type": "integer"},
        "hits": {"type": "array", "items": {"type": "object", "required": ["pattern", "count"]}},
        "course": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["pattern_id", "pattern", "count", "first_seen",
                             "first_seen_unix_nano", "unusual", "example"],
                "properties": {
                    "pattern_id": {"type": "string"},
                    "pattern": {"type": "string"},
                    "count": {"type": "integer"},
                    "first_seen": {"type": "string"},
                    "first_seen_unix_nano": {"type": "string"},
                    "unusual": {"type": "number"},
                    "example": {"type": "object", "required": ["event_id"]},
                },
            },
        },
        "notes": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["after_s", "score", "note"],
                "properties": {
                    "after_s": {"type": "number"},
                    "score": {"type": "number"},
                    "note": {"type": "object", "required": ["event_id", "text"]},
                },
            },
        },
    },
}  # fmt: skip


def test_json_has_the_fields_of_the_contract() -> None:
    value = json.loads(to_line(precedent_to_json(2, precedent())))
    jsonschema.validate(value, SCHEMA)
    assert value["rank"] == 2
    assert value["start_unix_nano"] == str(START)
    assert value["notes"][0]["note"]["event_id"] == "77"
    assert value["notes"][0]["after_s"] == 10_800
