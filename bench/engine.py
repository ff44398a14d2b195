"""dejalog's index engine as the benches use it: vectors in, a compacted shard on disk, hits out.

Nothing is left out that the product does: vectors are written to a fresh shard as a batch of
events with a text each, and that shard is compacted by the same code as everywhere, word index
included. Only encoding is not part of it. Pooled vectors are not made (the peers have none).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from bench.trial import Query, Search
from bench.vectors import Corpus, Rows
from numpy.typing import NDArray

from dejalog.indexer import kernel
from dejalog.indexer.append import text_blocks
from dejalog.indexer.compact import CompactRules, compact
from dejalog.indexer.compaction.plan import Job
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.mask import MASK_VERSION
from dejalog.indexer.quantize import quantize_rows
from dejalog.indexer.score import SearchRules, open_scorer
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.layout import Columns, Counters, Vectors, digest
from dejalog.indexer.store.shard import Shard, new_header
from dejalog.indexer.store.transaction import ShardWrite
from dejalog.indexer.store.view import ShardArrays, ShardView

#: Patterns that are written in one transaction.
BATCH_PATTERNS = 16_384

#: Room for the int8 vectors of ten million tokens: the product's default.
ORIGINALS_BYTES = CompactRules().originals_bytes_max

#: Sections that hold token vectors and what finds them; the others are events and texts.
TOKEN_SECTIONS = (
    *("centroids", "centroid_scales", "deviations", "weights", "cutoffs"),
    *("/offsets", "/centroid_ids", "/norms", "/residuals", "/posting_starts", "/postings"),
)


@dataclass(slots=True)
class Dejalog:
    """Compacted shards with so many bits, searched with the rules of the product."""

    bits: int = 4
    has_originals: bool = False
    build_threads: int = 2
    rules: SearchRules = field(default_factory=SearchRules)
    name: str = "dejalog"
    package: str = "dejalog"
    distribution: str = "dejalog"
    #: Of the process; a search runs in one thread.
    threads: int = 2
    build_settings: dict[str, object] = field(default_factory=dict)
    search_settings: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.build_settings = {
            "bits": self.bits,
            "originals": self.has_originals,
            "threads": self.build_threads,
        }
        self.search_settings = {
            "kernel": kernel.BACKEND,
            "candidates_max": self.rules.candidates_max,
            "probes": self.rules.probes,
        }

    def compact_rules(self) -> CompactRules:
        """What compaction is told; writing is not paced."""
        return compact_rules(self.bits, self.build_threads, has_originals=self.has_originals)

    @property
    def index(self) -> str:
        """The folder of the index within a cache."""
        return f"dejalog-{self.bits}bit{'-originals' if self.has_originals else ''}"

    def stage(self, rows: Rows) -> object:
        """As it is; quantising is part of building."""
        return rows

    def build(self, staged: object, folder: Path) -> None:
        """Writes a fresh shard and compacts it."""
        assert isinstance(staged, Rows)
        build(folder, fresh_chunks(staged), self.compact_rules())

    def open(self, folder: Path | None, corpus: Corpus) -> Search:
        """Maps the compacted shard."""
        assert folder is not None
        arrays = open_arrays(folder)
        return lambda query, k: search(query, arrays, k, self.rules)

    def prepare(self, query: Query) -> object:
        """As it is."""
        return query


def search(query: Query, arrays: ShardArrays, k: int, rules: SearchRules) -> NDArray[np.int64]:
    """Returns the numbers of the k best patterns, best first, as the product's search does."""
    scorer = open_scorer(query, arrays.vectors, rules)
    nominated = scorer.nominate(None, max(rules.candidates_max, k))
    patterns = nominated.patterns
    scores = nominated.scores if nominated.is_exact else scorer.score(patterns)
    best = np.argpartition(scores, -k)[-k:] if k < len(scores) else np.arange(len(scores))
    return patterns[best[np.argsort(-scores[best], kind="stable")]]


def fresh_chunks(rows: Rows) -> Iterable[Vectors]:
    """Yields vectors as fresh shards keep them."""
    offsets = rows.offsets
    for first in range(0, len(rows.lengths), BATCH_PATTERNS):
        lengths = rows.lengths[first : first + BATCH_PATTERNS]
        start = int(offsets[first])
        codes, scales = quantize_rows(rows.vectors[start : start + int(lengths.sum())])
        yield as_vectors(lengths, codes, scales)


def as_vectors(
    lengths: NDArray[np.uint32], codes: NDArray[np.int8], scales: NDArray[np.float32]
) -> Vectors:
    """Returns token vectors without pooled ones."""
    nothing = np.zeros((len(lengths), 0), np.int8)
    return Vectors(lengths, codes, scales, nothing, np.ones(len(lengths), np.float32))


def compact_rules(bits: int, threads: int, *, has_originals: bool = False) -> CompactRules:
    """Returns what compaction is told: all int8 vectors are kept, or none; it is not paced."""
    budget = ORIGINALS_BYTES if has_originals else 0
    return CompactRules(bits=bits, write_bytes_per_s=0, originals_bytes_max=budget, threads=threads)


def build(folder: Path, chunks: Iterable[Vectors], rules: CompactRules) -> None:
    """Makes an index of one compacted shard."""
    with DataDirectory.open(folder, is_writable=True) as directory:
        write_fresh(directory, chunks)
        number = directory.shards[-1].header.shard
        add_empty(directory)  # The last shard is the one that is appended to.
        compact_shard(directory, number, rules)


def compact_shard(directory: DataDirectory, number: int, rules: CompactRules) -> None:
    """Puts a compacted shard in the place of a fresh one."""
    with directory.compacting():
        compact(directory, _no_encoder, Job((number,)), rules)


def write_fresh(directory: DataDirectory, chunks: Iterable[Vectors]) -> None:
    """Fills the shard that is appended to, which is empty, with one event for each pattern."""
    shard = directory.shards[-1] if directory.shards else None
    counters = Counters()
    for vectors in chunks:
        shard = shard or add_empty(directory, vectors)
        counters = _write_batch(shard, vectors, counters)


def add_empty(directory: DataDirectory, vectors: Vectors | None = None) -> Shard:
    """Adds a shard without events, of the last one's dims or of the vectors' own."""
    last = directory.shards[-1] if directory.shards else None
    dim = vectors.codes.shape[1] if vectors is not None else (last.header.dim if last else 96)
    first = 0
    if last is not None:
        with last.snapshot() as snapshot:
            first = last.header.first_event + snapshot.counters().events
    header = new_header(
        shard=0,
        created_ns=1,
        first_event=first,
        first_dead_letter=0,
        encoder_fingerprint="bench",
        mask_version=MASK_VERSION,
        dim=dim,
        pooled_dim=0,
    )
    return directory.add_shard(header, ())


def add_batch(shard: Shard, vectors: Vectors) -> None:
    """Adds patterns to a shard, with an event for each, in one transaction."""
    with shard.snapshot() as snapshot:
        before = snapshot.counters()
    _write_batch(shard, vectors, before)


def _write_batch(shard: Shard, vectors: Vectors, before: Counters) -> Counters:
    first, count = before.patterns, len(vectors.lengths)
    numbers = np.arange(first, first + count, dtype=np.uint32)
    texts = [f"pattern {number}" for number in numbers.tolist()]
    with shard.write() as write:
        write.put_patterns(first, texts, [digest(text) for text in texts])
        write.put_vectors(first, vectors)
        if not first:
            write.put_labelset(0, ())
        _put_events(write, shard.header.first_event + first, numbers, texts)
        after = Counters(
            events=first + count,
            patterns=first + count,
            tokens=before.tokens + len(vectors.codes),
            labelsets=1,
            oldest_ns=1,
            newest_ns=1,
        )
        write.put_counters(after)
    return after


def _put_events(
    write: ShardWrite, first: int, numbers: NDArray[np.uint32], texts: list[str]
) -> None:
    count = len(texts)
    ones = np.ones(count, np.int64)
    columns = Columns(ones, numbers, np.zeros(count, np.uint32), np.ones(count, np.uint8))
    write.put_columns(first, columns)
    events = [
        Event(
            kind=Kind.LOG,
            time_ns=1,
            time_origin=TimeOrigin.EVENT,
            text=text,
            source="bench",
            partition="0",
            offset=int(number),
            sub=0,
            labels=(),
            attributes=(),
        )
        for number, text in zip(numbers, texts, strict=True)
    ]
    for start, block in text_blocks(events):
        write.put_texts(first + start, block)


def open_arrays(folder: Path) -> ShardArrays:
    """Returns the arrays of an index's first shard; they keep it open."""
    directory = DataDirectory.open(folder, is_writable=False)
    return ShardView(directory.shards[0]).refresh()


def token_bytes(arrays: ShardArrays) -> int:
    """Bytes of all sections that hold token vectors and what finds them."""
    with arrays.shard.snapshot() as snapshot:
        return sum(
            len(snapshot.section(name))
            for name in snapshot.section_names()
            if name.endswith(TOKEN_SECTIONS)
        )


def _no_encoder() -> Encoder:
    raise AssertionError("a fresh shard is compacted from its own vectors")
