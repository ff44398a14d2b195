"""What the native module itself refuses; tests/parity compares what it computes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dejalog.indexer.kernel import Kernel, _native, available
from dejalog.indexer.kernel.native import Native


def test_a_kernel_that_cannot_run_here_is_refused() -> None:
    with pytest.raises(ValueError, match="no kernel 'reference' can run here"):
        Native("reference")


def test_results_are_never_written_to_a_silent_copy() -> None:
    with pytest.raises(TypeError):
        _native.best_centroids(
            np.zeros((1, 65_536, 32), np.int16),
            1,
            np.zeros((1, 1), np.int64),
            np.zeros((1, 1)),  # type: ignore[arg-type]
        )


def test_arrays_that_do_not_fit_are_refused_once_more() -> None:
    scorer = _native.Scorer("portable")
    rows, codes = np.zeros((32, 8), np.int8), np.zeros((4, 8), np.int8)
    scales, offsets = np.zeros(4, np.float32), np.zeros(2, np.int64)
    good = scorer.fresh(rows, np.zeros(32, np.float32), codes, scales, offsets)
    with pytest.raises(ValueError, match="scores do not fit"):
        scorer.maxsim(good, None, np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="whole blocks"):
        scorer.fresh(rows[:5], np.zeros(5, np.float32), codes, scales, offsets)
    with pytest.raises(ValueError, match="differ in dimensions"):
        scorer.fresh(rows, np.zeros(32, np.float32), codes.reshape(2, 16), scales[:2], offsets)
    with pytest.raises(ValueError, match="no centroids"):
        scorer.centroid_maxsim(good, None, np.zeros(1, np.int32))


@pytest.mark.parametrize("name", available()[:-1])
def test_others_run_while_a_kernel_scores(name: str) -> None:
    random = np.random.default_rng(0)
    codes = random.integers(-127, 128, (50_000, 64)).astype(np.int8)
    scales = np.ones(len(codes), np.float32)
    offsets = np.arange(0, len(codes) + 1, 25)
    query = random.standard_normal((32, 64)).astype(np.float32)
    kernel = Kernel(Native(name))
    expected = kernel.maxsim(query, codes, scales, offsets)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(kernel.maxsim(query, codes, scales, offsets)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for scores in found:
        np.testing.assert_array_equal(scores, expected)
