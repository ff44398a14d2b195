from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dejalog.indexer.kernel import Codebook, CodedRows
from dejalog.indexer.kernel.arrays import check_array, check_codebook, check_coded, check_query

CODEBOOK = Codebook(
    bits=1,
    centroids=np.zeros((3, 8), np.int8),
    centroid_scales=np.ones(3, np.float32),
    deviations=np.ones(8, np.float32),
    weights=np.array([0, 127], np.uint8),
    zero=64,
    weight_step=0.1,
    cutoffs=np.zeros(1, np.float32),
    norm_low=1.0,
    norm_step=0.1,
)
ROWS = CodedRows(
    offsets=np.zeros(1, np.uint32),
    centroid_ids=np.zeros(2, np.uint16),
    norms=np.zeros(2, np.uint8),
    residuals=np.zeros((2, 1), np.uint8),
)


def test_an_array_is_named_with_what_it_is_and_must_be() -> None:
    with pytest.raises(ValueError, match=r"^codes is float64\[2\], but must be int8\[any, 8\]$"):
        check_array("codes", np.zeros(2), np.int8, None, 8)
    with pytest.raises(ValueError, match=r"^codes is list, but"):
        check_array("codes", [1], np.int8, None)  # type: ignore[arg-type]


def test_an_array_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="not contiguous"):
        check_array("codes", np.zeros((4, 4), np.int8)[:, ::2], np.int8, None, 2)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros((0, 8), np.float32), "no rows"),
        (np.full((1, 8), np.nan, np.float32), "finite"),
        (np.zeros((1, 12), np.float32), "12 dimensions"),
        (np.zeros((1, 520), np.float32), "520 dimensions"),
    ],
)
def test_an_unfit_query_is_refused(query: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_query(query)


@pytest.mark.parametrize(
    "change",
    [
        {"bits": 3},
        {"weights": np.array([0, 128], np.uint8)},
        {"weights": np.zeros(3, np.uint8)},
        {"zero": 128},
        {"centroids": np.zeros((0, 8), np.int8)},
        {"centroid_scales": np.full(3, np.inf, np.float32)},
        {"deviations": np.ones(7, np.float32)},
        {"cutoffs": np.zeros(2, np.float32)},
        {"norm_step": float("nan")},
    ],
)
def test_an_unfit_codebook_is_refused(change: dict[str, object]) -> None:
    check_codebook(CODEBOOK)
    with pytest.raises(ValueError, match=r"codebook|bits|float32|centroids"):
        check_codebook(replace(CODEBOOK, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": np.zeros(0, np.uint32)},
        {"offsets": np.zeros(1, np.int64)},
        {"norms": np.zeros(1, np.uint8)},
        {"residuals": np.zeros((1, 1), np.uint8)},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change: dict[str, object]) -> None:
    check_coded(ROWS)
    with pytest.raises(ValueError, match=r"rows\."):
        check_coded(replace(ROWS, **change))  # type: ignore[arg-type]
