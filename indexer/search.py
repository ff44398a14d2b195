"""A question -> hits, over all shards.

1. The request is parsed, its words are masked like a log line, encoded and cut into terms.
2. Every shard is matched on its own (`match.py`): filters, then all channels.
3. The channels are put on one scale over all shards and fused; the best patterns are kept.
4. Their events are gathered from every shard (`gather.py`), with evidence.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event, Lock

import numpy as np

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.encode import Encoder
from dejalog.indexer.fuse import Channels, Weights, fuse
from dejalog.indexer.gather import Gatherer, RankedPattern
from dejalog.indexer.hit import Hit, Scores, SearchResult
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.match import Question, ShardMatch, best_first, match_shard
from dejalog.indexer.query import Mode, SearchRequest, parse_query
from dejalog.indexer.store.directory import DataDirectory, check_encoder
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.view import ShardArrays, ShardView
from dejalog.indexer.terms import query_terms


@dataclass(slots=True)
class _OpenShard:
    """A shard with the state that searching it needs."""

    view: ShardView
    lexical: LexicalIndex
    lock: Lock


class Searcher:
    """Answers questions about a data directory; safe to call from several threads."""

    def __init__(
        self, directory: DataDirectory, encoder: Encoder, *, weights: Weights | None = None
    ) -> None:
        self._directory = directory
        self._encoder = encoder
        self._weights = weights or Weights()
        self._open: dict[int, _OpenShard] = {}
        self._lock = Lock()
        check_encoder(directory.shards, encoder.fingerprint)

    def search(
        self,
        request: SearchRequest,
        *,
        deadline: float | None = None,
        stop: Event | None = None,
    ) -> SearchResult:
        """Returns the best hits.

        `deadline` is a time.monotonic() value; when it passes, or when `stop` is set, what has
        been searched so far is returned as partial. Raises QueryError, and TimeoutError if
        nothing was searched in time.
        """
        started = time.monotonic()
        question, shards = self._prepare(request)
        matches: list[ShardMatch] = []
        for shard, state in shards:
            is_late = deadline is not None and time.monotonic() > deadline
            if is_late or (stop is not None and stop.is_set()):
                break
            matches.append(_match(question, shard, state))
        if shards and not matches:
            raise TimeoutError("the deadline passed before the first shard was searched")
        return SearchResult(
            hits=self._hits(question, matches),
            events_total=sum(len(m.arrays.columns.times) for m in matches),
            events_matched=sum(_counted_events(m) for m in matches),
            patterns_scored=sum(len(m.patterns) for m in matches),
            shards_searched=len(matches),
            elapsed_s=time.monotonic() - started,
            is_partial=len(matches) < len(shards) or any(m.is_partial for m in matches),
        )

    def match(self, request: SearchRequest) -> list[ShardMatch]:
        """Returns every shard's channels, before they are fused; for measuring."""
        question, shards = self._prepare(request)
        return [_match(question, shard, state) for shard, state in shards]

    def states(self) -> list[ShardArrays]:
        """The newest state of every shard, oldest shard first."""
        return [shard.view.refresh() for shard in self._shards()]

    def close(self) -> None:
        """Closes what the searcher has opened; the data directory stays open."""
        with self._lock:
            for shard in self._open.values():
                shard.lexical.close()
            self._open.clear()

    def _shards(self) -> list[_OpenShard]:
        with self._lock:
            self._directory.refresh()
            return [self._opened(shard) for shard in self._directory.shards]

    def _opened(self, shard: Shard) -> _OpenShard:
        number = shard.header.shard
        if number not in self._open:
            check_encoder([shard], self._encoder.fingerprint)
            lexical = LexicalIndex.open(lexical_folder(shard))
            self._open[number] = _OpenShard(ShardView(shard), lexical, Lock())
        return self._open[number]

    def _prepare(
        self, request: SearchRequest
    ) -> tuple[Question, list[tuple[_OpenShard, ShardArrays]]]:
        """The request, understood, and every shard with the state that it is asked of."""
        shards = [(shard, shard.view.refresh()) for shard in self._shards()]
        return self._understand(request, [state for _, state in shards]), shards

    def _understand(self, request: SearchRequest, states: Sequence[ShardArrays]) -> Question:
        query = parse_query(request, label_names(states))
        has_words = bool(query.words.strip())
        is_encoded = has_words and request.mode is not Mode.LEXICAL
        return Question(
            request=request,
            query=query,
            encoded=self._encoder.encode_query(query.words) if is_encoded else None,
            terms=tuple(query_terms(query.words)) if has_words else (),
        )

    def _hits(self, question: Question, matches: Sequence[ShardMatch]) -> tuple[Hit, ...]:
        ranked = self._rank(question, matches)
        with ExitStack() as stack:
            gatherer = Gatherer(question, self._encoder, matches, stack)
            return tuple(gatherer.hit(pattern) for pattern in ranked)

    def _rank(self, question: Question, matches: Sequence[ShardMatch]) -> list[RankedPattern]:
        """The best patterns over all shards; one that several shards have counts once."""
        best_lexical = max((float(m.lexical.max(initial=0.0)) for m in matches), default=0.0)
        best: dict[str, RankedPattern] = {}
        for match in matches:
            for pattern in self._rank_shard(question, match, best_lexical):
                known = best.get(pattern.text)
                if known is None or pattern.order > known.order:
                    best[pattern.text] = pattern
        ordered = sorted(best.values(), key=lambda p: p.order, reverse=True)
        return ordered[: question.request.limit]

    def _rank_shard(
        self, question: Question, match: ShardMatch, best_lexical: float
    ) -> list[RankedPattern]:
        lexical = match.lexical / np.float32(best_lexical) if best_lexical > 0 else match.lexical
        channels = Channels(match.semantic, match.pooled, lexical, match.exact)
        mode = question.request.mode
        totals = fuse(channels, mode, self._weights)
        is_ranked = bool(question.terms) or question.encoded is not None
        newest = _newest(match)
        chosen = best_first(totals, newest, question.request.limit)
        if mode is Mode.LEXICAL and is_ranked:
            chosen = chosen[totals[chosen] > 0]  # No word in common is no hit.
        with match.arrays.shard.snapshot() as snapshot:
            return [
                RankedPattern(
                    text=snapshot.pattern(int(match.patterns[i])),
                    order=(float(totals[i]), int(newest[i])),
                    scores=Scores(
                        total=float(totals[i]),
                        semantic=float(channels.semantic[i]),
                        pooled=float(channels.pooled[i]),
                        lexical=float(channels.lexical[i]),
                        exact=float(channels.exact[i]),
                    ),
                )
                for i in chosen
            ]


def label_names(states: Sequence[ShardArrays]) -> frozenset[str]:
    """The names of all labels that occur."""
    return frozenset[str]().union(*(state.label_names for state in states))


def _match(question: Question, shard: _OpenShard, state: ShardArrays) -> ShardMatch:
    with shard.lock:
        shard.lexical.refresh()
        view = shard.lexical.view()
    return match_shard(question, state, view)


def _newest(match: ShardMatch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """int64[n]: when each pattern's newest counted event happened."""
    columns = match.arrays.columns
    newest = np.full(match.arrays.counters.patterns, np.iinfo(np.int64).min)
    rows = slice(None) if match.is_counted is None else match.is_counted
    np.maximum.at(newest, columns.patterns[rows], columns.times[rows])
    return newest[match.patterns]


def _counted_events(match: ShardMatch) -> int:
    if match.is_counted is None:
        return len(match.arrays.columns.times)
    return int(match.is_counted.sum())
