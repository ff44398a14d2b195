from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dejalog.indexer import kernel, score
from dejalog.indexer.codebook import build_postings, encode_tokens, train
from dejalog.indexer.kernel.codes import CodedRows
from dejalog.indexer.quantize import dequantize_rows, quantize_rows
from dejalog.indexer.score import Scorer, SearchRules, open_scorer
from dejalog.indexer.store.compacted import CodedBlock, CodedVectors
from dejalog.indexer.store.layout import Coded, DamagedValueError
from dejalog.indexer.store.view import FreshVectors

DIM, POOLED_DIM, PATTERNS = 32, 16, 400
RULES = SearchRules()


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def fresh() -> FreshVectors:
    """Patterns of 1 to 8 tokens around 30 places."""
    random = np.random.default_rng(5)
    lengths = random.integers(1, 9, PATTERNS)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = random.standard_normal((30, DIM))
    noise = 0.5 * random.standard_normal((offsets[-1], DIM))
    tokens = unit(places[random.integers(0, 30, offsets[-1])] + noise)
    pooled = unit(random.standard_normal((PATTERNS, POOLED_DIM)))
    return FreshVectors(offsets, *quantize_rows(tokens), *quantize_rows(pooled))


@pytest.fixture(scope="module")
def coded(fresh: FreshVectors) -> CodedVectors:
    """The same patterns in three blocks."""
    tokens = len(fresh.codes)
    trained = train(fresh.codes, fresh.scales, bits=4, tokens_total=tokens, seed=1)
    book = trained.codebook
    blocks = tuple(block_of(fresh, book, a, b) for a, b in pairwise((0, 150, 151, PATTERNS)))
    about = Coded(
        bits=4,
        centroids=len(book.centroids),
        zero=book.zero,
        weight_step=book.weight_step,
        norm_low=book.norm_low,
        norm_step=book.norm_step,
        blocks=(),
    )
    return CodedVectors(book, about, blocks)


def block_of(fresh: FreshVectors, book: kernel.Codebook, first: int, end: int) -> CodedBlock:
    rows = slice(int(fresh.offsets[first]), int(fresh.offsets[end]))
    codes = encode_tokens(fresh.codes[rows], fresh.scales[rows], book)
    offsets = (fresh.offsets[first : end + 1] - fresh.offsets[first]).astype(np.uint32)
    return CodedBlock(
        first=first,
        rows=CodedRows(offsets, codes.centroid_ids, codes.norms, codes.residuals),
        postings=build_postings(codes.centroid_ids, offsets, len(book.centroids)),
        pooled_codes=fresh.pooled_codes[first:end],
        pooled_scales=fresh.pooled_scales[first:end],
    )


def query(rows: int = 5, seed: int = 1) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((rows, DIM)))


def oracle(rows: np.ndarray, fresh: FreshVectors) -> np.ndarray:
    """MaxSim of every pattern, in float64, one by one."""
    tokens = dequantize_rows(fresh.codes, fresh.scales).astype(np.float64)
    parts = pairwise(fresh.offsets.tolist())
    return np.array([(rows @ tokens[a:b].T).max(axis=1).sum() for a, b in parts])


def pooled_oracle(vector: np.ndarray, fresh: FreshVectors) -> np.ndarray:
    return dequantize_rows(fresh.pooled_codes, fresh.pooled_scales) @ vector


def every() -> np.ndarray:
    return np.arange(PATTERNS)


def allowed_only(*patterns: int) -> np.ndarray:
    allowed = np.zeros(PATTERNS, np.bool_)
    allowed[list(patterns)] = True
    return allowed


def scorers(fresh: FreshVectors, coded: CodedVectors, **changes: int) -> list[Scorer]:
    rules = SearchRules(**changes)
    return [open_scorer(query(), vectors, rules) for vectors in (fresh, coded)]


def test_both_tiers_score_on_the_scale_of_the_vectors_themselves(fresh, coded) -> None:
    expected = oracle(query(), fresh)
    for scorer, error in zip(scorers(fresh, coded), (0.02, 0.15), strict=True):
        assert scorer.rows == 5
        assert np.abs(scorer.score(every()) - expected).max() < error
        some = np.array([0, 149, 150, 151, 399])
        assert scorer.score(some) == pytest.approx(expected[some], abs=error)
        assert len(scorer.score(some[:0])) == 0


def test_codes_are_nearer_to_the_vectors_than_centroids(fresh, coded) -> None:
    expected, scorer = oracle(query(), fresh), open_scorer(query(), coded, RULES)
    nominated = scorer.nominate(None, PATTERNS)
    rough = np.abs(nominated.scores - expected).mean()
    assert np.abs(scorer.score(every()) - expected).mean() < rough / 3


def test_pooled_vectors_are_compared_without_the_tokens(fresh, coded) -> None:
    vector = unit(np.random.default_rng(8).standard_normal(POOLED_DIM))
    expected = pooled_oracle(vector, fresh)
    some = np.array([3, 150, 200])
    for scorer in scorers(fresh, coded):
        assert scorer.pooled(vector, every()) == pytest.approx(expected, abs=1e-3)
        assert scorer.pooled(vector, some) == pytest.approx(expected[some], abs=1e-3)


def test_a_fresh_shard_nominates_whatever_is_allowed(fresh, monkeypatch) -> None:
    monkeypatch.setattr(score, "STEP_TOKENS", 100)  # So that there are many steps.
    checks: list[None] = []
    scorer = open_scorer(query(), fresh, RULES)
    nominated = scorer.nominate(None, 3, check=lambda: checks.append(None))
    assert nominated.is_exact
    assert nominated.patterns.tolist() == every().tolist()
    assert nominated.scores == pytest.approx(oracle(query(), fresh), abs=0.02)
    assert len(checks) > 10
    few = scorer.nominate(allowed_only(4, 250), 1)
    assert few.patterns.tolist() == [4, 250]
    assert few.scores == pytest.approx(nominated.scores[[4, 250]])
    assert len(scorer.nominate(allowed_only(), 1).patterns) == 0


@pytest.mark.parametrize("scan_tokens_max", [0, 10**6])
def test_a_compacted_shard_nominates_those_with_the_best_scores(
    fresh, coded, scan_tokens_max: int
) -> None:
    missed = 0
    for seed in range(20):
        tokens = dequantize_rows(fresh.codes, fresh.scales)
        random = np.random.default_rng(seed)
        rows = unit(tokens[random.integers(0, len(tokens), 5)] + 0.1 * query(seed=seed))
        best = set(np.argsort(-oracle(rows, fresh))[:10].tolist())
        rules = SearchRules(scan_tokens_max=scan_tokens_max, probes=8, probed_max=200)
        nominated = open_scorer(rows, coded, rules).nominate(None, 60)
        assert not nominated.is_exact
        assert len(nominated.patterns) == len(nominated.scores) == 60
        assert (np.diff(nominated.patterns) > 0).all()
        missed += len(best - set(nominated.patterns.tolist()))
    assert missed <= 4  # of 200


@pytest.mark.parametrize("scan_tokens_max", [0, 10**6])
def test_what_a_filter_leaves_is_nominated_however_far_it_ranks(
    fresh, coded, scan_tokens_max: int
) -> None:
    worst = np.argsort(oracle(query(), fresh))[:40]
    rules = SearchRules(scan_tokens_max=scan_tokens_max, probed_max=40)
    scorer = open_scorer(query(), coded, rules)
    assert set(scorer.nominate(allowed_only(*worst), 40).patterns) == set(worst)
    assert set(scorer.nominate(allowed_only(*worst), 10).patterns) <= set(worst)


def test_the_pooled_vector_can_decide_a_nomination(fresh, coded) -> None:
    """Of short paraphrases it is the pooled vector that is near, and no token is."""
    worst = int(np.argmin(oracle(query(), fresh)))
    pooled = dequantize_rows(fresh.pooled_codes, fresh.pooled_scales)[worst]
    for pooled_max in (10**6, 1):
        rules = SearchRules(pooled_max=pooled_max, probed_max=50)
        scorer = open_scorer(query(), coded, rules)
        assert worst not in scorer.nominate(None, 20).patterns
        is_found = worst in scorer.nominate(None, 20, beside=pooled * 50).patterns
        # Beyond the bound only what is best by centroids is looked at.
        assert is_found == (pooled_max > 1)


def test_scores_of_nominations_are_near_those_of_codes(fresh, coded) -> None:
    """By how much centroids fall short differs from codebook to codebook."""
    vector = unit(np.random.default_rng(8).standard_normal(POOLED_DIM))
    scorer = open_scorer(query(), coded, RULES)
    for beside in (None, vector):
        nominated = scorer.nominate(None, 16, beside=beside)
        exact = scorer.score(nominated.patterns)
        if beside is not None:
            exact = exact + scorer.pooled(beside, nominated.patterns)
        assert nominated.scores.mean() == pytest.approx(exact.mean(), abs=1e-4)


def test_the_best_rows_add_up_to_the_score(fresh, coded) -> None:
    for scorer in scorers(fresh, coded):
        for pattern in (0, 149, 150, 399):
            rows, similarities = scorer.best_rows(pattern)
            length = int(fresh.offsets[pattern + 1] - fresh.offsets[pattern])
            assert ((rows >= 0) & (rows < length)).all()
            expected = scorer.score(np.array([pattern]))[0]
            assert similarities.sum() == pytest.approx(float(expected), abs=1e-4)


def test_a_search_that_is_stopped_stops_between_blocks(coded) -> None:
    def stop() -> None:
        raise TimeoutError

    for changes in ({}, {"scan_tokens_max": 0}):
        with pytest.raises(TimeoutError):
            open_scorer(query(), coded, SearchRules(**changes)).nominate(None, 5, check=stop)


def test_arrays_that_do_not_fit_together_are_damage(coded) -> None:
    block = coded.blocks[0]
    offsets = block.rows.offsets.copy()
    offsets[7] = 1 << 30
    rows = CodedRows(offsets, block.rows.centroid_ids, block.rows.norms, block.rows.residuals)
    bad = CodedBlock(0, rows, block.postings, block.pooled_codes, block.pooled_scales)
    vectors = CodedVectors(coded.codebook, coded.coded, (bad, *coded.blocks[1:]))
    scorer = open_scorer(query(), vectors, RULES)
    with pytest.raises(DamagedValueError):
        scorer.nominate(None, 5)
    with pytest.raises(DamagedValueError):
        scorer.score(np.array([6]))
    with pytest.raises(DamagedValueError):
        scorer.best_rows(6)
