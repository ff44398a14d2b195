"""The kernels in NumPy: the definition of correct that every native one must match bit for bit.

MaxSim(query, pattern) = sum over query rows of the largest dot product with any of the pattern's
rows (Khattab and Zaharia, ColBERT, SIGIR 2020, equation 3). codes.py defines codes and their score.

Dot products of int8 with up to 512 dims are whole numbers below 2**24, so float32 holds them and
all their partial sums exactly, whatever the order; those with int16 are summed as float64.

Sums over query rows are float64: 32 rows at a time by halves (row 0 + row 16, ...; then 0 + 8 ...),
then block after block; kernels leave out rows of padding, which only add zeros. A pattern without
rows scores 0. Inputs are taken as checked by scoring.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.kernel import queries
from dejalog.indexer.kernel.codes import (
    QUERY_ROWS,
    Codebook,
    CodedRows,
    Postings,
    PreparedQuery,
)
from dejalog.indexer.kernel.packing import pack, unpack
from dejalog.indexer.kernel.queries import INT16_MAX, Probes

#: Rows scored at once: 2 k rows of 96 dims are 0.8 MB as float32, which stays in the L2 cache.
_BLOCK_ROWS = 2_048

#: Tokens x centroids compared at once.
_NEAREST_CELLS = 1 << 22

_T = TypeVar("_T", bound=np.generic)


def is_within(
    bounds: NDArray[np.int64] | NDArray[np.uint32],
    numbers: NDArray[np.uint32] | None,
    limit: int,
) -> bool:
    """Whether bounds[i] to bounds[i + 1] lies within 0 to `limit` for all i, or for `numbers`."""
    if numbers is None:
        starts, ends = bounds[:-1], bounds[1:]
    elif len(numbers) and int(numbers.max()) >= len(bounds) - 1:
        return False
    else:
        starts, ends = bounds[numbers], bounds[numbers.astype(np.int64) + 1]
    is_inside = (starts >= 0) & (starts <= ends) & (ends <= limit)
    return bool(is_inside.all())


def maxsim(
    query: NDArray[np.float32],
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    offsets: NDArray[np.int64],
    patterns: NDArray[np.uint32] | None = None,
) -> NDArray[np.float32]:
    """See scoring.Kernel.maxsim."""
    rows, row_scales = queries.quantize_int8(query)

    def similarities(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        return _dots(codes[tokens], rows) * scales[tokens, None]

    scores = np.zeros(len(offsets) - 1 if patterns is None else len(patterns), np.float32)
    for places, best in _maxima(offsets, patterns, similarities):
        scores[places] = _total(best.astype(np.float64) * row_scales)
    return scores


def best_rows(
    query: NDArray[np.float32], codes: NDArray[np.int8], scales: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """See scoring.Kernel.best_rows."""
    rows, row_scales = queries.quantize_int8(query)
    similarities = _dots(codes, rows) * scales[:, None]
    best = similarities.argmax(axis=0)
    return best, similarities[best, np.arange(len(query))] * row_scales


def row_dots(
    query: NDArray[np.float32],
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    rows: NDArray[np.uint32] | None = None,
) -> NDArray[np.float32]:
    """See scoring.Kernel.row_dots."""
    wide, wide_scales = queries.quantize_int16(query[None])
    if rows is not None:
        codes, scales = codes[rows], scales[rows]
    dots = np.zeros(len(codes), np.float32)
    for start in range(0, len(codes), _BLOCK_ROWS):
        part = codes[start : start + _BLOCK_ROWS].astype(np.float64)
        dots[start : start + _BLOCK_ROWS] = part @ wide[0].astype(np.float64)
    products: NDArray[np.float32] = dots * scales * wide_scales[0]
    return products


def nearest(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    centroids: NDArray[np.int8],
    centroid_scales: NDArray[np.float32],
) -> NDArray[np.uint16]:
    """See scoring.Kernel.nearest."""
    halves = half_squares(centroids, centroid_scales)
    step = max(_NEAREST_CELLS // len(centroids), 1)
    found = np.zeros(len(codes), np.uint16)
    for start in range(0, len(codes), step):
        part = slice(start, start + step)
        values = _dots(codes[part], centroids) * centroid_scales
        values *= scales[part, None]
        values -= halves
        found[part] = values.argmax(axis=1)
    return found


def half_squares(
    centroids: NDArray[np.int8], centroid_scales: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns float32[k], half of each centroid's squared norm."""
    numbers = centroids.astype(np.float32)
    squares = np.einsum("kd,kd->k", numbers, numbers).astype(np.float64)
    scales = centroid_scales.astype(np.float64)
    halves: NDArray[np.float32] = (squares * (scales * scales) * 0.5).astype(np.float32)
    return halves


def prepare(query: NDArray[np.float32], codebook: Codebook) -> PreparedQuery:
    """See scoring.Kernel.prepare."""
    prepared, plan = queries.plan_query(query, codebook, queries.centroid_norm(codebook))
    dots = codebook.centroids.astype(np.float64) @ plan.rows.T.astype(np.float64)
    values = dots.astype(np.float32) * codebook.centroid_scales[:, None] * plan.factors
    values = np.clip(np.rint(values), -INT16_MAX, INT16_MAX)
    blocks = values.reshape(len(values), -1, prepared.table.shape[2]).transpose(1, 0, 2)
    prepared.table[:, : len(values)] = blocks
    return prepared


def centroid_maxsim(
    prepared: PreparedQuery, rows: CodedRows, patterns: NDArray[np.uint32] | None = None
) -> NDArray[np.int32]:
    """See scoring.Kernel.centroid_maxsim."""

    def entries(tokens: NDArray[np.int64]) -> NDArray[np.int16]:
        return _entries(prepared, rows.centroid_ids[tokens])

    count = len(rows.offsets) - 1 if patterns is None else len(patterns)
    scores = np.zeros(count, np.int32)
    for places, best in _maxima(rows.offsets.astype(np.int64), patterns, entries):
        scores[places] = best.sum(axis=1, dtype=np.int32)
    return scores


def code_maxsim(
    prepared: PreparedQuery, rows: CodedRows, patterns: NDArray[np.uint32] | None = None
) -> NDArray[np.float32]:
    """See scoring.Kernel.code_maxsim."""

    def similarities(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        return _code_similarities(prepared, rows, tokens)

    count = len(rows.offsets) - 1 if patterns is None else len(patterns)
    scores = np.zeros(count, np.float32)
    for places, best in _maxima(rows.offsets.astype(np.int64), patterns, similarities):
        scores[places] = prepared.unit * _total(best.astype(np.float64))
    return scores


def code_best_rows(
    prepared: PreparedQuery, rows: CodedRows, pattern: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """See scoring.Kernel.code_best_rows."""
    tokens = np.arange(int(rows.offsets[pattern]), int(rows.offsets[pattern + 1]))
    similarities = _code_similarities(prepared, rows, tokens)
    best = similarities.argmax(axis=0)
    values = similarities[best, np.arange(prepared.count)].astype(np.float64) * prepared.unit
    return best, values.astype(np.float32)


def probed(prepared: PreparedQuery, probes: int) -> Probes:
    """See scoring.Kernel.probed."""
    table = _entries(prepared, np.arange(prepared.centroids)).T.astype(np.int32)
    order = np.argsort(-table, axis=1, kind="stable")[:, : probes + 1]
    values = np.take_along_axis(table, order, axis=1)
    floors = values[:, probes] if probes < prepared.centroids else values[:, -1] - 1
    gains = values[:, :probes] - floors[:, None]
    return Probes(order[:, :probes].astype(np.uint16), gains)


def probe(
    probes: Probes,
    postings: Postings,
    pattern_count: int,
    is_allowed: NDArray[np.bool_] | NDArray[np.uint8] | None = None,
) -> NDArray[np.int32]:
    """See scoring.Kernel.probe."""
    scores = np.zeros(pattern_count, np.int32)
    for centroids, gains in zip(probes.centroids, probes.gains, strict=True):
        best = np.zeros(1 << 16, np.int32)
        for centroid, gain in zip(centroids[::-1], gains[::-1], strict=True):
            start, end = postings.starts[centroid], postings.starts[int(centroid) + 1]
            best[postings.patterns[start:end]] = gain
        scores += best[:pattern_count]
    return scores if is_allowed is None else np.where(is_allowed, scores, np.int32(0))


def top(
    scores: NDArray[np.int32] | NDArray[np.float32], count: int, least: float | None = None
) -> NDArray[np.uint32]:
    """See scoring.Kernel.top."""
    is_eligible = ~np.isnan(scores) if least is None else scores > least
    places = np.flatnonzero(is_eligible)
    order = np.argsort(-scores[places].astype(np.float64), kind="stable")[:count]
    return np.sort(places[order]).astype(np.uint32)


def encode(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    codebook: Codebook,
    centroid_ids: NDArray[np.uint16],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """See scoring.Kernel.encode."""
    width = codes.shape[1] * codebook.bits // 8
    residuals = np.zeros((len(codes), width), np.uint8)
    norms = np.zeros(len(codes), np.uint8)
    for start in range(0, len(codes), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        centroids = (
            codebook.centroids[centroid_ids[part]].astype(np.float32)
            * codebook.centroid_scales[centroid_ids[part], None]
        )
        differences = codes[part].astype(np.float32) * scales[part, None] - centroids
        buckets = np.searchsorted(
            codebook.cutoffs, differences * inverse_deviations(codebook), side="right"
        )
        residuals[part] = pack(buckets.astype(np.uint8), codebook.bits)
        restored = centroids + codebook.deviations * weight_values(codebook)[buckets]
        norms[part] = _norm_numbers(restored, codebook)
    return residuals, norms


def inverse_deviations(codebook: Codebook) -> NDArray[np.float32]:
    """Returns float32[dim]; a dimension that never deviates has 0."""
    deviations = codebook.deviations
    is_used = deviations > 0
    return np.where(is_used, 1 / np.where(is_used, deviations, 1), 0).astype(np.float32)


def weight_values(codebook: Codebook) -> NDArray[np.float32]:
    """Returns float32[2**bits], what each bucket stands for, in deviations."""
    return ((codebook.weights.astype(np.float64) - codebook.zero) * codebook.weight_step).astype(
        np.float32
    )


def _norm_numbers(restored: NDArray[np.float32], codebook: Codebook) -> NDArray[np.uint8]:
    """The inverse norms as stored; squares are summed in eight lanes, then by halves."""
    lanes = np.zeros((len(restored), 8))
    for start in range(0, restored.shape[1], 8):
        part = restored[:, start : start + 8].astype(np.float64)
        lanes += part * part
    with np.errstate(divide="ignore", over="ignore"):
        inverse = 1 / np.sqrt(_halve(lanes))
        if codebook.norm_step <= 0:
            return np.zeros(len(restored), np.uint8)
        numbers = np.rint((inverse - codebook.norm_low) / codebook.norm_step)
    return np.clip(numbers, 0, 255).astype(np.uint8)


def _dots(tokens: NDArray[np.int8], rows: NDArray[np.int8]) -> NDArray[np.float32]:
    return tokens.astype(np.float32) @ rows.astype(np.float32).T


def _entries(prepared: PreparedQuery, ids: NDArray[np.integer]) -> NDArray[np.int16]:
    """The table's entries int16[ids, real query rows]."""
    entries = prepared.table[:, ids].transpose(1, 0, 2)
    return entries.reshape(len(ids), -1)[:, : prepared.count]


def _code_similarities(
    prepared: PreparedQuery, rows: CodedRows, tokens: NDArray[np.int64]
) -> NDArray[np.float32]:
    count = prepared.count
    weights = prepared.weights[unpack(rows.residuals[tokens], prepared.bits)]
    dots = _entries(prepared, rows.centroid_ids[tokens]).astype(np.int32) << prepared.shift
    dots += (weights.astype(np.float32) @ prepared.rows[:count].astype(np.float32).T).astype(
        np.int32
    )
    dots += prepared.bias[:count]
    norms = queries.norm_values(prepared)[rows.norms[tokens]]
    return dots.astype(np.float32) * norms[:, None]


def _maxima(
    offsets: NDArray[np.int64],
    patterns: NDArray[np.uint32] | None,
    values: Callable[[NDArray[np.int64]], NDArray[_T]],
) -> Iterator[tuple[NDArray[np.int64], NDArray[_T]]]:
    """Yields places of patterns that have rows, and the largest of each's `values` by column."""
    numbers = np.arange(len(offsets) - 1) if patterns is None else patterns.astype(np.int64)
    starts, lengths = offsets[numbers], offsets[numbers + 1] - offsets[numbers]
    filled = np.flatnonzero(lengths)
    starts, lengths = starts[filled], lengths[filled]
    ends = np.cumsum(lengths)
    first = 0
    while first < len(filled):
        before = int(ends[first] - lengths[first])
        end = max(int(np.searchsorted(ends, before + _BLOCK_ROWS, side="right")), first + 1)
        part = slice(first, end)
        firsts = ends[part] - lengths[part] - before
        tokens = np.repeat(starts[part] - firsts, lengths[part])
        tokens += np.arange(len(tokens))
        yield filled[part], np.maximum.reduceat(values(tokens), firsts, axis=0)
        first = end


def _total(best: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over query rows float64[patterns, rows] in the order that this module names."""
    blocks = -(-best.shape[1] // QUERY_ROWS)
    padded = np.zeros((len(best), blocks * QUERY_ROWS))
    padded[:, : best.shape[1]] = best
    sums = _halve(padded.reshape(-1, blocks, QUERY_ROWS))
    total = np.zeros(len(best))
    for block in range(blocks):
        total += sums[:, block]
    return total


def _halve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    while (half := values.shape[-1] // 2) > 0:
        values = values[..., :half] + values[..., half:]
    return values[..., 0]
