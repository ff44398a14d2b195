"""What a search returns: hits with their occurrences, scores and evidence."""

from __future__ import annotations

from dataclasses import dataclass

from dejalog.indexer.event import Event


@dataclass(frozen=True, slots=True)
class Evidence:
    """One query word and the word of the hit's first occurrence that matched it best.

    Offsets are code points into the query text and into that occurrence's raw text; `similarity`
    is the cosine of the two token vectors, or 1 where a word was matched exactly. `share` is what
    the pair adds to the semantic score, 0 for a word matched exactly.
    """

    query_start: int
    query_end: int
    text_start: int
    text_end: int
    similarity: float
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event of a pattern. `event_id` is unique and never changes."""

    event_id: int
    event: Event


@dataclass(frozen=True, slots=True)
class Scores:
    """How a hit's total came about.

    `semantic` is MaxSim per query row, rows weighted (`match.meaning_weights`), `pooled` the cosine
    of the pooled vectors, `lexical` BM25 as a share of the query's best, or of
    `candidates.FULL_MATCH` if that is more, `exact` how much of the query is rare codes found here.
    `marks` is the part of `semantic` that sentence marks bring, which stand for no word; with the
    shares of the evidence it adds up to `semantic`. `reranked` is what a reranking model gave, None
    where it did not look.
    """

    total: float
    semantic: float
    pooled: float
    lexical: float
    exact: float
    marks: float = 0.0
    reranked: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern with the occurrences that passed the query's filters.

    `count`, `first_seen_ns` and `last_seen_ns` speak of all of them; `occurrences` holds the ones
    asked for: those that contain the query's exact values first, then the newest.
    """

    pattern_id: str
    pattern: str
    scores: Scores
    count: int
    first_seen_ns: int
    last_seen_ns: int
    occurrences: tuple[Occurrence, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Misspelling:
    """A word of the question that no event has, and the word of the index that it was read as."""

    typed: str
    read: str


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and what was looked at to find them.

    `events_total` counts the events of the shards that were asked, `events_matched` those of them
    that passed the filters, and `patterns_scored` the patterns of these, among which the hits were
    chosen (in compacted shards most by an approximation). Deleted events count nowhere.
    `shards_searched` includes shards that have no event in the time range. `damaged_shards` names
    what could not be read, each a folder and the reason. `is_partial` says that hits may be missing
    for it, or because the deadline passed before every shard was asked, or that the last hits lack
    occurrences, because all together are more than 64 Mi characters. `misspellings` are the
    words that were read as others.
    """

    hits: tuple[Hit, ...]
    events_total: int
    events_matched: int
    patterns_scored: int
    shards_searched: int
    elapsed_s: float
    is_partial: bool
    damaged_shards: tuple[str, ...] = ()
    misspellings: tuple[Misspelling, ...] = ()
