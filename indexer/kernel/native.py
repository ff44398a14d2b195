"""The native kernels behind the same functions as their NumPy twin, reference.py."""

# Kernel in scoring.py says what each method takes and gives.
# ruff: noqa: D102

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.kernel import _native, queries, reference
from dejalog.indexer.kernel.codes import Codebook, CodedRows, Postings, PreparedQuery
from dejalog.indexer.kernel.queries import Probes


class Native:
    """One instruction set; raises ValueError if this machine cannot run it."""

    def __init__(self, name: str) -> None:
        self._scorer = _native.Scorer(name)

    def is_within(
        self,
        bounds: NDArray[np.int64] | NDArray[np.uint32],
        numbers: NDArray[np.uint32] | None,
        limit: int,
    ) -> bool:
        return _native.is_within(bounds, numbers, limit)

    def maxsim(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        offsets: NDArray[np.int64],
        patterns: NDArray[np.uint32] | None,
    ) -> NDArray[np.float32]:
        rows, row_scales = _padded(query)
        scan = self._scorer.fresh(rows, row_scales, codes, scales, offsets)
        scores = np.empty(_count(offsets, patterns), np.float32)
        self._scorer.maxsim(scan, patterns, scores)
        return scores

    def best_rows(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows, row_scales = _padded(query)
        scan = self._scorer.fresh(rows, row_scales, codes, scales, np.zeros(1, np.int64))
        best, similarities = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
        self._scorer.best_rows(scan, 0, len(codes), best, similarities)
        return best[: len(query)], (similarities * row_scales)[: len(query)]

    def row_dots(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        rows: NDArray[np.uint32] | None,
    ) -> NDArray[np.float32]:
        wide, wide_scales = queries.quantize_int16(query[None])
        dots = np.empty(len(codes) if rows is None else len(rows), np.float32)
        self._scorer.row_dots(wide[0], float(wide_scales[0]), codes, scales, rows, dots)
        return dots

    def nearest(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        centroids: NDArray[np.int8],
        centroid_scales: NDArray[np.float32],
    ) -> NDArray[np.uint16]:
        halves = reference.half_squares(centroids, centroid_scales)
        found = np.empty(len(codes), np.uint16)
        self._scorer.nearest(codes, scales, centroids, centroid_scales, halves, found)
        return found

    def prepare(self, query: NDArray[np.float32], codebook: Codebook) -> PreparedQuery:
        norm = _native.largest_norm(codebook.centroids, codebook.centroid_scales)
        prepared, plan = queries.plan_query(query, codebook, norm)
        self._scorer.fill_table(
            plan.rows, plan.factors, codebook.centroids, codebook.centroid_scales, prepared.table
        )
        return prepared

    def centroid_maxsim(
        self, prepared: PreparedQuery, rows: CodedRows, patterns: NDArray[np.uint32] | None
    ) -> NDArray[np.int32]:
        scores = np.empty(_count(rows.offsets, patterns), np.int32)
        self._scorer.centroid_maxsim(self._coded(prepared, rows), patterns, scores)
        return scores

    def code_maxsim(
        self, prepared: PreparedQuery, rows: CodedRows, patterns: NDArray[np.uint32] | None
    ) -> NDArray[np.float32]:
        scores = np.empty(_count(rows.offsets, patterns), np.float32)
        self._scorer.maxsim(self._coded(prepared, rows), patterns, scores)
        return scores

    def code_best_rows(
        self, prepared: PreparedQuery, rows: CodedRows, pattern: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        start, end = int(rows.offsets[pattern]), int(rows.offsets[pattern + 1])
        best = np.empty(len(prepared.rows), np.int64)
        similarities = np.empty(len(prepared.rows), np.float32)
        self._scorer.best_rows(self._coded(prepared, rows), start, end, best, similarities)
        values = similarities[: prepared.count].astype(np.float64) * prepared.unit
        return best[: prepared.count], values.astype(np.float32)

    def probed(self, prepared: PreparedQuery, probes: int) -> Probes:
        count = min(probes + 1, prepared.centroids)
        numbers = np.empty((prepared.count, count), np.uint16)
        values = np.empty((prepared.count, count), np.int32)
        _native.best_centroids(prepared.table, prepared.centroids, numbers, values)
        floors = values[:, -1] if count > probes else values[:, -1] - 1
        gains = values[:, :probes] - floors[:, None]
        return Probes(np.ascontiguousarray(numbers[:, :probes]), np.ascontiguousarray(gains))

    def probe(
        self,
        probes: Probes,
        postings: Postings,
        pattern_count: int,
        is_allowed: NDArray[np.bool_] | NDArray[np.uint8] | None,
    ) -> NDArray[np.int32]:
        scores = np.empty(pattern_count, np.int32)
        allowed = None if is_allowed is None else is_allowed.view(np.uint8)
        _native.probe(
            probes.centroids, probes.gains, postings.starts, postings.patterns, allowed, scores
        )
        return scores

    def top(
        self,
        scores: NDArray[np.int32] | NDArray[np.float32],
        count: int,
        least: float | None,
    ) -> NDArray[np.uint32]:
        return _native.top(scores, count, least)

    def encode(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        codebook: Codebook,
        centroid_ids: NDArray[np.uint16],
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        width = codes.shape[1] * codebook.bits // 8
        residuals = np.empty((len(codes), width), np.uint8)
        norms = np.empty(len(codes), np.uint8)
        _native.encode(
            codes,
            scales,
            centroid_ids,
            codebook.centroids,
            codebook.centroid_scales,
            codebook.deviations,
            reference.inverse_deviations(codebook),
            codebook.cutoffs,
            reference.weight_values(codebook),
            codebook.bits,
            codebook.norm_low,
            codebook.norm_step,
            residuals,
            norms,
        )
        return residuals, norms

    def _coded(self, prepared: PreparedQuery, rows: CodedRows) -> _native.Scan:
        return self._scorer.coded(
            prepared.rows,
            prepared.bias,
            prepared.table,
            # Sixteen weights whatever the bits: what every instruction set looks up at once.
            np.resize(prepared.weights, 16),
            queries.norm_values(prepared),
            prepared.bits,
            prepared.shift,
            prepared.unit,
            rows.offsets,
            rows.centroid_ids,
            rows.norms,
            rows.residuals,
        )


def _count(
    offsets: NDArray[np.int64] | NDArray[np.uint32], patterns: NDArray[np.uint32] | None
) -> int:
    return len(offsets) - 1 if patterns is None else len(patterns)


def _padded(query: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The query as int8 rows, with rows of zeros up to whole blocks."""
    blocks, block_rows = queries.block_shape(len(query))
    padded = np.zeros((blocks * block_rows, query.shape[1]), np.float32)
    padded[: len(query)] = query
    return queries.quantize_int8(padded)
