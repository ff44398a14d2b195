"""From what the shards have nominated to scores: a bounded number of patterns, scored in full.

1. Patterns that compacted shards nominated by meaning are cut to `candidates_max` over all shards
   together.
2. Patterns that share words are cut to `words_max` likewise.
3. Whatever is left is a candidate, and all of its channels are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer import kernel
from dejalog.indexer.filter import Counted
from dejalog.indexer.fuse import Channels, Weights, fuse
from dejalog.indexer.match import Nominations, Question, best_first, newest_times
from dejalog.indexer.request import Mode
from dejalog.indexer.score import Scorer, SearchRules
from dejalog.indexer.store.compacted import rows_of_ranges
from dejalog.indexer.store.view import NEVER_NS, ShardArrays

#: BM25, in weights of the rarest possible word, from which on words count in full: about that of a
#: rare word in a short text. Common words alone say little that meaning does not say better: as a
#: share of the query's best, phrases of one to three words rank at .563 nDCG@10 instead of .567.
FULL_MATCH = 2.0

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class ShardMatch:
    """What a shard has to say.

    `patterns` int64[n], growing, are its candidates; the channels are float32[n], and `newest`
    int64[n] is when a pattern's newest counted event happened. `semantic` is MaxSim per query
    row, `lexical` BM25 as in WordMatch, `exact` a share. `event_scores` float32[events] is how
    well an event's own values fit, or None if no event does.
    """

    arrays: ShardArrays
    counted: Counted
    scorer: Scorer | None
    patterns: NDArray[np.int64]
    semantic: NDArray[np.float32]
    pooled: NDArray[np.float32]
    lexical: NDArray[np.float32]
    exact: NDArray[np.float32]
    newest: NDArray[np.int64]
    event_scores: NDArray[np.float32] | None
    is_partial: bool

    @property
    def events_counted(self) -> int:
        """How many events count."""
        events = self.counted.events
        return len(self.arrays.columns.times) if events is None else int(np.count_nonzero(events))

    @property
    def patterns_counted(self) -> int:
        """How many patterns have an event that counts."""
        patterns = self.counted.patterns
        return self.arrays.counters.patterns if patterns is None else int(patterns.sum())

    def rows_of(self, pattern: int) -> NDArray[np.int64]:
        """The rows of a pattern's counted events, growing."""
        rows = self.arrays.rows_of(pattern)
        return rows if self.counted.events is None else rows[self.counted.events[rows]]


def choose(
    question: Question, shards: Sequence[Nominations], rules: SearchRules, weights: Weights
) -> list[NDArray[np.int64]]:
    """Returns the candidates of each shard, growing."""
    limit = question.request.wanted
    meant = _cut_meant(shards, max(limit, rules.candidates_max))
    worded = _cut_worded(
        shards, max(limit, rules.words_max), mode=question.request.mode, weights=weights
    )
    return [
        np.union1d(np.union1d(by_meaning, by_words), shard.newest)
        for shard, by_meaning, by_words in zip(shards, meant, worded, strict=True)
    ]


def _cut_meant(shards: Sequence[Nominations], count: int) -> list[NDArray[np.int64]]:
    """What is left of each shard's nominations by meaning; exact scores are never cut."""
    kept = [_NONE if shard.meant is None else shard.meant.patterns for shard in shards]
    rough = [
        (at, shard.meant)
        for at, shard in enumerate(shards)
        if shard.meant is not None and not shard.meant.is_exact
    ]
    if sum(len(meant.patterns) for _, meant in rough) <= count:
        return kept
    scores = [meant.scores for _, meant in rough]
    chosen = kernel.top(np.concatenate(scores), count).astype(np.int64)
    for (at, meant), places in zip(rough, _by_part(chosen, scores), strict=True):
        kept[at] = meant.patterns[places]
    return kept


def _cut_worded(
    shards: Sequence[Nominations], count: int, *, mode: Mode, weights: Weights
) -> list[NDArray[np.int64]]:
    """What is left of the patterns that share words, by what words alone add to a total."""
    best = max((float(s.worded.lexical.max(initial=0.0)) for s in shards), default=0.0)
    scores = []
    for shard in shards:
        zeros = np.zeros(len(shard.worded.patterns), np.float32)
        lexical = lexical_share(shard.worded.lexical, best)
        channels = Channels(zeros, zeros, lexical, shard.worded.exact)
        scores.append(fuse(channels, mode, weights))
    newest = [shard.arrays.newest[shard.worded.patterns] for shard in shards]
    if not shards:
        return []
    chosen = np.sort(best_first(np.concatenate(scores), np.concatenate(newest), count))
    return [
        shard.worded.patterns[places]
        for shard, places in zip(shards, _by_part(chosen, scores), strict=True)
    ]


def _by_part(
    places: NDArray[np.int64], parts: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.int64]]:
    """The places, growing, in the concatenation of the parts, as places in each of them."""
    ends = np.cumsum([len(part) for part in parts])
    found = np.split(places, np.searchsorted(places, ends[:-1]))
    return [part - (end - len(of)) for part, end, of in zip(found, ends, parts, strict=True)]


def lexical_share(lexical: NDArray[np.float32], best: float) -> NDArray[np.float32]:
    """Returns BM25 as a share of the query's best over all shards, or of `FULL_MATCH` if more."""
    return lexical / np.float32(max(best, FULL_MATCH))


def score_candidates(
    question: Question, shard: Nominations, patterns: NDArray[np.int64]
) -> ShardMatch:
    """Returns all channels of a shard's candidates."""
    semantic, pooled = _meaning(question, shard, patterns)
    return ShardMatch(
        arrays=shard.arrays,
        counted=shard.counted,
        scorer=shard.scorer,
        patterns=patterns,
        semantic=semantic,
        pooled=pooled,
        lexical=_spread(shard.worded.patterns, shard.worded.lexical, patterns),
        exact=_spread(shard.worded.patterns, shard.worded.exact, patterns),
        newest=_newest(shard, patterns),
        event_scores=shard.worded.event_scores,
        is_partial=shard.is_partial,
    )


def _meaning(
    question: Question, shard: Nominations, patterns: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    encoded, meant = question.encoded, shard.meant
    if shard.scorer is None or encoded is None or meant is None or not len(patterns):
        zeros = np.zeros(len(patterns), np.float32)
        return zeros, zeros
    # Whatever counts is nominated where scores are exact.
    scores = meant.scores if meant.is_exact else shard.scorer.score(patterns)
    return scores / np.float32(shard.scorer.rows), shard.scorer.pooled(encoded.pooled, patterns)


def _spread(
    known: NDArray[np.int64], values: NDArray[np.float32], patterns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The values float32[n] of these patterns, 0 for those that are not known; both grow."""
    spread = np.zeros(len(patterns), np.float32)
    is_candidate = np.isin(known, patterns, assume_unique=True)
    spread[np.searchsorted(patterns, known[is_candidate])] = values[is_candidate]
    return spread


def _newest(shard: Nominations, patterns: NDArray[np.int64]) -> NDArray[np.int64]:
    order, rows = shard.arrays.order, shard.counted.events
    if order is None or rows is None or not shard.counted.is_filtered:
        return newest_times(shard.arrays, shard.counted)[patterns]
    starts = order.starts[patterns].astype(np.int64)
    places, offsets = rows_of_ranges(starts, order.starts[patterns + 1] - starts)
    events = order.rows[places]
    times = np.where(rows[events], shard.arrays.columns.times[events], NEVER_NS)
    if not len(times):
        return times
    newest: NDArray[np.int64] = np.maximum.reduceat(times, offsets[:-1])
    return newest
