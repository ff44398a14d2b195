"""A question -> hits, over all shards.

1. The request is parsed, its words are read (`misspelt.py`), encoded without the times in them, and
   cut into terms.
2. Every shard is asked on its own (`match.py`): filters, then nominations by meaning and by words.
3. Nominations are cut over all shards, and what is left is scored in full (`candidates.py`).
4. The channels are put on one scale over all shards and fused; the best patterns are kept.
5. A reranking model, if there is one, reads the best of these and puts them in its own order.
6. Their events are gathered from every shard (`gather.py`), with evidence.

Patience is looked at before each of these steps and within the long ones. Once it is over nothing
new is begun: what is nominated is scored, and a few hits are gathered, which takes some 0.02 s.

A shard that turns out to be damaged is left out and named; the others answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.candidates import ShardMatch, choose, lexical_share, score_candidates
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.fuse import Channels, Weights, fuse
from dejalog.indexer.gather import Gatherer, RankedPattern
from dejalog.indexer.hit import Hit, Scores, SearchResult
from dejalog.indexer.lexical import LexicalView
from dejalog.indexer.match import Nominations, Question, best_first, nominate, time_range
from dejalog.indexer.misspelt import read_words
from dejalog.indexer.opened import Held, HeldShard, OpenShards
from dejalog.indexer.pasted import without_times
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.query import parse_query
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.score import SearchRules
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.folders import SHARDS_NAME
from dejalog.indexer.store.view import ShardArrays

#: Hits that are gathered although the time is up, about 2 ms each: a late answer is not empty.
LATE_HITS: Final = 10
#: Texts that a reranking model reads between two looks at the clock, some 10 ms each.
RERANKED_STEP: Final = 4


class Reranker(Protocol):
    """A model that reads a query and a text together."""

    @property
    def top_n(self) -> int:
        """How many of the best hits it is to read."""

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns float32[texts]; a higher score is a better match, on a scale of its own."""


class Searcher:
    """Answers questions about a data directory; safe to call from several threads."""

    def __init__(
        self,
        directory: DataDirectory,
        encoder: Encoder,
        *,
        weights: Weights | None = None,
        rules: SearchRules | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        self._encoder = encoder
        self._reranker = reranker
        self._weights = weights or Weights()
        self._rules = rules or SearchRules()
        self._folder = directory.path / SHARDS_NAME
        self._shards = OpenShards(directory, encoder.fingerprint)

    @property
    def shards(self) -> OpenShards:
        """The shards, for other questions than searches."""
        return self._shards

    @property
    def encoder(self) -> Encoder:
        """The model that questions are encoded with."""
        return self._encoder

    def search(self, request: SearchRequest, patience: Patience = ENDLESS) -> SearchResult:
        """Returns the best hits.

        When the patience is over no further shard is asked, and what the others have nominated is
        returned as partial, in the order of before a reranking that was not ended. Raises
        QueryError, TimeoutError if nothing was searched in time, and CorruptShardError if no shard
        can be read.
        """
        started = time.monotonic()
        with self._shards.held() as held:
            question = self._understand(request, held, patience)
            answer = self._ask(question, held, patience)
            hits = self._hits(question, held, answer, patience)
            return SearchResult(
                hits=hits,
                events_total=answer.events_total(),
                events_matched=sum(m.events_counted for _, m in answer.matches),
                patterns_scored=sum(m.patterns_counted for _, m in answer.matches),
                shards_searched=len(answer.asked),
                elapsed_s=time.monotonic() - started,
                is_partial=answer.is_late
                or answer.is_cut
                or bool(held.damaged)
                or any(m.is_partial for _, m in answer.matches),
                damaged_shards=held.reasons(self._folder),
                misspellings=question.reading.misspellings,
            )

    def match(self, request: SearchRequest) -> list[ShardMatch]:
        """Returns every shard's channels, before they are fused; for measuring."""
        with self._shards.held() as held:
            question = self._understand(request, held, ENDLESS)
            answer = self._ask(question, held, ENDLESS)
            return [match for _, match in answer.matches]

    def states(self) -> list[ShardArrays]:
        """The newest state of every shard that can be read, oldest first."""
        return self._shards.states()

    def close(self) -> None:
        """Closes what the searcher has opened; the data directory stays open."""
        self._shards.close()

    def _understand(self, request: SearchRequest, held: Held, patience: Patience) -> Question:
        patience.check()
        query = parse_query(request, label_names([shard.state for shard in held.shards]))
        has_words = bool(query.words.strip())
        is_encoded = has_words and request.mode is not Mode.LEXICAL
        reading = read_words(query, held, self._encoder.is_word, patience)
        encoded = None
        if is_encoded:
            encoded = reading.as_typed(self._encoder.encode_query(without_times(reading.words)))
        terms = reading.terms() if has_words else ()
        return Question(request, query, encoded, terms, reading)

    def _ask(self, question: Question, held: Held, patience: Patience) -> _Answer:
        answer = _Answer()
        nominated: list[tuple[HeldShard, Nominations]] = []
        for shard in held.shards:
            try:
                patience.check()
                if not time_range(question).misses(shard.state.counters):
                    nominated.append((shard, self._nominate(question, shard, held, patience)))
                answer.asked.append(shard)
            except TimeoutError:
                answer.is_late = True
                break
            except CorruptShardError as error:
                held.set_aside(error)
        chosen = choose(question, [n for _, n in nominated], self._rules, self._weights)
        for (shard, nominations), patterns in zip(nominated, chosen, strict=True):
            try:
                with shard.reading():
                    match = score_candidates(question, nominations, patterns)
                answer.matches.append((shard, match))
            except CorruptShardError as error:
                held.set_aside(error)
                answer.asked.remove(shard)
        if answer.is_late and not answer.asked:
            raise TimeoutError("the deadline passed before the first shard was searched")
        held.check_any(is_any=bool(answer.asked))
        return answer

    def _nominate(
        self, question: Question, shard: HeldShard, held: Held, patience: Patience
    ) -> Nominations:
        lexical = shard.lexical
        while True:
            try:
                with shard.reading() as snapshot:
                    return nominate(
                        question,
                        shard.state,
                        snapshot,
                        lexical,
                        rules=self._rules,
                        weights=self._weights,
                        check=patience.check,
                    )
            except CorruptShardError as error:
                if error.path == shard.state.shard.path:
                    raise
                # Its lexical index is damaged, and the shard is searched without it.
                held.set_aside(error)
                lexical = LexicalView()

    def _hits(
        self, question: Question, held: Held, answer: _Answer, patience: Patience
    ) -> tuple[Hit, ...]:
        ranked = self._rank(question, held, answer.matches)
        gatherer = Gatherer(question, self._encoder, held, answer.matches)
        if self._is_reranked(question):
            ranked = self._rerank(question, ranked, gatherer, answer, patience)
        request = question.request
        hits: list[Hit] = []
        for pattern in ranked[request.skip : request.wanted]:
            if len(hits) >= LATE_HITS and patience.is_over:
                answer.is_late = True
                break
            hit = gatherer.hit(pattern)
            if hit is not None:
                hits.append(hit)
        answer.is_cut = gatherer.is_cut
        return tuple(hits)

    def _is_reranked(self, question: Question) -> bool:
        return self._reranker is not None and question.encoded is not None

    def _wanted(self, question: Question) -> int:
        """How many patterns have to be ranked; those that are read again are on every page."""
        wanted = question.request.wanted
        if self._reranker is None or question.encoded is None:
            return wanted
        return max(wanted, self._reranker.top_n)

    def _rerank(
        self,
        question: Question,
        ranked: list[RankedPattern],
        gatherer: Gatherer,
        answer: _Answer,
        patience: Patience,
    ) -> list[RankedPattern]:
        """The patterns, the best ones as the model orders them by their first occurrence's text."""
        assert self._reranker is not None
        query = " ".join(question.reading.words.split())
        best: list[RankedPattern] = []
        top = ranked[: self._reranker.top_n]
        for start in range(0, len(top), RERANKED_STEP):
            if patience.is_over:
                answer.is_late = True
                return ranked
            step = [(p, gatherer.text(p)) for p in top[start : start + RERANKED_STEP]]
            read = [(pattern, text) for pattern, text in step if text is not None]
            if not read:
                continue
            scores = self._reranker.scores(query, [text for _, text in read])
            best += [
                replace(pattern, scores=replace(pattern.scores, reranked=float(score)))
                for (pattern, _), score in zip(read, scores, strict=True)
            ]
        best.sort(key=lambda pattern: pattern.scores.reranked or 0.0, reverse=True)
        return [*best, *ranked[len(top) :]]

    def _rank(
        self, question: Question, held: Held, matches: Sequence[tuple[HeldShard, ShardMatch]]
    ) -> list[RankedPattern]:
        """The best patterns over all shards; one that several shards have counts once."""
        best_lexical = max((float(m.lexical.max(initial=0.0)) for _, m in matches), default=0.0)
        best: dict[str, RankedPattern] = {}
        for shard, match in matches:
            try:
                ranked = self._rank_shard(question, shard, match, best_lexical)
            except CorruptShardError as error:
                held.set_aside(error)
                continue
            for pattern in ranked:
                known = best.get(pattern.text)
                if known is None or pattern.order > known.order:
                    best[pattern.text] = pattern
        ordered = sorted(best.values(), key=lambda p: p.order, reverse=True)
        return ordered[: self._wanted(question)]

    def _rank_shard(
        self, question: Question, shard: HeldShard, match: ShardMatch, best_lexical: float
    ) -> list[RankedPattern]:
        lexical = lexical_share(match.lexical, best_lexical)
        channels = Channels(match.semantic, match.pooled, lexical, match.exact)
        mode = question.request.mode
        totals = fuse(channels, mode, self._weights)
        chosen = best_first(totals, match.newest, self._wanted(question))
        if mode is Mode.LEXICAL and question.has_words:
            chosen = chosen[totals[chosen] > 0]  # No word in common is no hit.
        with shard.reading() as snapshot:
            return [
                RankedPattern(
                    text=snapshot.pattern(int(match.patterns[i])),
                    order=(float(totals[i]), int(match.newest[i])),
                    scores=Scores(
                        total=float(totals[i]),
                        semantic=float(channels.semantic[i]),
                        pooled=float(channels.pooled[i]),
                        lexical=float(channels.lexical[i]),
                        exact=float(channels.exact[i]),
                    ),
                    shard=shard,
                )
                for i in chosen
            ]


@dataclass(slots=True)
class _Answer:
    """The shards that were asked, and what they say; one whose times miss the range says nothing.

    `is_late` says that there was no time for the others, `is_cut` that events were left out.
    """

    asked: list[HeldShard] = field(default_factory=list)
    matches: list[tuple[HeldShard, ShardMatch]] = field(default_factory=list)
    is_late: bool = False
    is_cut: bool = False

    def events_total(self) -> int:
        """How many events the shards have that were asked."""
        return sum(_events(shard.state) for shard in self.asked)


def _events(state: ShardArrays) -> int:
    deleted = 0 if state.deleted is None else int(np.count_nonzero(state.deleted))
    return len(state.columns.times) - deleted


def label_names(states: Sequence[ShardArrays]) -> frozenset[str]:
    """The names of all labels that occur."""
    return frozenset[str]().union(*(state.label_names for state in states))
