"""How near the patterns of one shard are to a query, on one scale for fresh and compacted shards.

Scoring has two steps, so that a large index costs little more than a small one:

1. `nominate` names the patterns that may be among the best. A fresh shard names all of them, with
   their scores. A compacted one scores them by their centroids alone; where that is too much to
   read, only those that the posting lists of the query's nearest centroids name (Engels et al.,
   XTR, NeurIPS 2023; Scheerer et al., WARP, SIGIR 2025).
2. `score` is MaxSim by all that is stored: int8 vectors, or codes and then, for the best, the int8
   vectors that the shard has kept. What it returns is what hits are ordered by, and may be
   compared between shards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer import kernel
from dejalog.indexer.store.compacted import CodedBlock, CodedVectors, rows_of_ranges
from dejalog.indexer.store.layout import DamagedValueError
from dejalog.indexer.store.view import FreshVectors

#: Patterns that tell how far a shard's scores by centroids are from its scores by codes.
SAMPLED_PATTERNS = 16

#: Tokens of a fresh shard that are scored between two looks at the clock: about 30 ms.
STEP_TOKENS = 1 << 20

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class SearchRules:
    """How much a search looks at; each bound trades time against what may be missed.

    candidates_max: patterns of all compacted shards together whose codes are scored. words_max:
    patterns that only words name. More hits than these raise them. scan_tokens_max: tokens of a
    shard up to which every pattern is scored by its centroids; beyond, posting lists of the
    `probes` best centroids of each query row first name probed_max patterns at most. pooled_max:
    patterns of a shard up to which pooled vectors take part in all nominations; beyond, only for
    the probed_max best by centroids. refined_max: patterns of a shard that are scored once more by
    their int8 vectors, where the shard has kept them: the ten best texts are among the best twenty
    by codes of 4 bits, but in another order.
    """

    candidates_max: int = 1_024
    words_max: int = 256
    scan_tokens_max: int = 4_000_000
    probes: int = 16
    probed_max: int = 16_384
    pooled_max: int = 65_536
    refined_max: int = 32


@dataclass(frozen=True, slots=True)
class Nominated:
    """Patterns int64[n], growing, that may be among the best, and their scores float32[n].

    Where `is_exact`, scores are MaxSim. Otherwise they are MaxSim by centroids alone, raised by
    what codes add to the best of them (each shard has a codebook of its own, and is too low by a
    measure of its own), plus the product of pooled vectors that was asked for.
    """

    patterns: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_exact: bool


class Scorer(Protocol):
    """One query against one shard's vectors; patterns are int64[n], growing.

    `rows` is the number of query rows, of which a score is the sum. All methods raise
    DamagedValueError where a shard's arrays do not fit together.
    """

    rows: int

    def nominate(
        self,
        allowed: NDArray[np.bool_] | None,
        limit: int,
        *,
        beside: NDArray[np.float32] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Nominated:
        """Returns up to `limit` of the allowed patterns, or all of them where all are scored.

        `allowed` is bool[patterns], None for all. `beside` float32[pooled_dim] is a vector whose
        product with a pattern's pooled vector counts besides MaxSim, None if it is not wanted.
        `check` is called now and then, and may raise.
        """

    def score(self, patterns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns float32[n], the MaxSim of these patterns."""

    def pooled(
        self, query: NDArray[np.float32], patterns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Returns float32[n], the dot products of the patterns' pooled vectors and `query`."""

    def best_rows(self, pattern: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the pattern's best row for each query row, int64[q], and how near, float32[q].

        They are of the vectors that the pattern was last scored by, so that their sum is its score.
        The pattern has to have a row.
        """


def open_scorer(
    query: NDArray[np.float32], vectors: FreshVectors | CodedVectors, rules: SearchRules
) -> Scorer:
    """Returns the scorer of a query float32[q, dim] over a shard's vectors."""
    if isinstance(vectors, FreshVectors):
        return _FreshScorer(query, vectors)
    return _CodedScorer(query, vectors, rules)


class _FreshScorer:
    """All int8 vectors, exactly."""

    def __init__(self, query: NDArray[np.float32], vectors: FreshVectors) -> None:
        self.rows = len(query)
        self._query = np.ascontiguousarray(query)
        self._vectors = vectors
        self._count = len(vectors.pooled_scales)

    def nominate(
        self,
        allowed: NDArray[np.bool_] | None,
        limit: int,
        *,
        beside: NDArray[np.float32] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Nominated:
        chosen = _chosen(allowed, self._count)
        scores = []
        for part in self._steps(chosen):
            check()
            scores.append(self.score(part))
        return Nominated(chosen, _joined(scores, np.float32), is_exact=True)

    def score(self, patterns: NDArray[np.int64]) -> NDArray[np.float32]:
        vectors = self._vectors
        numbers = patterns.astype(np.uint32)
        return kernel.maxsim(self._query, vectors.codes, vectors.scales, vectors.offsets, numbers)

    def pooled(
        self, query: NDArray[np.float32], patterns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        codes, scales = self._vectors.pooled_codes, self._vectors.pooled_scales
        numbers = None if len(patterns) == self._count else patterns.astype(np.uint32)
        return kernel.row_dots(query, codes, scales, numbers)

    def best_rows(self, pattern: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        vectors = self._vectors
        rows = slice(int(vectors.offsets[pattern]), int(vectors.offsets[pattern + 1]))
        return kernel.best_rows(self._query, vectors.codes[rows], vectors.scales[rows])

    def _steps(self, patterns: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        offsets = self._vectors.offsets
        ends = np.cumsum(offsets[patterns + 1] - offsets[patterns])
        steps = int(ends[-1]) // STEP_TOKENS if len(ends) else 0
        cuts = np.searchsorted(ends, np.arange(1, steps + 1) * STEP_TOKENS)
        yield from np.split(patterns, cuts)


class _CodedScorer:
    """Centroids to nominate, codes to score; block by block."""

    def __init__(
        self, query: NDArray[np.float32], vectors: CodedVectors, rules: SearchRules
    ) -> None:
        self.rows = len(query)
        self._query = np.ascontiguousarray(query)
        with _checked():
            self._prepared = kernel.prepare(self._query, vectors.codebook)
            self._nominating = kernel.prepare(self._query, vectors.nominating)
        self._blocks = vectors.blocks
        self._firsts = np.array([block.first for block in vectors.blocks], np.int64)
        self._count = sum(len(block) for block in vectors.blocks)
        self._tokens = sum(len(block.rows.centroid_ids) for block in vectors.blocks)
        self._rules = rules
        #: The patterns whose last score is by their int8 vectors.
        self._refined_patterns: frozenset[int] = frozenset()

    def nominate(
        self,
        allowed: NDArray[np.bool_] | None,
        limit: int,
        *,
        beside: NDArray[np.float32] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Nominated:
        chosen = _chosen(allowed, self._count)
        rules = self._rules
        # Patterns are of similar length, so their share is that of their tokens.
        tokens = self._tokens * len(chosen) // max(self._count, 1)
        if len(chosen) > limit and tokens > rules.scan_tokens_max:
            chosen = self._probed(allowed, max(limit, rules.probed_max), check)
        scores = self._by_centroids(chosen, check)
        if beside is not None:
            if len(chosen) > rules.pooled_max:
                chosen, scores = _best(chosen, scores, max(limit, rules.probed_max))
            scores = scores + self.pooled(beside, chosen)
        chosen, scores = _best(chosen, scores, limit)
        return Nominated(chosen, scores + self._gain(chosen, scores, beside), is_exact=False)

    def score(self, patterns: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._refined(patterns, self._by_codes(patterns))

    def _by_codes(self, patterns: NDArray[np.int64]) -> NDArray[np.float32]:
        with _checked():
            parts = [
                kernel.code_maxsim(self._prepared, block.rows, numbers)
                for block, numbers in self._by_block(patterns)
            ]
        return _joined(parts, np.float32)

    def _refined(
        self, patterns: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The scores, the best of them by int8 vectors instead of codes."""
        self._refined_patterns = frozenset()
        if not any(block.originals for block in self._blocks):
            return scores
        places = kernel.top(scores, self._rules.refined_max).astype(np.int64)
        chosen = patterns[places]
        self._refined_patterns = frozenset(chosen.tolist())
        for block in self._blocks:
            if block.originals is None:
                continue
            inside = (chosen >= block.first) & (chosen < block.first + len(block))
            if inside.any():
                scores[places[inside]] = self._by_originals(block, chosen[inside] - block.first)
        return scores

    def _by_originals(self, block: CodedBlock, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """The few patterns' rows are copied: all of a block's offsets would take longer."""
        assert block.originals is not None
        starts = block.rows.offsets[numbers].astype(np.int64)
        rows, offsets = rows_of_ranges(starts, block.rows.offsets[numbers + 1] - starts)
        codes, scales = block.originals.codes[rows], block.originals.scales[rows]
        with _checked():
            return kernel.maxsim(self._query, codes, scales, offsets)

    def pooled(
        self, query: NDArray[np.float32], patterns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        with _checked():
            parts = [
                kernel.row_dots(query, block.pooled_codes, block.pooled_scales, numbers)
                for block, numbers in self._by_block(patterns)
            ]
        return _joined(parts, np.float32)

    def best_rows(self, pattern: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        block = self._blocks[int(np.searchsorted(self._firsts, pattern, side="right")) - 1]
        number = pattern - block.first
        with _checked():
            if block.originals is None or pattern not in self._refined_patterns:
                return kernel.code_best_rows(self._prepared, block.rows, number)
            rows = slice(int(block.rows.offsets[number]), int(block.rows.offsets[number + 1]))
            codes, scales = block.originals.codes[rows], block.originals.scales[rows]
            return kernel.best_rows(self._query, codes, scales)

    def _gain(
        self,
        patterns: NDArray[np.int64],
        scores: NDArray[np.float32],
        beside: NDArray[np.float32] | None,
    ) -> np.float32:
        """What codes add to the scores of the best patterns, on average."""
        best, known = _best(patterns, scores, SAMPLED_PATTERNS)
        if not len(best):
            return np.float32(0)
        exact = self._by_codes(best)
        if beside is not None:
            exact = exact + self.pooled(beside, best)
        return np.float32((exact - known).mean())

    def _by_centroids(
        self, patterns: NDArray[np.int64], check: Callable[[], None]
    ) -> NDArray[np.float32]:
        scores = []
        for block, numbers in self._by_block(patterns):
            check()
            with _checked():
                scores.append(kernel.centroid_maxsim(self._nominating, block.rows, numbers))
        step = np.float32(self._nominating.unit * 2**self._nominating.shift)
        return _joined(scores, np.int32).astype(np.float32) * step

    def _probed(
        self, allowed: NDArray[np.bool_] | None, limit: int, check: Callable[[], None]
    ) -> NDArray[np.int64]:
        """The patterns that gain most by the posting lists of the best centroids."""
        probes = kernel.probed(self._nominating, self._rules.probes)
        gains = []
        for block in self._blocks:
            check()
            part = slice(block.first, block.first + len(block))
            is_allowed = None if allowed is None else allowed[part]
            with _checked():
                gains.append(
                    kernel.probe(self._nominating, block.postings, len(block), probes, is_allowed)
                )
        return kernel.top(_joined(gains, np.int32), limit, least=0).astype(np.int64)

    def _by_block(
        self, patterns: NDArray[np.int64]
    ) -> Iterator[tuple[CodedBlock, NDArray[np.uint32] | None]]:
        """Each block that has some of the patterns, and their numbers in it; None for all."""
        cuts = np.searchsorted(patterns, self._firsts).tolist()
        for block, start, end in zip(self._blocks, cuts, [*cuts[1:], len(patterns)], strict=True):
            if end - start == len(block):
                yield block, None
            elif end > start:
                yield block, (patterns[start:end] - block.first).astype(np.uint32)


@contextmanager
def _checked() -> Iterator[None]:
    """What kernels refuse of a compacted shard's arrays, which nobody has checked, is damage."""
    try:
        yield
    except ValueError as error:
        raise DamagedValueError(str(error)) from error


def _chosen(allowed: NDArray[np.bool_] | None, count: int) -> NDArray[np.int64]:
    return np.arange(count) if allowed is None else np.flatnonzero(allowed)


def _best(
    patterns: NDArray[np.int64], scores: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The patterns with the `count` largest scores, still growing, and these."""
    if len(patterns) <= count:
        return patterns, scores
    kept = kernel.top(scores, count)
    return patterns[kept], scores[kept]


def _joined(parts: list[NDArray[Scalar]], dtype: type[Scalar]) -> NDArray[Scalar]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)
