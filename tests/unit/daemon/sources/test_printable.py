from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.sources.printable import paths_printed_as, printable


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"/l/app.log", "/l/app.log"),
        ("/l/St\u00f6rung".encode(), "/l/St\u00f6rung"),
        (b"/l/St\xf6rung", "/l/St\\xf6rung"),
        (b"/l/\xe2\x82", "/l/\\xe2\\x82"),
        (b"/l/a\\b", "/l/a\\b"),
    ],
)
def test_bytes_that_are_no_text_are_escaped_and_all_others_stay(name: bytes, text: str) -> None:
    assert printable(os.fsdecode(name)) == text
    assert os.fsdecode(name) in paths_printed_as(text)


def test_a_name_with_a_real_backslash_is_tried_first() -> None:
    assert paths_printed_as(r"/l/\xf6") == [r"/l/\xf6", os.fsdecode(b"/l/\xf6")]
    assert paths_printed_as(r"/l/\x41") == [r"/l/\x41"]


@given(st.binary())
def test_printing_is_text_and_printing_it_again_changes_nothing(name: bytes) -> None:
    text = printable(os.fsdecode(name))
    text.encode()
    assert printable(text) == text
    if b"\\" not in name:
        assert os.fsdecode(name) in paths_printed_as(text)
