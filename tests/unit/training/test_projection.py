"""The projection keeps high similarities, and is the same each time."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

TRAINING = Path(__file__).parents[3] / "training"


@pytest.fixture
def projection(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script's part, which is no package."""
    monkeypatch.syspath_prepend(TRAINING)
    return importlib.import_module("projection")


@pytest.fixture
def rows() -> NDArray[np.float32]:
    """Groups of near neighbours in 24 dimensions that share one strong direction."""
    draw = np.random.default_rng(5)
    centres = np.repeat(draw.normal(size=(60, 24)), 8, axis=0)
    noisy = centres + 0.4 * draw.normal(size=(480, 24)) + 3 * np.eye(24)[0]
    return noisy.astype(np.float32)


def error_of_neighbours(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> float:
    def cosines(each: NDArray[np.float32]) -> NDArray[np.float32]:
        unit = each / np.linalg.norm(each, axis=1, keepdims=True)
        return unit @ unit.T

    before, after = cosines(rows), cosines(rows @ matrix)
    near = (before > 0.8) & ~np.eye(len(rows), dtype=bool)
    return float(np.abs(before - after)[near].mean())


def test_near_neighbours_are_kept_better_than_by_principal_axes(
    projection: ModuleType, rows: NDArray[np.float32]
) -> None:
    fitted = projection.fit(rows, np.arange(480) % 60, 8)
    _, axes = np.linalg.eigh(rows.T @ rows)
    assert fitted.shape == (24, 8)
    assert error_of_neighbours(rows, fitted) < 0.8 * error_of_neighbours(rows, axes[:, -8:])


def test_the_same_rows_give_the_same_projection(
    projection: ModuleType, rows: NDArray[np.float32]
) -> None:
    tokens = np.arange(480) % 60
    np.testing.assert_array_equal(projection.fit(rows, tokens, 4), projection.fit(rows, tokens, 4))
