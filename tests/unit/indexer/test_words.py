from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer import words
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.filter import Counted
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.store.view import ShardArrays, ShardView
from dejalog.indexer.terms import query_terms
from dejalog.indexer.words import WordMatch, count_words, match_words, rarity

TEXTS = [
    "pump P-101 tripped, order 4711001",
    "pump P-101 tripped, order 4711002",
    "pump seal replaced",
    "alarm E-1034 at unit 7",
    "door open",
]
ALL = Counted()


@pytest.fixture
def asked(make_index):
    maker = make_index()
    maker.add(*TEXTS)
    shard = maker.directory.shards[0]
    arrays = ShardView(shard).refresh()
    with LexicalIndex.open(lexical_folder(shard)) as lexical:

        def ask(text: str, counted: Counted = ALL, wanted: int = 10) -> WordMatch:
            return match_words(query_terms(text), arrays, lexical.view(), counted, wanted=wanted)

        yield ask, arrays


def patterns_of(arrays: ShardArrays, *rows: int) -> list[int]:
    return sorted({int(arrays.columns.patterns[row]) for row in rows})


def test_only_patterns_with_a_word_in_common_appear(asked) -> None:
    ask, arrays = asked
    found = ask("pump trouble")
    assert found.patterns.tolist() == patterns_of(arrays, 0, 1, 2)
    assert (found.lexical > 0).all()
    assert (found.exact == 0).all()
    assert len(ask("giraffe").patterns) == 0


def test_a_pattern_has_the_score_of_its_text_and_of_its_best_event(asked) -> None:
    ask, arrays = asked
    whole, text, value = ask("pump 4711002"), ask("pump"), ask("4711002")
    assert value.event_scores is not None
    assert np.flatnonzero(value.event_scores).tolist() == [1]
    (pattern,) = patterns_of(arrays, 0)
    scores = [dict(zip(m.patterns.tolist(), m.lexical, strict=True)) for m in (whole, text, value)]
    assert scores[0][pattern] == pytest.approx(scores[1][pattern] + scores[2][pattern])


def test_a_code_counts_as_a_share_of_the_words(asked) -> None:
    ask, arrays = asked
    alone, beside = ask("E-1034"), ask("why E-1034 again")
    (pattern,) = patterns_of(arrays, 3)
    for found, share in ((alone, 1.0), (beside, 1 / 3)):
        at = found.patterns.tolist().index(pattern)
        assert found.exact[at] == pytest.approx(share)
        assert np.count_nonzero(found.exact) == 1


def test_events_that_do_not_count_lend_nothing(asked) -> None:
    ask, arrays = asked
    events = np.array([1, 0, 1, 1, 1], np.bool_)
    patterns = np.zeros(arrays.counters.patterns, np.bool_)
    patterns[arrays.columns.patterns[events]] = True
    found = ask("4711002", Counted(events, patterns, is_filtered=True))
    assert len(found.patterns) == 0
    assert found.event_scores is None


def test_behind_a_filter_the_ranks_are_read_until_enough_count(asked, monkeypatch) -> None:
    """The depth of the first look was the end: what the filter left ranked behind it."""
    ask, arrays = asked
    monkeypatch.setattr(words, "LEXICAL_DEPTH", 1)
    events = np.array([0, 0, 1, 0, 0], np.bool_)
    patterns = np.zeros(arrays.counters.patterns, np.bool_)
    patterns[arrays.columns.patterns[events]] = True
    found = ask("pump P-101 tripped", Counted(events, patterns, is_filtered=True), wanted=1)
    assert found.patterns.tolist() == patterns_of(arrays, 2)
    monkeypatch.setattr(words, "FILTERED_DEPTH", 1)
    cut = ask("pump tripped", Counted(events, patterns, is_filtered=True), wanted=1)
    assert len(cut.patterns) == 0


def test_a_rare_code_weighs_more_than_a_common_one() -> None:
    weights = [rarity(found, 1000) for found in (1, 10, 500, 1000)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == 1
    assert weights[-1] > 0
    assert rarity(0, 1000) == 0
    assert rarity(1, 1) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [("P0420", 1), ("AN426 repair implement valve", 4), ("BadUserAccessDenied", 1), ("a-b c", 2)],
)
def test_a_word_and_its_parts_count_once(text: str, count: int) -> None:
    assert count_words(query_terms(text)) == count


CODES = [
    "drive stopped with E-1034",
    "catalyst P0420 stored",
    "update failed 0x80070005",
    "received block blk_-1608999687919862906",
    "connection to 10.0.0.7:443 refused",
    "span TraceIds missing",
    "call of getRestTicketNumber failed",
    "E-1035 P0421 0x80070006 blk_-1608999687919862907 10.0.0.8:443 nothing of these",
]


@pytest.fixture
def asked_codes(make_index):
    maker = make_index()
    maker.add(*CODES)
    shard = maker.directory.shards[0]
    arrays = ShardView(shard).refresh()
    with LexicalIndex.open(lexical_folder(shard)) as lexical:

        def best(text: str) -> tuple[int, bool]:
            """The row of the best pattern by words, and whether it alone has the code."""
            found = match_words(query_terms(text), arrays, lexical.view(), ALL, wanted=10)
            place = int((found.lexical + found.exact).argmax())
            pattern = int(found.patterns[place])
            (row,) = np.flatnonzero(arrays.columns.patterns == pattern).tolist()
            return row, found.exact[place] > 0 and np.count_nonzero(found.exact) == 1

        yield best


@pytest.mark.parametrize(
    ("code", "row"),
    [
        *(("E-1034", 0), ("e-1034", 0), ("E1034", 0), ("e_1034", 0)),
        *(("P0420", 1), ("p0420", 1), ("P-0420", 1)),
        *(("0x80070005", 2), ("0X80070005", 2)),
        ("blk_-1608999687919862906", 3),
        ("10.0.0.7:443", 4),
        *(("getRestTicketNumber", 6), ("getrestticketnumber", 6)),
    ],
)
def test_a_code_is_found_letter_for_letter_in_any_case_with_or_without_its_hyphen(
    asked_codes, code: str, row: int
) -> None:
    found, is_exact = asked_codes(code)
    assert found == row
    # In lower case nothing tells the name of a function from a word.
    assert is_exact == (code != "getrestticketnumber")


@pytest.mark.parametrize("name", ["TraceIds", "traceids", "trace ids", "TRACEIDS"])
def test_a_name_of_two_words_is_found_whole_and_in_parts(asked_codes, name: str) -> None:
    assert asked_codes(name)[0] == 5
