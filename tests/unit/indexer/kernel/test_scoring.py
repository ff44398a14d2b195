"""What every kernel refuses before it scores, and that the public functions score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dejalog.indexer import kernel
from dejalog.indexer.kernel import Codebook, CodedRows, Kernel, Postings, available
from dejalog.indexer.kernel.backends import backend_of

CODEBOOK = Codebook(
    bits=4,
    centroids=np.eye(8, dtype=np.int8),
    centroid_scales=np.ones(8, np.float32),
    deviations=np.full(8, 0.1, np.float32),
    weights=np.arange(16, dtype=np.uint8),
    zero=8,
    weight_step=0.1,
    cutoffs=np.linspace(-0.7, 0.7, 15).astype(np.float32),
    norm_low=0.5,
    norm_step=0.01,
)
CODES = np.eye(8, dtype=np.int8) * np.int8(100)
SCALES = np.full(8, 0.01, np.float32)
OFFSETS = np.array([0, 2, 2, 8], np.int64)
QUERY = np.eye(8, dtype=np.float32)[:3]

pytestmark = pytest.mark.parametrize("scorer", [Kernel(backend_of(n)) for n in available()])


def coded(scorer: Kernel) -> CodedRows:
    ids = scorer.nearest(CODES, SCALES, CODEBOOK.centroids, CODEBOOK.centroid_scales)
    residuals, norms = scorer.encode(CODES, SCALES, CODEBOOK, ids)
    return CodedRows(OFFSETS.astype(np.uint32), ids, norms, residuals)


def test_vectors_are_found_by_themselves_fresh_or_coded(scorer: Kernel) -> None:
    np.testing.assert_allclose(scorer.maxsim(QUERY, CODES, SCALES, OFFSETS), [2, 0, 1], rtol=1e-2)
    assert scorer.best_rows(QUERY, CODES, SCALES)[0].tolist() == [0, 1, 2]
    rows = coded(scorer)
    assert rows.centroid_ids.tolist() == list(range(8))
    prepared = scorer.prepare(QUERY, CODEBOOK)
    np.testing.assert_allclose(scorer.code_maxsim(prepared, rows), [2, 0, 1], atol=0.1)
    assert scorer.centroid_maxsim(prepared, rows)[1] == 0
    best, similarities = scorer.code_best_rows(prepared, rows, 2)
    assert best.tolist()[2] == 0
    assert similarities[2] == pytest.approx(1, abs=0.05)


def test_one_vector_is_compared_with_rows(scorer: Kernel) -> None:
    dots = scorer.row_dots(QUERY[1], CODES, SCALES)
    np.testing.assert_allclose(dots, [0, 1, 0, 0, 0, 0, 0, 0], atol=1e-3)
    some = scorer.row_dots(QUERY[1], CODES, SCALES, np.array([5, 1], np.uint32))
    assert some.tolist() == [dots[5], dots[1]]
    with pytest.raises(ValueError, match="number 8"):
        scorer.row_dots(QUERY[1], CODES, SCALES, np.array([8], np.uint32))


@pytest.mark.parametrize(
    "offsets", [[0, 9], [3, 2], [-1, 2], [0, 2**40], [5, 2, 8], [0, 2**63 - 1, 8]]
)
def test_ranges_outside_of_the_tokens_are_refused(scorer: Kernel, offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        scorer.maxsim(QUERY, CODES, SCALES, np.array(offsets, np.int64))


def test_unknown_patterns_are_refused(scorer: Kernel) -> None:
    prepared, rows = scorer.prepare(QUERY, CODEBOOK), coded(scorer)
    for number in (3, 2**32 - 1):
        patterns = np.array([0, number], np.uint32)
        with pytest.raises(ValueError, match="lack a pattern"):
            scorer.maxsim(QUERY, CODES, SCALES, OFFSETS, patterns)
        with pytest.raises(ValueError, match="lack a pattern"):
            scorer.code_maxsim(prepared, rows, patterns)


def test_a_bad_range_that_nobody_asks_for_does_no_harm(scorer: Kernel) -> None:
    offsets = np.array([0, 2, 99], np.int64)
    assert scorer.maxsim(QUERY, CODES, SCALES, offsets, np.array([0], np.uint32)).shape == (1,)


def test_a_pattern_without_tokens_has_no_best_row(scorer: Kernel) -> None:
    prepared = scorer.prepare(QUERY, CODEBOOK)
    with pytest.raises(ValueError, match="pattern 1 has no tokens"):
        scorer.code_best_rows(prepared, coded(scorer), 1)
    with pytest.raises(ValueError, match="no rows"):
        scorer.best_rows(QUERY, CODES[:0], SCALES[:0])


def test_rows_of_other_bits_are_refused(scorer: Kernel) -> None:
    prepared = scorer.prepare(QUERY, CODEBOOK)
    rows = replace(coded(scorer), residuals=np.zeros((8, 2), np.uint8))
    with pytest.raises(ValueError, match=r"rows\.residuals"):
        scorer.code_maxsim(prepared, rows)


def test_lists_outside_of_their_patterns_are_refused(scorer: Kernel) -> None:
    prepared = scorer.prepare(QUERY, CODEBOOK)
    starts = np.array([0, 9, 9, 9, 9, 9, 9, 9, 9], np.uint32)
    with pytest.raises(ValueError, match="outside"):
        scorer.probe(prepared, Postings(starts, np.zeros(4, np.uint16)), 10, 2)


def test_a_list_counts_by_what_it_is_above_the_next(scorer: Kernel) -> None:
    prepared = scorer.prepare(QUERY[:1], CODEBOOK)
    starts = np.array([0, 2, 3, 3, 3, 3, 3, 3, 3], np.uint32)
    postings = Postings(starts, np.array([1, 4, 4], np.uint16))
    one = int(prepared.table[0, 0, 0])
    assert scorer.probe(prepared, postings, 6, 1).tolist() == [0, one, 0, 0, one, 0]
    is_allowed = np.array([1, 0, 1, 1, 1, 1], np.uint8)
    assert scorer.probe(prepared, postings, 6, 1, is_allowed).tolist() == [0, 0, 0, 0, one, 0]
    everything = scorer.probed(prepared, 99)
    assert everything.centroids[0].tolist() == list(range(8))
    assert everything.gains[0].tolist() == [one + 1] + [1] * 7


def test_of_equal_scores_the_first_are_taken(scorer: Kernel) -> None:
    scores = np.array([5, 7, 5, 5, 0], np.int32)
    assert scorer.top(scores, 2).tolist() == [0, 1]
    assert scorer.top(scores, 9, 0).tolist() == [0, 1, 2, 3]
    assert scorer.top(np.array([np.nan, -1, 2], np.float32), 9).tolist() == [1, 2]
    with pytest.raises(ValueError, match="-1 largest"):
        scorer.top(scores, -1)


def test_a_centroid_that_the_codebook_lacks_is_refused(scorer: Kernel) -> None:
    with pytest.raises(ValueError, match="centroid 8 of a codebook that has 8"):
        scorer.encode(CODES, SCALES, CODEBOOK, np.full(8, 8, np.uint16))


def test_read_only_arrays_are_scored(scorer: Kernel) -> None:
    codes, scales = CODES.copy(), SCALES.copy()
    codes.flags.writeable = scales.flags.writeable = False
    assert scorer.maxsim(QUERY, codes, scales, OFFSETS).shape == (3,)
    data = bytes(1) + codes.tobytes()  # off every alignment
    crooked = np.frombuffer(data, np.int8, offset=1).reshape(8, 8)
    np.testing.assert_array_equal(
        scorer.maxsim(QUERY, crooked, scales, OFFSETS),
        scorer.maxsim(QUERY, codes, scales, OFFSETS),
    )


def test_the_public_functions_are_those_of_the_chosen_kernel(scorer: Kernel) -> None:
    np.testing.assert_array_equal(
        kernel.maxsim(QUERY, CODES, SCALES, OFFSETS), scorer.maxsim(QUERY, CODES, SCALES, OFFSETS)
    )
