"""Fit the projection that narrows token vectors while keeping what MaxSim looks at.

MaxSim takes the best match of each query token, so only the high similarities must survive. The
projection is fitted to them, without labels:

1. Start from the principal axes, each scaled down a little the stronger it is.
2. Draw rows, rare tokens more often than common ones, and compare the cosines between them before
   and after the projection. An error weighs exp(SHARPNESS * cosine before).
3. Follow the gradient (Adam, step length falling to zero).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

#: Of 0, 4, 8, 12 and 16, 8 gave the best ranking on the development tasks.
SHARPNESS = 8.0

#: The weighted error no longer falls after about 400 steps.
STEPS = 600

#: Rows of one step; their cosines to each other are STEP_ROWS squared pairs.
STEP_ROWS = 1024

LEARNING_RATE = 2e-3

#: An axis of k times the power starts at k to the minus this times the length.
FLATTENING = 0.2


def fit(rows: Rows, tokens: NDArray[np.int64], dim: int) -> Rows:
    """Returns the projection float32[hidden, dim].

    `rows` float32[count, hidden] are hidden states and `tokens` int64[count] their token ids.
    """
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    counts = np.unique(tokens, return_inverse=True, return_counts=True)
    # Frequent tokens would otherwise fill every step with the same few comparisons.
    chance = 1 / np.sqrt(counts[2][counts[1]].astype(np.float64))
    chance /= chance.sum()
    matrix = _principal_axes(unit, dim)
    optimiser = _Adam(matrix.shape)
    draw = np.random.default_rng(0)
    for step in range(STEPS):
        chosen = draw.choice(len(unit), min(STEP_ROWS, len(unit)), replace=False, p=chance)
        gradient = _gradient(unit[chosen], matrix)
        matrix -= optimiser.step(gradient, LEARNING_RATE * (1 - step / STEPS))
    return matrix


def _principal_axes(unit: Rows, dim: int) -> Rows:
    power, axes = np.linalg.eigh(unit.T.astype(np.float64) @ unit)
    power, axes = power[::-1][:dim], axes[:, ::-1][:, :dim]
    # An axis has no sign of its own: fix it, so that the same rows give the same projection.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dim)])
    matrix = axes * (power / power[0]) ** -FLATTENING
    # The learning rate is chosen for columns of length one.
    scaled: Rows = (matrix * np.sqrt(dim) / np.linalg.norm(matrix)).astype(np.float32)
    return scaled


def _gradient(unit: Rows, matrix: Rows) -> Rows:
    before = unit @ unit.T
    projected = unit @ matrix
    length = np.linalg.norm(projected, axis=1, keepdims=True)
    narrow = projected / length
    weight = np.exp(SHARPNESS * (before - 1))
    np.fill_diagonal(weight, 0)
    weight /= weight.sum()
    # The pairs are symmetric: each one's error reaches both of its rows.
    pull = 4 * (weight * (narrow @ narrow.T - before)) @ narrow
    inward = narrow * (narrow * pull).sum(axis=1, keepdims=True)
    gradient: Rows = unit.T @ ((pull - inward) / length)
    return gradient


class _Adam:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self._first = np.zeros(shape, np.float32)
        self._second = np.zeros(shape, np.float32)
        self._count = 0

    def step(self, gradient: Rows, rate: float) -> Rows:
        self._count += 1
        self._first = 0.9 * self._first + 0.1 * gradient
        self._second = 0.999 * self._second + 0.001 * gradient**2
        first = self._first / (1 - 0.9**self._count)
        second = self._second / (1 - 0.999**self._count)
        change: Rows = rate * first / (np.sqrt(second) + 1e-12)
        return change
