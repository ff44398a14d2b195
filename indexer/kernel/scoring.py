"""The kernels as the rest of the index calls them: arguments are checked here, then scored."""

# Kernel describes the methods of Backend.
# ruff: noqa: D102

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.kernel.arrays import (
    check_array,
    check_codebook,
    check_coded,
    check_dim,
    check_query,
)
from dejalog.indexer.kernel.codes import (
    BLOCK_PATTERNS_MAX,
    Codebook,
    CodedRows,
    Postings,
    PreparedQuery,
)
from dejalog.indexer.kernel.queries import Probes

_Numbers = NDArray[np.uint32] | None


class Backend(Protocol):
    """What the NumPy twin and every native instruction set can do; methods of Kernel say what."""

    def is_within(
        self,
        bounds: NDArray[np.int64] | NDArray[np.uint32],
        numbers: NDArray[np.uint32] | None,
        limit: int,
        /,
    ) -> bool: ...

    def maxsim(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        offsets: NDArray[np.int64],
        patterns: _Numbers,
        /,
    ) -> NDArray[np.float32]: ...

    def best_rows(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        /,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...

    def row_dots(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        rows: _Numbers,
        /,
    ) -> NDArray[np.float32]: ...

    def nearest(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        centroids: NDArray[np.int8],
        centroid_scales: NDArray[np.float32],
        /,
    ) -> NDArray[np.uint16]: ...

    def prepare(self, query: NDArray[np.float32], codebook: Codebook, /) -> PreparedQuery: ...

    def centroid_maxsim(
        self, prepared: PreparedQuery, rows: CodedRows, patterns: _Numbers, /
    ) -> NDArray[np.int32]: ...

    def code_maxsim(
        self, prepared: PreparedQuery, rows: CodedRows, patterns: _Numbers, /
    ) -> NDArray[np.float32]: ...

    def code_best_rows(
        self, prepared: PreparedQuery, rows: CodedRows, pattern: int, /
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...

    def probed(self, prepared: PreparedQuery, probes: int, /) -> Probes: ...

    def probe(
        self,
        probes: Probes,
        postings: Postings,
        pattern_count: int,
        is_allowed: NDArray[np.bool_] | NDArray[np.uint8] | None,
        /,
    ) -> NDArray[np.int32]: ...

    def top(
        self,
        scores: NDArray[np.int32] | NDArray[np.float32],
        count: int,
        least: float | None,
        /,
    ) -> NDArray[np.uint32]: ...

    def encode(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        codebook: Codebook,
        centroid_ids: NDArray[np.uint16],
        /,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...


class Kernel:
    """Checks and then scores with one backend. All methods raise ValueError on unfit arrays.

    Native backends release the interpreter lock, and keep nothing between calls.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def maxsim(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        offsets: NDArray[np.int64],
        patterns: NDArray[np.uint32] | None = None,
    ) -> NDArray[np.float32]:
        """Returns float32[n], the MaxSim of each of n patterns, or of `patterns` uint32[m] only.

        query float32[q, dim]; codes int8[tokens, dim]; scales float32[tokens]; offsets int64[n +
        1], where pattern i has the rows offsets[i] to offsets[i + 1]. A query row is quantized
        to int8; a similarity is float32(dot) * scale, a score the sum over query rows of the best
        similarity * row scale, as float64. A pattern without rows scores 0.
        """
        _check_vectors(check_query(query).shape[1], codes, scales)
        check_array("offsets", offsets, np.int64, None)
        self._check_ranges("offsets", offsets, patterns, len(codes))
        return self._backend.maxsim(query, codes, scales, offsets, patterns)

    def best_rows(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns, for each query row, the index of one pattern's best row and its similarity.

        Arrays and arithmetic as for maxsim; tokens >= 1; the first of equal rows wins. The
        results int64[q] and float32[q]; the latter are float32(dot) * scale * row scale.
        """
        _check_vectors(check_query(query).shape[1], codes, scales)
        if not len(codes):
            raise ValueError("codes has no rows, so there is no best one")
        return self._backend.best_rows(query, codes, scales)

    def row_dots(
        self,
        query: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        rows: NDArray[np.uint32] | None = None,
    ) -> NDArray[np.float32]:
        """Returns float32[n], the dot product of one vector with each row, or `rows` uint32[m].

        query float32[dim]; codes int8[n, dim]; scales float32[n]. The query is quantized to
        int16; a product is float32(dot) * scale * query scale.
        """
        check_array("query", query, np.float32, None)
        _check_vectors(check_query(query[None]).shape[1], codes, scales)
        if rows is not None:
            check_array("rows", rows, np.uint32, None)
            if len(rows) and int(rows.max()) >= len(codes):
                raise ValueError(f"rows has number {rows.max()}, but codes only {len(codes)} rows")
        return self._backend.row_dots(query, codes, scales, rows)

    def nearest(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        centroids: NDArray[np.int8],
        centroid_scales: NDArray[np.float32],
    ) -> NDArray[np.uint16]:
        """Returns uint16[tokens], the L2-nearest centroid of each row; the first of equals.

        codes int8[tokens, dim]; scales float32[tokens]; centroids int8[k, dim], k <= 65536;
        centroid_scales float32[k]. Compared is float32(dot) * centroid scale * scale - |c|**2 / 2
        in float32, each step rounded.
        """
        check_array("centroids", centroids, np.int8, None, None)
        count, dim = centroids.shape
        check_dim(dim)
        if not 1 <= count <= 1 << 16:
            raise ValueError(f"{count} centroids: 1 to 65536 are possible")
        _check_vectors(dim, codes, scales)
        check_array("centroid_scales", centroid_scales, np.float32, count)
        return self._backend.nearest(codes, scales, centroids, centroid_scales)

    def prepare(self, query: NDArray[np.float32], codebook: Codebook) -> PreparedQuery:
        """Returns the query float32[q, dim] as this codebook's codes are scored with.

        queries.plan_query says how units are chosen and what they cost.
        """
        check_codebook(codebook)
        check_query(query, codebook.centroids.shape[1])
        return self._backend.prepare(query, codebook)

    def centroid_maxsim(
        self,
        prepared: PreparedQuery,
        rows: CodedRows,
        patterns: NDArray[np.uint32] | None = None,
    ) -> NDArray[np.int32]:
        """Returns int32[n], each pattern's score by its centroids alone, or of `patterns` only.

        The sum over query rows of the largest table entry of the pattern's tokens, in units of
        unit * 2**shift. A pattern without tokens scores 0.
        """
        check_coded(rows, prepared)
        self._check_ranges("rows.offsets", rows.offsets, patterns, len(rows.norms))
        return self._backend.centroid_maxsim(prepared, rows, patterns)

    def code_maxsim(
        self,
        prepared: PreparedQuery,
        rows: CodedRows,
        patterns: NDArray[np.uint32] | None = None,
    ) -> NDArray[np.float32]:
        """Returns float32[n], each pattern's score as codes.py defines it, or of `patterns` only.

        A pattern without tokens scores 0.
        """
        check_coded(rows, prepared)
        self._check_ranges("rows.offsets", rows.offsets, patterns, len(rows.norms))
        return self._backend.code_maxsim(prepared, rows, patterns)

    def code_best_rows(
        self, prepared: PreparedQuery, rows: CodedRows, pattern: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns, for each query row, a pattern's best token and its similarity.

        int64[q], counted from the pattern's first token, and float32[q], unit included. The first
        of equal tokens wins.
        """
        check_coded(rows, prepared)
        numbers = np.array([pattern], np.uint32)
        self._check_ranges("rows.offsets", rows.offsets, numbers, len(rows.norms))
        if rows.offsets[pattern] == rows.offsets[pattern + 1]:
            raise ValueError(f"pattern {pattern} has no tokens, so there is no best one")
        return self._backend.code_best_rows(prepared, rows, pattern)

    def probed(self, prepared: PreparedQuery, probes: int) -> Probes:
        """Returns each query row's `probes` best centroids by table value, ties to the lower.

        A gain is the value over that of the next best centroid; where there is none, over one
        less than that of the worst.
        """
        if probes < 1:
            raise ValueError(f"{probes} probes: at least one is needed")
        return self._backend.probed(prepared, min(probes, prepared.centroids))

    def probe(
        self,
        prepared: PreparedQuery,
        postings: Postings,
        pattern_count: int,
        probes: int | Probes,
        is_allowed: NDArray[np.bool_] | NDArray[np.uint8] | None = None,
    ) -> NDArray[np.int32]:
        """Returns int32[pattern_count], what the patterns of a block gain by the probed lists.

        The sum over query rows of the largest gain of a probed centroid whose list has the
        pattern; 0 if there is none, or where is_allowed bool[pattern_count] is not. `probes` may
        be the result of probed(), to use it for many blocks.
        """
        if isinstance(probes, int):
            probes = self.probed(prepared, probes)
        if not 0 <= pattern_count <= BLOCK_PATTERNS_MAX:
            raise ValueError(f"a block of {pattern_count} patterns: up to {BLOCK_PATTERNS_MAX}")
        check_array("postings.starts", postings.starts, np.uint32, prepared.centroids + 1)
        check_array("postings.patterns", postings.patterns, np.uint16, None)
        if is_allowed is not None:
            kind = np.uint8 if is_allowed.dtype == np.uint8 else np.bool_
            check_array("is_allowed", is_allowed, kind, pattern_count)
        numbers = probes.centroids.reshape(-1).astype(np.uint32)
        if not self._backend.is_within(postings.starts, numbers, len(postings.patterns)):
            raise ValueError(
                f"postings.starts has lists outside of the {len(postings.patterns)} patterns"
            )
        return self._backend.probe(probes, postings, pattern_count, is_allowed)

    def top(
        self,
        scores: NDArray[np.int32] | NDArray[np.float32],
        count: int,
        least: float | None = None,
    ) -> NDArray[np.uint32]:
        """Returns uint32[m], where the `count` largest scores are, in ascending order.

        scores int32[n] or float32[n]; only those above `least` count, and never a NaN. Of equal
        scores at the cut the first are taken.
        """
        kind = np.int32 if scores.dtype == np.int32 else np.float32
        check_array("scores", scores, kind, None)
        if count < 0:
            raise ValueError(f"the {count} largest cannot be found")
        return self._backend.top(scores, min(count, len(scores)), least)

    def encode(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        codebook: Codebook,
        centroid_ids: NDArray[np.uint16],
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Returns residuals uint8[tokens, dim * bits // 8] and norms uint8[tokens].

        codes int8[tokens, dim]; scales float32[tokens]; centroid_ids uint16[tokens]. In float32: a
        bucket is the count of cutoffs up to (code * scale - centroid) * (1 / deviation); the norm
        is the nearest step to 1 / |reconstruction|, of 0 to 255.
        """
        check_codebook(codebook)
        _check_vectors(codebook.centroids.shape[1], codes, scales)
        check_array("centroid_ids", centroid_ids, np.uint16, len(codes))
        count = len(codebook.centroids)
        if len(codes) and int(centroid_ids.max()) >= count:
            raise ValueError(f"centroid {centroid_ids.max()} of a codebook that has {count}")
        return self._backend.encode(codes, scales, codebook, centroid_ids)

    def _check_ranges(
        self,
        name: str,
        offsets: NDArray[np.int64] | NDArray[np.uint32],
        patterns: NDArray[np.uint32] | None,
        tokens: int,
    ) -> None:
        if not len(offsets):
            raise ValueError(f"{name} is empty: it has one more number than there are patterns")
        if patterns is not None:
            check_array("patterns", patterns, np.uint32, None)
        if not self._backend.is_within(offsets, patterns, tokens):
            raise ValueError(
                f"{name} of {len(offsets) - 1} patterns shrink, lead outside of the {tokens} "
                "tokens, or lack a pattern that was asked for"
            )


def _check_vectors(dim: int, codes: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
    check_array("codes", codes, np.int8, None, dim)
    check_array("scales", scales, np.float32, len(codes))
