from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dejalog.indexer.candidates import FULL_MATCH, choose, lexical_share, score_candidates
from dejalog.indexer.filter import Counted
from dejalog.indexer.fuse import Weights
from dejalog.indexer.match import Nominations, Question
from dejalog.indexer.query import Query
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.score import Nominated, SearchRules
from dejalog.indexer.store.compacted import order_events
from dejalog.indexer.store.layout import Columns, Counters
from dejalog.indexer.store.shard import new_header
from dejalog.indexer.store.view import ShardArrays
from dejalog.indexer.words import NO_WORDS, WordMatch

PATTERNS = 10


def question(limit: int = 2, mode: Mode = Mode.HYBRID) -> Question:
    return Question(SearchRequest("x", limit=limit, mode=mode), Query("x", (), ()), None, ())


def arrays() -> ShardArrays:
    """Thirty events, three of each pattern; event i happens at second i."""
    numbers = np.arange(3 * PATTERNS)
    columns = Columns(
        numbers.astype(np.int64),
        (numbers % PATTERNS).astype(np.uint32),
        np.zeros(len(numbers), np.uint32),
        np.ones(len(numbers), np.uint8),
    )
    order = order_events(columns, PATTERNS)
    header = new_header(
        shard=1, created_ns=0, first_event=0, first_dead_letter=0,
        encoder_fingerprint="none", mask_version=1, dim=8, pooled_dim=8,
    )  # fmt: skip
    return ShardArrays(
        shard=None,  # type: ignore[arg-type]
        header=header,
        counters=Counters(events=len(numbers), patterns=PATTERNS),
        vectors=None,  # type: ignore[arg-type]
        columns=columns,
        newest=order.newest,
        order=order,
        labelsets=((),),
        label_names=frozenset(),
        deleted=None,
    )


def shard(
    meant: dict[int, float] | None = None,
    worded: dict[int, tuple[float, float]] | None = None,
    *,
    newest: tuple[int, ...] = (),
    is_exact: bool = False,
) -> Nominations:
    words = NO_WORDS
    if worded is not None:
        patterns = np.array(sorted(worded), np.int64)
        values = np.array([worded[p] for p in sorted(worded)], np.float32).reshape(-1, 2)
        words = WordMatch(patterns, values[:, 0], values[:, 1], None)
    by_meaning = None
    if meant is not None:
        scores = np.array([meant[p] for p in sorted(meant)], np.float32)
        by_meaning = Nominated(np.array(sorted(meant), np.int64), scores, is_exact)
    first = np.array(newest, np.int64)
    return Nominations(arrays(), Counted(), None, by_meaning, words, first, is_partial=False)


def chosen(
    shards: list[Nominations], limit: int = 2, mode: Mode = Mode.HYBRID, **rules: int
) -> list[list[int]]:
    given = SearchRules(**{"candidates_max": 3, "words_max": 2, **rules})
    found = choose(question(limit, mode), shards, given, Weights())
    return [patterns.tolist() for patterns in found]


def test_nominations_are_cut_over_all_shards_together() -> None:
    shards = [shard({1: 0.9, 2: 0.1, 7: 0.5}), shard(), shard({0: 0.3, 4: 0.8})]
    assert chosen(shards) == [[1, 7], [], [4]]
    assert chosen(shards, candidates_max=9) == [[1, 2, 7], [], [0, 4]]
    assert chosen([]) == []


def test_a_shard_whose_scores_are_exact_is_not_cut_and_takes_no_room() -> None:
    exact = shard(dict.fromkeys(range(PATTERNS), 5.0), is_exact=True)
    assert chosen([exact, shard({1: 0.9, 2: 0.1, 7: 0.5})]) == [list(range(PATTERNS)), [1, 2, 7]]


def test_more_hits_than_the_bound_raise_it() -> None:
    many = shard({n: float(n) for n in range(PATTERNS)})
    assert chosen([many], limit=5) == [[5, 6, 7, 8, 9]]


def test_words_are_cut_by_what_they_add_to_a_total() -> None:
    # BM25 counts as a share of the best, 8.0; an exact code outweighs half of it.
    shards = [shard({5: 1.0}, {1: (8.0, 0.0), 2: (2.0, 0.0)}), shard({}, {3: (0.0, 0.9)})]
    assert chosen(shards) == [[1, 5], [3]]
    assert chosen(shards, mode=Mode.LEXICAL) == [[1, 2, 5], []]


def test_of_equal_words_the_newest_are_kept_and_no_more_than_the_bound() -> None:
    """A code that every pattern had made every pattern a candidate."""
    same = dict.fromkeys(range(PATTERNS), (0.0, 0.5))
    assert chosen([shard({}, same)]) == [[8, 9]]


def test_what_is_newest_is_a_candidate_without_words() -> None:
    assert chosen([shard(newest=(3, 4)), shard(newest=(9,))]) == [[3, 4], [9]]


def test_channels_of_words_reach_their_patterns() -> None:
    given = shard(worded={2: (4.0, 0.5), 6: (1.0, 0.0), 8: (3.0, 0.0)})
    match = score_candidates(question(), given, np.array([1, 2, 8]))
    assert match.lexical.tolist() == [0.0, 4.0, 3.0]
    assert match.exact.tolist() == [0.0, 0.5, 0.0]
    assert match.semantic.tolist() == match.pooled.tolist() == [0.0, 0.0, 0.0]
    assert match.newest.tolist() == [21, 22, 28]
    assert (match.events_counted, match.patterns_counted) == (30, 10)


@pytest.mark.parametrize("has_order", [True, False])
def test_the_newest_time_is_that_of_the_newest_event_that_counts(has_order: bool) -> None:
    state = arrays()
    events = np.arange(30) < 12
    patterns = np.ones(PATTERNS, np.bool_)
    given = replace(
        shard(),
        arrays=state if has_order else replace(state, order=None),
        counted=Counted(events, patterns, is_filtered=True),
    )
    match = score_candidates(question(), given, np.array([0, 1, 5]))
    assert match.newest.tolist() == [10, 11, 5]
    assert match.rows_of(1).tolist() == [1, 11]
    assert (match.events_counted, match.patterns_counted) == (12, 10)
    none = score_candidates(question(), given, np.zeros(0, np.int64))
    assert len(none.newest) == 0


def test_words_count_as_a_share_of_the_best() -> None:
    values = np.array([0.0, 2.0, 4.0], np.float32)
    assert lexical_share(values, 4.0).tolist() == [0.0, 0.5, 1.0]
    assert lexical_share(values[:1], 0.0).tolist() == [0.0]


def test_few_and_common_words_do_not_count_in_full() -> None:
    values = np.array([0.0, 1.0], np.float32)
    assert lexical_share(values, 1.0).tolist() == [0.0, 1.0 / FULL_MATCH]
    assert lexical_share(values, FULL_MATCH + 2).tolist() == [0.0, pytest.approx(0.25)]
