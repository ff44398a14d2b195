"""What the words of a question say of a shard's patterns: BM25, and the codes that are found.

Both are sparse: only patterns with a word in common appear. A pattern's BM25 is that of its text
and, added to it, that of its best event's own values. It is in units of the weight of the rarest
possible word, so that shards of different sizes, and short and long questions, compare: a rare word
that is found adds about 2, whatever the number of patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.exact import patterns_with_code
from dejalog.indexer.filter import Counted
from dejalog.indexer.lexical import LexicalHits, LexicalView
from dejalog.indexer.store.view import ShardArrays
from dejalog.indexer.terms import QueryTerm

#: How many of the best pattern and event documents the lexical channel contributes: the ranks
#: behind have less than a tenth of the best score on every shared task.
LEXICAL_DEPTH = 2_000
#: What a filter leaves may rank far behind in the whole shard, so the depth grows tenfold until it
#: has left so many documents ...
LEXICAL_LEFT = 200
#: ... or so many have been looked at, which takes 0.1 s: all patterns of the largest fresh shard.
FILTERED_DEPTH = 200_000


@dataclass(frozen=True, slots=True)
class WordMatch:
    """The patterns that have a word or code of the question, and only patterns that count.

    patterns int64[n], growing; lexical float32[n], BM25 in weights of the rarest possible word;
    exact float32[n], a share.
    `event_scores` float32[events] is how well an event's own values fit, None if no event does.
    """

    patterns: NDArray[np.int64]
    lexical: NDArray[np.float32]
    exact: NDArray[np.float32]
    event_scores: NDArray[np.float32] | None


NO_WORDS = WordMatch(
    np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32), event_scores=None
)


def match_words(
    terms: Sequence[QueryTerm],
    arrays: ShardArrays,
    lexical: LexicalView,
    counted: Counted,
    *,
    wanted: int,
) -> WordMatch:
    """Returns what the terms find in a shard, of `wanted` documents at least if there are any."""
    left = max(wanted, LEXICAL_LEFT)
    patterns = _deepened(
        lambda depth: lexical.rank_patterns(terms, limit=depth),
        range(arrays.counters.patterns),
        counted.patterns,
        left,
    )
    first = arrays.header.first_event
    events = _deepened(
        lambda depth: lexical.rank_events(terms, limit=depth),
        range(first, first + len(arrays.columns.times)),
        counted.events,
        left,
    )
    owners = arrays.columns.patterns[events.ids].astype(np.int64)
    codes = _codes(terms, arrays, lexical, counted)
    every = np.unique(np.concatenate([patterns.ids, owners, *codes.values()]))
    scores, best = np.zeros(len(every), np.float32), np.zeros(len(every), np.float32)
    rarest = np.float32(highest_rarity(arrays.counters.patterns))
    scores[np.searchsorted(every, patterns.ids)] = patterns.scores / rarest
    rarest = np.float32(highest_rarity(len(arrays.columns.times)))
    np.maximum.at(best, np.searchsorted(every, owners), events.scores / rarest)
    return WordMatch(
        patterns=every,
        lexical=scores + best,
        exact=_shares(every, codes, terms, arrays.counters.patterns),
        event_scores=_spread(events, len(arrays.columns.times)),
    )


def _deepened(
    rank: Callable[[int], LexicalHits],
    numbers: range,
    is_counted: NDArray[np.bool_] | None,
    left: int,
) -> LexicalHits:
    """The best documents of those that count, numbered from the start of `numbers`."""
    depth = LEXICAL_DEPTH
    while True:
        hits = rank(depth)
        rows = hits.ids - numbers.start
        # The lexical index may have been read a moment later than this state.
        is_kept = (rows >= 0) & (rows < len(numbers))
        if is_counted is not None:
            is_kept[is_kept] = is_counted[rows[is_kept]]
        is_enough = np.count_nonzero(is_kept) >= min(left, depth)
        if is_enough or len(rows) < depth or depth >= FILTERED_DEPTH:
            return LexicalHits(rows[is_kept], hits.scores[is_kept])
        depth = min(10 * depth, FILTERED_DEPTH)


def _spread(events: LexicalHits, count: int) -> NDArray[np.float32] | None:
    if not len(events.ids):
        return None
    scores = np.zeros(count, np.float32)
    scores[events.ids] = events.scores
    return scores


def _codes(
    terms: Sequence[QueryTerm], arrays: ShardArrays, lexical: LexicalView, counted: Counted
) -> dict[str, NDArray[np.int64]]:
    """The patterns that have a code, in any of the ways to write it (`E-1034`, `E1034`)."""
    found: dict[str, NDArray[np.int64]] = {}
    for term in terms:
        if term.is_code:
            ways = [term.text, *(way for row in term.others for way in row)]
            patterns = [patterns_with_code(way, arrays, lexical, counted) for way in ways]
            found[term.text] = np.unique(np.concatenate(patterns))
    return found


def _shares(
    patterns: NDArray[np.int64],
    codes: dict[str, NDArray[np.int64]],
    terms: Sequence[QueryTerm],
    total: int,
) -> NDArray[np.float32]:
    """How much of the query is code-shaped words that a pattern's events have.

    A code counts by its rarity, from 0 to 1, as a share of all words: a lone code decides, and an
    asset's tag in a sentence only helps.
    """
    shares = np.zeros(len(patterns), np.float32)
    for found in codes.values():
        shares[np.searchsorted(patterns, found)] += rarity(len(found), total)
    return shares / np.float32(max(len(codes), count_words(terms), 1))


def count_words(terms: Sequence[QueryTerm]) -> int:
    """Returns how many words the terms stand for: a word and its parts count once."""
    spans = sorted({(term.start, -term.end) for term in terms})
    count = end = 0
    for _, negative_end in spans:
        if -negative_end > end:
            count, end = count + 1, -negative_end
    return count


def rarity(found: int, total: int) -> float:
    """What a word says that `found` of `total` patterns have, from 1 (one has it) down to 0.

    BM25's inverse document frequency, as a share of its highest value.
    """
    if found == 0:
        return 0.0
    return float(np.log1p((total - found + 0.5) / (found + 0.5))) / highest_rarity(total)


def highest_rarity(total: int) -> float:
    """Returns BM25's inverse document frequency of a word that one of `total` texts has."""
    return float(np.log1p((max(total, 1) - 0.5) / 1.5))
