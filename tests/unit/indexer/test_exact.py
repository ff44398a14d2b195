from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from dejalog.indexer import exact
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.exact import match_exact, patterns_with_code, whole_words
from dejalog.indexer.filter import Counted
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.view import ShardArrays, ShardView

TEXTS = [
    "Receiving block blk_-1608999687919862906 src: /10.250.19.102:54106",
    "Receiving block blk_7503483334202473044 src: /10.251.215.16:55695",
    "PacketResponder 1 for block blk_-1608999687919862906 terminating",
    "BadUserAccessDenied for user m.kowalski at 10.250.19.102",
    "2022-08-22T05:18:16Z ERROR timeout, took 1234567 ms",
    "motor \u00dcberlast, Strom zu hoch",
]


@pytest.fixture
def opened(make_index):
    maker = make_index()
    maker.add(*TEXTS[:5])
    maker.add(TEXTS[5], is_indexed=False)
    shard = maker.directory.shards[0]
    with LexicalIndex.open(lexical_folder(shard)) as lexical, shard.snapshot() as snapshot:
        yield ShardView(shard).refresh(), lexical.view(), snapshot


@pytest.mark.parametrize(
    ("needle", "expected"),
    [
        ("blk_-1608999687919862906", [0, 2]),
        ("receiving BLOCK", [0, 1]),
        ("block blk_7503483334202473044 src", [1]),
        ("10.250.19.102", [0, 3]),
        ("/10.250.19.102:54106", [0]),
        ("BadUserAccessDenied", [3]),
        ("for user m.kowalski", [3]),
        ("\u00fcberlast", [5]),
        # The words of times are nowhere indexed, and must not rule anything out.
        ("2022-08-22T05:18:16Z ERROR timeout", [4]),
        ("05:18:16", [4]),
        ("2022-08-22", [4]),
        ("took 1234567 ms", [4]),
        ("1234567", [4]),
        # Whole words only, whether the word index has the event or not; what a placeholder is
        # called is no word of the text.
        ("time", []),
        ("strom", [5]),
        ("stro", []),
        ("ip", []),
        ("no such thing", []),
        ("...", []),
    ],
)
def test_a_string_is_found_in_exactly_the_events_that_hold_it(opened, needle, expected) -> None:
    match = match_exact(needle, *opened, None)
    assert np.flatnonzero(match.events).tolist() == expected
    assert expected == [i for i, text in enumerate(TEXTS) if whole_words(needle).search(text)]
    assert not match.is_partial


def test_events_that_a_filter_ruled_out_stay_out(opened) -> None:
    is_allowed = np.array([False, True, True, True, True, True])
    match = match_exact("blk_-1608999687919862906", *opened, is_allowed)
    assert np.flatnonzero(match.events).tolist() == [2]


def test_reading_is_bounded_and_says_so(opened, monkeypatch) -> None:
    monkeypatch.setattr(exact, "READ_EVENTS_MAX", 1)
    match = match_exact("blk_-1608999687919862906", *opened, None)
    assert match.is_partial
    # The newest candidate was read: the event that the word index has not reached.
    assert not match.events.any()
    assert np.flatnonzero(match.unread).tolist() == [0, 2]


def test_reading_can_be_stopped(opened) -> None:
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        match_exact("blk_-1608999687919862906", *opened, None, check=stop)


def test_a_code_is_found_with_its_masked_and_its_kept_pieces(make_index) -> None:
    """The oracle reads every event; some codes lie half in the pattern and half in a value."""
    maker = make_index()
    maker.add(*TEXTS[:5], "blk_17 blk_7503483334202473044", "10.250.19.102 and no user")
    shard = maker.directory.shards[0]
    arrays = ShardView(shard).refresh()
    masks = [None, np.array([1, 0, 1, 0, 1, 0, 1], np.bool_)]
    codes = ["blk_7503483334202473044", "/10.250.19.102:54106", "10.250.19.102", "E-9999"]
    codes.append("BadUserAccessDenied@10.250.19.102")
    with LexicalIndex.open(lexical_folder(shard)) as lexical, shard.snapshot() as snapshot:
        view, reader = lexical.view(), EventReader(snapshot, arrays)
        for code, events in itertools.product(codes, masks):
            words = set(_pieces(code.lower()))
            rows = [
                row
                for row in range(7)
                if (events is None or events[row])
                and all(word in reader.text(row).lower() for word in words)
            ]
            expected = sorted({int(arrays.columns.patterns[row]) for row in rows})
            counted = Counted(events, None if events is None else _flags(arrays, events))
            assert patterns_with_code(code, arrays, view, counted).tolist() == expected, code


def _pieces(code: str) -> list[str]:
    return [piece for piece in re.split("[/:@]", code) if piece]


def _flags(arrays: ShardArrays, events: np.ndarray) -> np.ndarray:
    flags = np.zeros(arrays.counters.patterns, np.bool_)
    flags[arrays.columns.patterns[events]] = True
    return flags


def test_a_string_at_the_end_of_a_very_long_text_is_found(make_index) -> None:
    """Words beyond the bound of what is indexed of one text ruled its event out."""
    maker = make_index()
    maker.add("filler " * 40_000 + "and the needle at last", "no such thing")
    result = maker.searcher().search(SearchRequest('"needle at last"'))
    assert [hit.count for hit in result.hits] == [1]
