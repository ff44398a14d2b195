from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.encode import EncodedQuery, TokenSpan
from dejalog.indexer.filter import Condition
from dejalog.indexer.fuse import Weights
from dejalog.indexer.lexical import LexicalView
from dejalog.indexer.match import (
    Nominations,
    Question,
    best_first,
    meaning_rows,
    meaning_weights,
    nominate,
)
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.query import parse_query
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.retain import delete_events
from dejalog.indexer.score import SearchRules
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


@pytest.fixture
def nominations(make_index):
    """Four events of three patterns on hosts a and b, in a shard of either tier."""

    def ask(tier: str, text: str, deleted: str = "", **changes: object) -> Nominations:
        maker = make_index()
        texts = ("fan stopped", "belt slipped", "fan stopped", "door open")
        hosts = ("a", "b", "b", "a")
        labels = [(("host", host),) for host in hosts]
        maker.add(*(maker.event(t, labels=each) for t, each in zip(texts, labels, strict=True)))
        if tier == "compacted":
            maker.appender.seal()
            rules = CompactRules(write_bytes_per_s=0)
            compact_directory(maker.directory, lambda: maker.encoder, rules)
        if deleted:
            delete_events(maker.directory, [Condition("host", "=", deleted)])
        request = SearchRequest(text, **changes)  # type: ignore[arg-type]
        query = parse_query(request, frozenset({"host"}))
        is_encoded = bool(query.words.strip())
        question = Question(
            request,
            query,
            maker.encoder.encode_query(query.words) if is_encoded else None,
            tuple(query_terms(query.words)),
        )
        with OpenShards(maker.directory, maker.encoder.fingerprint).held() as held:
            shard = held.shards[0]
            with shard.reading() as snapshot:
                return nominate(
                    question,
                    shard.state,
                    snapshot,
                    shard.lexical,
                    rules=SearchRules(),
                    weights=Weights(),
                    check=lambda: None,
                )

    return ask


TIERS = pytest.mark.parametrize("tier", ["fresh", "compacted"])
FAN, BELT, DOOR = 0, 1, 2


def named(found: Nominations) -> tuple[list[int] | None, list[int], list[int]]:
    meant = None if found.meant is None else found.meant.patterns.tolist()
    return meant, found.worded.patterns.tolist(), found.newest.tolist()


@TIERS
def test_meaning_and_words_nominate_as_the_mode_says(nominations, tier: str) -> None:
    assert named(nominations(tier, "belt broken")) == ([FAN, BELT, DOOR], [BELT], [])
    assert named(nominations(tier, "belt", mode=Mode.SEMANTIC)) == ([FAN, BELT, DOOR], [], [])
    assert named(nominations(tier, "belt", mode=Mode.LEXICAL)) == (None, [BELT], [])


@TIERS
def test_without_words_the_newest_patterns_are_named(nominations, tier: str) -> None:
    assert named(nominations(tier, "", limit=1)) == (None, [], [DOOR])
    assert named(nominations(tier, "host=b", limit=1)) == (None, [], [FAN])
    assert named(nominations(tier, "host=c", limit=1)) == (None, [], [])


@TIERS
def test_filters_and_deletions_leave_only_patterns_with_an_event(nominations, tier: str) -> None:
    found = nominations(tier, "fan host=b")
    assert named(found) == ([FAN, BELT], [FAN], [])
    assert found.counted.is_filtered
    found = nominations(tier, "fan", deleted="a")
    assert named(found) == ([FAN, BELT], [FAN], [])
    assert not found.counted.is_filtered
    assert named(nominations(tier, "fan host=b", deleted="a"))[0] == [FAN, BELT]
    assert named(nominations(tier, '"stopped" host=a', deleted="a"))[0] == []
    assert named(nominations(tier, '"stopped"', deleted="a"))[0] == [FAN]
    assert named(nominations(tier, "", deleted="a"))[2] == [FAN, BELT]


@TIERS
def test_a_time_range_that_the_whole_shard_keeps_is_no_filter(nominations, tier: str) -> None:
    found = nominations(tier, "fan", since_ns=10**9, until_ns=5 * 10**9)
    assert found.counted.events is None
    assert not found.counted.is_filtered
    found = nominations(tier, "fan", since_ns=2 * 10**9)
    assert found.counted.events is not None
    assert found.counted.events.tolist() == [False, True, True, True]


def test_rows_of_codes_are_left_out_unless_there_is_nothing_else() -> None:
    vectors = np.eye(8, dtype=np.float32)[:3]
    text = "pump AN426"
    spans = (None, TokenSpan(0, 4), TokenSpan(5, 10))
    assert meaning_rows(EncodedQuery(vectors, vectors[0], spans), query_terms(text)).tolist() == [
        0,
        1,
    ]
    code = EncodedQuery(vectors[:1], vectors[0], (TokenSpan(0, 5),))
    assert meaning_rows(code, query_terms("AN426")).tolist() == [0]


def weights_of(*spans: tuple[int, int] | None) -> list[float]:
    vectors = np.eye(8, dtype=np.float32)[: len(spans)]
    stand = tuple(None if span is None else TokenSpan(*span) for span in spans)
    encoded = EncodedQuery(vectors, vectors[0], stand)
    return meaning_weights(encoded, np.arange(len(spans))).tolist()


def test_a_word_of_pieces_counts_as_the_root_of_as_many_words() -> None:
    assert weights_of((0, 4), (5, 9)) == [1.0, 1.0]
    pieces = weights_of((0, 2), (2, 3), (3, 5), (5, 9), (10, 14))
    assert sum(pieces) == pytest.approx(5)
    assert pieces[:4] == pytest.approx([pieces[4] / 2] * 4)
    left, hand, pump = weights_of((0, 2), (0, 2), (3, 9))  # `LH`, read as two words
    assert [left, hand] == pytest.approx([pump / 2**0.5] * 2)
    assert weights_of(None, (0, 4), None) == [1.0, 1.0, 1.0]


def test_a_shard_without_a_word_index_is_still_asked_for_meaning(nominations, monkeypatch) -> None:
    monkeypatch.setattr("dejalog.indexer.opened._lexical", lambda *_: LexicalView())
    assert named(nominations("fresh", "belt")) == ([FAN, BELT, DOOR], [], [])
