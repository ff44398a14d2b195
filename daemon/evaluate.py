"""Retrieval quality on tasks in BEIR's layout, through the real write path and the real search.

A task is a folder with `corpus.jsonl` (`_id`, `text`, `title`), `queries.jsonl` and `qrels.tsv`
(header, then query, document, grade), as in Thakur et al., BEIR, NeurIPS 2021. Each document is
indexed as one note into a temporary data directory. Hits are patterns; their events, in the order
in which search shows them, are the ranked documents, so documents that share a pattern stay
separate. A document whose id is that of the query behind `q_` is the query itself and left out.
A task is searched while its shard is fresh, after that shard was compacted, or both.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from dejalog.daemon.config import Settings
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.daemon.pipeline import Pipeline
from dejalog.daemon.sources.source import Positions, Progress
from dejalog.indexer.append import Appender
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.decode import Decoder, DecodeSettings
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import DejalogError
from dejalog.indexer.event import Position, Record
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import Tier

#: Deep enough for recall@100.
RANKED_MAX = 100

T = TypeVar("T")

_NOTE = msgspec.json.Encoder()


class EvaluationError(DejalogError):
    """A task cannot be read, or what measures it is not installed."""


class _Document(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    text: str
    title: str = ""


class _Query(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """A retrieval task; `grades` maps query ids to document ids to grades."""

    name: str
    documents: Sequence[_Document]
    queries: Sequence[_Query]
    grades: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One task's figures; `seconds` is the time that searching took, `bits` is 0 if fresh."""

    task: str
    mode: str
    tier: str
    bits: int
    ndcg_at_10: float
    mrr_at_10: float
    recall_at_100: float
    queries: int
    docs: int
    seconds: float


def read_task(folder: Path) -> Task:
    """Returns the task in a folder; raises EvaluationError."""
    try:
        documents = _read_lines(folder / "corpus.jsonl", _Document)
        queries = _read_lines(folder / "queries.jsonl", _Query)
        grades: dict[str, dict[str, int]] = {}
        with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter="\t")
            next(rows, None)
            for query, document, grade in rows:
                grades.setdefault(query, {})[document] = int(grade)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise EvaluationError(f"{folder} is not a task in BEIR's layout: {error}") from error
    return Task(folder.name, documents, [q for q in queries if q.id in grades], grades)


def evaluate(
    task: Task,
    modes: Sequence[Mode],
    encoder: Encoder,
    settings: Settings,
    tiers: Sequence[Tier] = (Tier.FRESH,),
) -> Iterator[Outcome]:
    """Indexes the task's documents once and yields one outcome per tier and mode, fresh first."""
    with (
        tempfile.TemporaryDirectory(prefix="dejalog-eval-") as folder,
        DataDirectory.open(Path(folder), is_writable=True) as directory,
    ):
        index_task(task, directory, encoder, settings)
        for tier in (tier for tier in Tier if tier in tiers):
            bits = 0
            if tier is Tier.COMPACTED:
                bits = settings.compact.bits
                compact_task(directory, encoder, settings)
            searcher = Searcher(directory, encoder)
            try:
                for mode in modes:
                    yield _measure(task, mode, searcher, tier=tier, bits=bits)
            finally:
                searcher.close()


def compact_task(directory: DataDirectory, encoder: Encoder, settings: Settings) -> None:
    """Compacts everything that the task's documents are in."""
    Appender(directory, encoder, limits=settings.shard).seal()
    rules: CompactRules = replace(settings.compact, write_bytes_per_s=0)
    compact_directory(directory, lambda: encoder, rules)
    fresh = [shard for shard in directory.shards[:-1] if shard.tier is Tier.FRESH]
    if fresh:
        raise EvaluationError(f"{fresh[0].path} was not compacted")


def index_task(task: Task, directory: DataDirectory, encoder: Encoder, settings: Settings) -> None:
    """Stores the task's documents through the real write path, word index included."""
    failures: list[BaseException] = []
    appender = Appender(directory, encoder, limits=settings.shard)
    lexical = LexicalWorker(directory, failures.append)
    lexical.start()
    try:
        source = TaskSource(task)
        totals = Pipeline(
            source, Decoder(DecodeSettings()), appender, settings=settings.ingest
        ).run()
    finally:
        lexical.finish()
    if failures:
        raise failures[0]
    if totals.events != len(task.documents):
        raise EvaluationError(f"{task.name}: {totals.events} events of {len(task.documents)} texts")


def _measure(task: Task, mode: Mode, searcher: Searcher, *, tier: Tier, bits: int) -> Outcome:
    started = time.perf_counter()
    run = {query.id: _ranked(task, query, mode, searcher) for query in task.queries}
    seconds = time.perf_counter() - started
    figures = _figures(task.grades, run)
    return Outcome(
        task=task.name,
        mode=mode.value,
        tier=tier.value,
        bits=bits,
        ndcg_at_10=figures["nDCG@10"],
        mrr_at_10=figures["RR@10"],
        recall_at_100=figures["R@100"],
        queries=len(task.queries),
        docs=len(task.documents),
        seconds=seconds,
    )


def _ranked(task: Task, query: _Query, mode: Mode, searcher: Searcher) -> dict[str, float]:
    request = SearchRequest(
        query.text, limit=RANKED_MAX + 1, occurrences=RANKED_MAX + 1, mode=mode, is_explained=False
    )
    ranked = [
        task.documents[occurrence.event.offset].id
        for hit in searcher.search(request).hits
        for occurrence in hit.occurrences
    ]
    own = query.id.removeprefix("q_") if query.id.startswith("q_") else None
    kept = [document for document in ranked if document != own][:RANKED_MAX]
    # Only the order counts, and it must survive measures that sort by score.
    return {document: float(RANKED_MAX - rank) for rank, document in enumerate(kept)}


def _figures(
    grades: dict[str, dict[str, int]], run: dict[str, dict[str, float]]
) -> dict[str, float]:
    try:
        import ir_measures
    except ImportError as error:
        raise EvaluationError(
            "evaluation needs ir-measures; install it with: pip install 'dejalog[eval]'"
        ) from error
    measures = [ir_measures.parse_measure(name) for name in ("nDCG@10", "RR@10", "R@100")]
    judged = {query: grades[query] for query in run}
    values = ir_measures.calc_aggregate(measures, judged, run)
    return {str(measure): float(value) for measure, value in values.items()}


def _read_lines(path: Path, kind: type[T]) -> list[T]:
    decoder = msgspec.json.Decoder(kind)
    return decoder.decode_lines(path.read_bytes())


class TaskSource:
    """A task's documents as records: the offset is the document's place in the corpus."""

    name = "task"

    def __init__(self, task: Task) -> None:
        self._task = task
        self._next = 0

    def seek(self, positions: Positions) -> None:
        """Goes on behind what is stored."""
        position = positions.get((self.name, self._task.name))
        self._next = 0 if position is None else position.offset

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """Returns the next documents as notes."""
        records: list[Record] = []
        while len(records) < records_max and bytes_max > 0 and not self.is_exhausted:
            document = self._task.documents[self._next]
            text = f"{document.title} {document.text}".strip()
            data = _NOTE.encode({"kind": "note", "text": text})
            records.append(
                Record(
                    source=self.name,
                    partition=self._task.name,
                    offset=self._next,
                    next_offset=self._next + 1,
                    data=data,
                    received_at_ns=time.time_ns(),
                    encoding="note",
                )
            )
            bytes_max -= len(data)
            self._next += 1
        return records

    @property
    def is_exhausted(self) -> bool:
        """Whether every document was handed out."""
        return self._next >= len(self._task.documents)

    def finish(self) -> None:
        """Hands out nothing more: the index is temporary."""
        self._next = len(self._task.documents)

    def ack(self, positions: Sequence[Position]) -> None:
        """Takes note of nothing: the index is temporary."""

    def close(self) -> None:
        """Holds nothing open."""

    def progress(self) -> Progress:
        """How far reading has come."""
        return Progress(files_total=1, current=self._task.name)
