from __future__ import annotations

import base64
import json
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.hit_json import to_line
from dejalog.daemon.letter_view import (
    excerpt,
    hex_dump,
    letter_lines,
    letter_to_json,
    letter_to_row,
    text_of,
)
from dejalog.indexer.event import DeadLetter

LETTERS = st.builds(
    DeadLetter,
    reason=st.text(max_size=9),
    detail=st.text(max_size=40),
    data=st.binary(max_size=300) | st.text(max_size=100).map(str.encode),
    size_bytes=st.integers(0, 2**62),
    received_at_ns=st.integers(0, 2**62),
    source=st.text(max_size=9),
    partition=st.text(max_size=9),
    offset=st.integers(0, 2**62),
    sub=st.integers(0, 2**32 - 1),
    key=st.none() | st.binary(max_size=9),
    headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9)), max_size=3).map(tuple),
)


@given(LETTERS, st.integers(0, 2**53), st.booleans())
def test_json_holds_all_of_a_letter(letter: DeadLetter, number: int, is_resolved: bool) -> None:
    line = to_line(letter_to_json(number, letter, is_resolved=is_resolved))
    assert "\n" not in line
    read = json.loads(line)
    headers = tuple((h["name"], base64.b64decode(h["value"])) for h in read["headers"])
    assert letter == DeadLetter(
        read["reason"], read["detail"], base64.b64decode(read["data"]), read["size_bytes"],
        int(read["received_unix_nano"]), read["source"], read["partition"], read["offset"],
        read["sub"], None if read["key"] is None else base64.b64decode(read["key"]), headers,
    )  # fmt: skip
    assert (read["number"], read["is_resolved"]) == (number, is_resolved)
    assert read["text"] is None or read["text"].encode() == letter.data
    assert read["is_cut"] == (len(letter.data) < letter.size_bytes)
    row = letter_to_row(number, letter, is_resolved=is_resolved)
    assert len(to_line(row)) < 4_000
    assert row.keys() - {"excerpt"} < read.keys()


@given(st.binary(max_size=100))
def test_a_hex_dump_can_be_read_back(data: bytes) -> None:
    dumped = list(hex_dump(data))
    assert bytes.fromhex("".join(line[10:60] for line in dumped)) == data
    assert [int(line[:8], 16) for line in dumped] == list(range(0, len(data), 16))
    assert all(line.isascii() and line.isprintable() for line in dumped)


@given(LETTERS, st.booleans())
def test_nothing_that_is_shown_steers_a_terminal(letter: DeadLetter, is_hex: bool) -> None:
    shown = letter_lines(1, letter, is_resolved=True, is_hex=is_hex, zone=UTC)
    for line in shown:
        assert "\x1b" not in line
        assert "\r" not in line
    assert "\n" not in excerpt(letter.data)
    assert "\x1b" not in excerpt(letter.data)


def test_an_excerpt_is_the_beginning_on_one_line() -> None:
    assert excerpt(b"a\n\tb\xff\x00") == "a     b\\xff\\x00"
    assert len(excerpt(b"x" * 10_000)) == 256


def test_text_is_what_is_utf8() -> None:
    assert text_of("\u00e9".encode()) == "\u00e9"
    assert text_of(b"\xff") is None
    assert text_of(b"") == ""
