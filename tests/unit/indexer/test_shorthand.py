"""Shorthand: what is read, what is only looked up, and what stays alone."""

from __future__ import annotations

import pytest

from dejalog.indexer import shorthand
from dejalog.indexer.shorthand import readings, spellings


def read(text: str) -> str:
    parts, copied = [], 0
    for reading in readings(text):
        parts += [text[copied : reading.start], reading.words]
        copied = reading.end
    return "".join(parts) + text[copied:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repl brg", "replace bearing"),
        ("REPL Brgs", "replace bearings"),
        ("C/O LH hyd pmp", "change out left hand hydraulic pump"),
        ("eng cyl assy u/s", "engine cylinder assembly unserviceable"),
        ("AN426 RH r/h rhs", "AN426 right hand right hand right hand side"),
        ("vlv, brg. (brg)", "valve, bearing. (bearing)"),
        ("w/ cplg", "with coupling"),
    ],
)
def test_shorthand_is_written_out(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("max-age=5", "sys.eng.temp", "/var/msg/eng", "eng=4", "eng:cyl", "msg(3)", "cyl@host"),
        *("E-1034 P0420 0x80070005", "MAXIMUM", "engine", "brgx", "msg_id", "$msg", "min 3 us"),
        *("GET /req HTTP 503", "temp inst conn req trans", "", " "),
    ],
)
def test_what_may_mean_something_else_is_read_as_it_stands(text: str) -> None:
    assert read(text) == text


def test_a_word_is_looked_up_in_its_short_spellings_and_the_other_way_round() -> None:
    assert ("brg",) in spellings(["bearing"], 0)
    assert ("brg",) in spellings(["bearings"], 0)
    assert ("bearing",) in spellings(["brg"], 0)
    assert ("temp",) in spellings(["temperature"], 0)
    assert {("temperature",), ("temporary",)} <= set(spellings(["temp"], 0))
    assert ("change", "out") in spellings(["c/o"], 0)
    assert spellings(["giraffe"], 0) == ()


def test_a_phrase_lends_its_short_spelling_to_each_of_its_words() -> None:
    words = ["change", "out", "left", "hand", "pump"]
    assert [("c/o",) in spellings(words, place) for place in range(5)] == [True, True, *[False] * 3]
    assert [("lh",) in spellings(words, place) for place in range(5)] == [False] * 2 + [
        True,
        True,
        False,
    ]
    assert ("c/o",) not in spellings(["change", "the", "out"], 1)


def test_a_word_is_no_other_way_to_write_itself_or_its_stem() -> None:
    for word in ("operation", "oper", "brg", "bearing"):
        assert (word,) not in spellings([word], 0)
    assert ("oper",) not in spellings(["operation"], 0), "the stem is looked up anyway"


def test_no_short_spelling_is_read_in_two_ways() -> None:
    seen: dict[str, str] = {}
    for phrase, spelling, is_read in shorthand._entries():
        assert phrase
        assert spelling == spelling.lower() != ""
        if is_read:
            assert seen.setdefault(spelling, " ".join(phrase)) == " ".join(phrase), spelling
    assert len(seen) > 150
