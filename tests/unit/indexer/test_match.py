from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dejalog.indexer.match import best_first, count_words, rarity
from dejalog.indexer.query import SearchRequest
from dejalog.indexer.terms import query_terms


@given(
    hnp.arrays(np.float32, st.integers(0, 30), elements=st.sampled_from([0, 0.25, 0.5, 1])),
    st.integers(1, 40),
)
def test_the_best_come_first_and_of_equal_ones_the_newest(totals: np.ndarray, count: int) -> None:
    """As float32, times a second apart were equal, and the oldest came first."""
    newest = np.arange(len(totals)) * 10**9 + 1_700_000_000 * 10**9
    expected = sorted(range(len(totals)), key=lambda i: (-totals[i], -newest[i]))[:count]
    assert best_first(totals, newest, count).tolist() == expected


def test_a_rare_code_weighs_more_than_a_common_one() -> None:
    weights = [rarity(found, 1000) for found in (1, 10, 500, 1000)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == 1
    assert weights[-1] > 0
    assert rarity(0, 1000) == 0
    assert rarity(1, 1) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("P0420", 1), ("AN426 repair implement valve", 4), ("BadUserAccessDenied", 1), ("a-b c", 2)],
)
def test_a_word_and_its_parts_count_once(text: str, words: int) -> None:
    assert count_words(query_terms(text)) == words


def test_a_filtered_shard_scores_the_patterns_that_are_left_like_an_unfiltered_one(
    make_index,
) -> None:
    maker = make_index()
    texts = [f"{word} alarm at unit {word[0].upper()}-7" for word in ("boiler", "chiller", "dryer")]
    maker.add(*(maker.event(t, labels=(("unit", t[0]),)) for t in texts))
    searcher = maker.searcher()
    everything = {h.pattern: h.scores for h in searcher.search(SearchRequest("hot dryer")).hits}
    for text in texts:
        request = SearchRequest("hot dryer", where=(f"unit={text[0]}",))
        (hit,) = searcher.search(request).hits
        assert hit.pattern == text
        assert hit.scores.semantic == pytest.approx(everything[text].semantic, abs=1e-6)
        assert hit.scores.pooled == pytest.approx(everything[text].pooled, abs=1e-6)
