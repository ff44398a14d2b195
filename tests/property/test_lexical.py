"""The lexical index against a dictionary of sets, and the cutting of any text into terms."""

import math
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.terms import (
    FORM_WEIGHT,
    MAX_TERM_CHARS,
    document_terms,
    index_terms,
    query_terms,
    word_terms,
)

CODE = st.from_regex(r"[A-Z]{1,4}-?[0-9]{2,5}", fullmatch=True)
WORD = st.sampled_from(
    [
        "pump",
        "leaks",
        "leaking",
        "BadUserAccess",
        "oil",
        "ts-order-pod",
        "10.0.0.7:443",
        "\u8ba1\u7b97",
    ]
)
TEXT = st.lists(CODE | WORD, max_size=6).map(" ".join)


@given(st.text())
def test_any_text_is_cut_into_sound_terms(text: str) -> None:
    terms = index_terms(text)
    assert all(0 < len(term) <= MAX_TERM_CHARS for term in terms)
    assert not any(character.isspace() for term in terms for character in term)
    for term in query_terms(text):
        assert 0 <= term.start < term.end <= len(text)
        assert 0 < term.weight <= 1


@given(st.text(max_size=60))
def test_a_query_finds_the_text_it_was_copied_from(text: str) -> None:
    assert set(index_terms(text)) == {term.text for term in query_terms(text)}


@given(st.text(max_size=60))
def test_words_and_forms_are_all_the_terms(text: str) -> None:
    terms = document_terms(text)
    assert set(terms.words) | set(terms.forms) == set(index_terms(text))
    assert word_terms(text) == terms.words


@given(TEXT, st.sampled_from([str.upper, str.lower, str.swapcase]))
def test_words_are_found_in_any_case(text: str, recase: object) -> None:
    assert callable(recase)
    assert word_terms(recase(text)) == word_terms(text)


@pytest.mark.timeout(300)
@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(TEXT, max_size=5), max_size=4), st.lists(TEXT, min_size=1, max_size=3))
def test_the_index_finds_what_a_scan_finds(batches: list[list[str]], queries: list[str]) -> None:
    documents: dict[int, str] = {}
    with (
        TemporaryDirectory() as folder,
        LexicalIndex.open(Path(folder) / "lexical", writable=True) as index,
    ):
        for batch in batches:
            added = list(enumerate(batch, len(documents)))
            documents |= dict(added)
            end = len(documents)
            index.append(added, added, patterns_end=end, events_end=end)
        for query in queries:
            wanted = {term.text for term in query_terms(query)}
            having = [i for i, text in documents.items() if wanted & set(index_terms(text))]
            hits = index.rank_patterns(query_terms(query), limit=100)
            assert sorted(hits.ids.tolist()) == having
            assert sorted(index.rank_events(query_terms(query), limit=100).ids) == having
            for term in wanted:
                exact = [i for i, text in documents.items() if term in index_terms(text)]
                assert index.patterns_with(term).tolist() == exact
                assert index.events_with(term).tolist() == exact
        assert index.verify() == []


def test_a_code_finds_its_number_written_as_a_word_of_its_own() -> None:
    """The part `00` of `A00` was looked up among forms only, but in `A-00` it is a word."""
    with (
        TemporaryDirectory() as folder,
        LexicalIndex.open(Path(folder) / "lexical", writable=True) as index,
    ):
        index.append([(0, "A-00"), (1, "pump")], [], patterns_end=2, events_end=0)
        assert index.rank_patterns(query_terms("A00"), limit=10).ids.tolist() == [0]


def bm25(query: str, documents: list[list[str]]) -> list[float]:
    """Robertson's BM25 with k1 = 1.2 and b = 0.75, and the idf that cannot be negative."""
    average = sum(map(len, documents)) / len(documents)
    with_it = sum(query in document for document in documents)
    idf = math.log(1 + (len(documents) - with_it + 0.5) / (with_it + 0.5))
    scores = []
    for document in documents:
        count = Counter(document)[query]
        scores.append(idf * 2.2 * count / (count + 1.2 * (0.25 + 0.75 * len(document) / average)))
    return scores


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["pump", "oil", "axis"]), min_size=1), min_size=1))
def test_scores_are_those_of_bm25(documents: list[list[str]]) -> None:
    with (
        TemporaryDirectory() as folder,
        LexicalIndex.open(Path(folder) / "lexical", writable=True) as index,
    ):
        texts = list(enumerate(map(" ".join, documents)))
        index.append(texts, [], patterns_end=len(texts), events_end=0)
        hits = index.rank_patterns(query_terms("pump"), limit=100)
        # `pump` is its own stem, so it scores once as a word and with less weight as a form.
        expected = [score * (1 + FORM_WEIGHT) for score in bm25("pump", documents)]
        for number, score in zip(hits.ids, hits.scores, strict=True):
            # tantivy keeps lengths in one byte: exact up to 40 words, rounded beyond.
            tolerance = 1e-4 if max(map(len, documents)) <= 40 else 0.1
            assert score == pytest.approx(expected[number], rel=tolerance)
