from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer import exact
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.exact import events_with_code, match_exact, whole_words
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.query import SearchRequest
from dejalog.indexer.store.view import ShardView

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


def test_a_code_is_found_with_its_masked_and_its_kept_pieces(opened) -> None:
    arrays, lexical, _ = opened
    found = events_with_code("blk_7503483334202473044", arrays, lexical)
    assert np.flatnonzero(found).tolist() == [1]
    assert not events_with_code("E-9999", arrays, lexical).any()


def test_a_string_at_the_end_of_a_very_long_text_is_found(make_index) -> None:
    """Words beyond the bound of what is indexed of one text ruled its event out."""
    maker = make_index()
    maker.add("filler " * 40_000 + "and the needle at last", "no such thing")
    result = maker.searcher().search(SearchRequest('"needle at last"'))
    assert [hit.count for hit in result.hits] == [1]
