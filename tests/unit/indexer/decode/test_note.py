from __future__ import annotations

import pytest

from dejalog.indexer.event import Kind

NOTE = (
    b'{"kind":"note","asset":"P-101","time":"2024-05-02T10:15:00Z","author":"M. Silva",'
    b'"text":"pump trips on overload","work_order":"WO-4711","action":"bearing replaced",'
    b'"site":"north","downtime_min":45}'
)


def test_a_note_is_text_and_action_with_the_rest_as_labels(decode) -> None:
    (event,) = decode(NOTE).events
    assert event.kind is Kind.NOTE
    assert event.text == "pump trips on overload\nAction taken: bearing replaced"
    assert event.time_ns == 1_714_644_900 * 10**9
    assert dict(event.labels) == {
        "asset": "P-101", "author": "M. Silva", "site": "north", "work_order": "WO-4711",
    }  # fmt: skip
    assert dict(event.attributes) == {"action": "bearing replaced", "downtime_min": "45"}


@pytest.mark.parametrize(
    "data",
    [
        b'{"note":"x"}',
        b'{"text":"x","work_order":"1"}',
        b'{"asset":"P-1","action":"x"}',
        b'{"Kind":"Note","message":"x"}',
    ],
)
def test_what_only_notes_have_marks_a_note(decode, data: bytes) -> None:
    assert decode(data).events[0].kind is Kind.NOTE


@pytest.mark.parametrize(
    "data",
    [
        b'{"msg":"x","action":"login"}',
        b'{"msg":"x","level":"info","note":"y"}',
        b'{"kind":"Event","message":"x","action":"Binding","text":"y"}',
        b'{"text":"x","asset":"P-1"}',
    ],
)
def test_what_logs_have_too_does_not(decode, data: bytes) -> None:
    assert decode(data).events[0].kind is Kind.LOG


def test_the_encoding_makes_any_object_a_note(decode) -> None:
    (event,) = decode(b'{"message":"x","level":"info"}', encoding="note").events
    assert event.kind is Kind.NOTE


def test_several_actions_are_one_sentence(decode) -> None:
    (event,) = decode(b'{"note":"x","action":["a","b"]}').events
    assert event.text == "x\nAction taken: a; b"


def test_a_note_without_words_is_a_dead_letter(decode) -> None:
    (letter,) = decode(b'{"kind":"note","asset":"P-1"}').dead_letters
    assert letter.reason == "empty"
    assert b"P-1" in letter.data
