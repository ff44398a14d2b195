"""Compare the lexical index (tantivy) with SQLite FTS5; the figures behind docs/adr/0001.

    python -m bench.lexical DATA [--size N] [--only index,query,crash,quality]

DATA is the folder with `logs/` and `qrels/`. One JSON object per line; every measurement runs in
a process of its own, on one thread where the library lets us choose.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import PLACEHOLDERS, mask_pattern
from dejalog.indexer.terms import FORM_WEIGHT, QueryTerm, document_terms, query_terms

Documents = Sequence[tuple[int, str]]
BATCH = 16_384
TIMES = frozenset(i for i, name in enumerate(PLACEHOLDERS) if name in {"<time>", "<date>"})
PLACEHOLDER = re.compile("|".join(map(re.escape, PLACEHOLDERS)))


class _Engine(Protocol):
    """What both libraries are asked to do."""

    def append(self, patterns: Documents, events: Documents, ends: tuple[int, int]) -> None:
        """Add documents and move both watermarks."""

    def rank(self, terms: Sequence[QueryTerm], limit: int) -> list[int]:
        """The best patterns."""

    def state(self) -> tuple[int, int, int, int]:
        """Both watermarks, and how many documents have the word that all of them have."""

    def close(self) -> None:
        """Finish."""


class _Tantivy:
    def __init__(self, index: LexicalIndex) -> None:
        self.index = index

    @classmethod
    def open(cls, path: Path, writable: bool) -> Self:
        return cls(LexicalIndex.open(path, writable=writable))

    def append(self, patterns: Documents, events: Documents, ends: tuple[int, int]) -> None:
        self.index.append(patterns, events, patterns_end=ends[0], events_end=ends[1])

    def rank(self, terms: Sequence[QueryTerm], limit: int) -> list[int]:
        return self.index.rank_patterns(terms, limit=limit).ids.tolist()

    def state(self) -> tuple[int, int, int, int]:
        self.index.refresh()
        reached = self.index.patterns_indexed, self.index.events_indexed
        found = len(self.index.patterns_with("common")), len(self.index.events_with("common"))
        return *reached, *found

    def close(self) -> None:
        self.index.close()


class _Fts5:
    """The same documents in two contentless FTS5 tables of one database.

    bm25() needs detail=full: without stored text, `column` and `none` have no term counts.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @classmethod
    def open(cls, path: Path, writable: bool, synchronous: str = "normal") -> Self:
        path.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path / "lexical.db", isolation_level=None, timeout=30)
        if writable:
            connection.execute("pragma journal_mode=wal")
            for table in ("patterns", "events"):
                connection.execute(
                    f"create virtual table if not exists {table} using fts5(words, forms, "
                    "content='', detail=full, tokenize=\"ascii tokenchars '-._:/@#'\")"
                )
            connection.execute("create table if not exists mark(patterns, events)")
            connection.execute("insert into mark select 0, 0 where not exists (select 1 from mark)")
        connection.execute(f"pragma synchronous={synchronous}")
        return cls(connection)

    def append(self, patterns: Documents, events: Documents, ends: tuple[int, int]) -> None:
        self.connection.execute("begin immediate")
        for table, documents in (("patterns", patterns), ("events", events)):
            rows = (
                (number, " ".join(terms.words), " ".join(terms.forms))
                for number, terms in ((n, document_terms(text)) for n, text in documents)
                if terms.words
            )
            insert = f"insert into {table}(rowid, words, forms) values (?, ?, ?)"
            self.connection.executemany(insert, rows)
        self.connection.execute("update mark set patterns = ?, events = ?", ends)
        self.connection.execute("commit")

    def rank(self, terms: Sequence[QueryTerm], limit: int) -> list[int]:
        quoted = ('"' + term.text.replace('"', '""') + '"' for term in terms)
        rows = self.connection.execute(
            f"select rowid from patterns where patterns match ? "
            f"order by bm25(patterns, 1.0, {FORM_WEIGHT}) limit ?",
            (" OR ".join(quoted), limit),
        )
        return [number for (number,) in rows]

    def state(self) -> tuple[int, int, int, int]:
        self.connection.execute("begin")
        reached = self.connection.execute("select patterns, events from mark").fetchone()
        counts = [
            self.connection.execute(
                f"select count(*) from {table} where {table} match 'common'"
            ).fetchone()[0]
            for table in ("patterns", "events")
        ]
        self.connection.execute("commit")
        return *reached, counts[0], counts[1]

    def close(self) -> None:
        self.connection.close()


ENGINES: dict[str, Callable[[Path, bool], _Engine]] = {"tantivy": _Tantivy.open, "fts5": _Fts5.open}


def real_documents(data: Path, limit: int) -> tuple[list[str], list[str]]:
    """The pattern documents and the event documents of the first log lines."""
    patterns: dict[str, None] = {}
    events: list[str] = []
    with gzip.open(data / "logs" / "nezha_trainticket.log.gz", "rt") as lines:
        for _, line in zip(range(limit), lines, strict=False):
            pattern, spans = mask_pattern(line)
            patterns[pattern] = None
            values = [
                line[spans[i + 1] : spans[i + 2]]
                for i in range(0, len(spans), 3)
                if spans[i] not in TIMES
            ]
            events.append(" ".join(values))
    return [PLACEHOLDER.sub(" ", pattern) for pattern in patterns], events


def synthetic_patterns(count: int) -> Iterator[str]:
    """15 words each, Zipf-distributed; `common` in all of them, each `rare...` in five."""
    generator = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        words = np.minimum(generator.zipf(1.2, (min(BATCH, count - start), 13)), 50_000)
        for at, row in enumerate(words, start):
            yield f"common rare{_spelled(at // 5)} " + " ".join(map(_spelled, row.tolist()))


def _spelled(number: int) -> str:
    """A made-up word for a number, of letters only, so that it has no parts."""
    letters = "q"
    while number:
        number, digit = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[digit]
    return letters


def measure_index(name: str, path: Path, data: Path) -> dict[str, float]:
    """Throughput, size and memory over real lines."""
    patterns, events = real_documents(data, 100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine = ENGINES[name](path, True)
    started, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(events), BATCH):
        batch = list(enumerate(events[start : start + BATCH], start))
        added = list(enumerate(patterns)) if not start else []
        engine.append(added, batch, (len(patterns), start + len(batch)))
    engine.close()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    reader = ENGINES[name](path, False)
    reader.rank(query_terms("getRestTicketNumber"), 10)
    return {
        "patterns": len(patterns),
        "events": len(events),
        "documents_per_s": round((len(events) + len(patterns)) / seconds),
        "cpu_us_per_document": round(cpu / len(events) * 1e6, 1),
        "bytes_per_document": round(_folder_bytes(path) / len(events), 1),
        "memory_added_mb": round((peak - before) / 1024),
        "open_and_first_query_ms": round((time.perf_counter() - started) * 1e3, 2),
    }


def measure_query(name: str, path: Path, count: int) -> dict[str, object]:
    """Build speed, size, and the latency of a few kinds of query over synthetic patterns."""
    engine = ENGINES[name](path, True)
    cpu = time.process_time()
    batch: list[tuple[int, str]] = []
    for number, text in enumerate(synthetic_patterns(count)):
        batch.append((number, text))
        if len(batch) == BATCH or number == count - 1:
            engine.append(batch, [], (number + 1, 0))
            batch = []
    engine.close()
    cpu = time.process_time() - cpu
    reader = ENGINES[name](path, False)
    latencies = {}
    for label, text in {
        "common_word": "common",
        "rare_word": "rare" + _spelled(7),
        "two_middling_words": f"{_spelled(100)} {_spelled(2000)}",
        "common_and_rare_words": f"common {_spelled(1)} {_spelled(6)} rare{_spelled(7)}",
        "twelve_words": "common " + " ".join(_spelled(2**k) for k in range(11)),
    }.items():
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            reader.rank(query_terms(text), 100)
            times.append(time.perf_counter() - begun)
        latencies[label + "_ms"] = round(statistics.median(times) * 1e3, 2)
    return {
        "documents": count,
        "cpu_us_per_document": round(cpu / count * 1e6, 1),
        "bytes_per_document": round(_folder_bytes(path) / count, 1),
        **latencies,
    }


def measure_crash(name: str, path: Path, kills: int) -> dict[str, object]:
    """Kill the writer at random moments; look at the index after each, and all along beside it."""
    chance = random.Random(11)
    context = multiprocessing.get_context("spawn")
    ENGINES[name](path, True).close()
    reader = ENGINES[name](path, False)
    wrong: list[str] = []
    reads = 0
    for _ in range(kills):
        writer = context.Process(target=_write_forever, args=(name, str(path)))
        writer.start()
        first = reader.state()
        until = time.monotonic() + 20
        while reader.state()[1] == first[1] and time.monotonic() < until:
            time.sleep(0.01)
        until = time.monotonic() + chance.uniform(0, 0.12)
        while time.monotonic() < until:
            wrong += _faults(reader.state())
            reads += 1
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        fresh = ENGINES[name](path, True)
        wrong += _faults(fresh.state())
        fresh.close()
    state = reader.state()
    return {"kills": kills, "reads_beside_writer": reads, "state": state, "wrong": wrong[:3]}


def _write_forever(name: str, path: str) -> None:
    engine = ENGINES[name](Path(path), True)
    patterns, events, _, _ = engine.state()
    chance = random.Random(patterns)
    while True:
        size = chance.randrange(1, 400)
        new = [(i, f"common p{i} w{i % 97}") for i in range(patterns, patterns + size)]
        values = [(i, f"common {i:032x}") for i in range(events, events + 3 * size)]
        patterns, events = patterns + size, events + 3 * size
        engine.append(new, values, (patterns, events))


def _faults(state: tuple[int, int, int, int]) -> list[str]:
    patterns, events, found_patterns, found_events = state
    return [] if (patterns, events) == (found_patterns, found_events) else [str(state)]


def measure_quality(name: str, path: Path, task: Path) -> dict[str, object]:
    """nDCG@10 of BM25 alone; a query's own document (`q_` + id) does not count."""
    import ir_measures

    corpus = [json.loads(line) for line in (task / "corpus.jsonl").open()]
    queries = [json.loads(line) for line in (task / "queries.jsonl").open()]
    rows = [line.split("\t") for line in (task / "qrels.tsv").read_text().splitlines()[1:]]
    qrels = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in rows]
    judged = {qrel.query_id for qrel in qrels}
    engine = ENGINES[name](path, True)
    texts = [f"{d.get('title', '')} {d['text']}" for d in corpus]
    engine.append(list(enumerate(texts)), [], (len(texts), 0))
    run = []
    for query in queries:
        if query["_id"] in judged:
            found = [corpus[i]["_id"] for i in engine.rank(query_terms(query["text"]), 20)]
            kept = [document for document in found if "q_" + document != query["_id"]]
            run += [
                ir_measures.ScoredDoc(query["_id"], document, -rank)
                for rank, document in enumerate(kept)
            ]
    score = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)
    return {"task": task.name, "ndcg@10": round(score[ir_measures.nDCG @ 10], 4)}


def _folder_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _emit(kind: str, name: str, argument: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measured = MEASURES[kind](name, Path(folder) / "index", argument)
    print(json.dumps({"bench": kind, "engine": name, **measured}), flush=True)


MEASURES: dict[str, Callable[..., dict[str, object]]] = {
    "index": measure_index,
    "query": measure_query,
    "crash": measure_crash,
    "quality": measure_quality,
}


def main() -> None:
    """Run what was asked for, each measurement in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--only", default="index,query,crash,quality")
    options = parser.parse_args()
    wanted = options.only.split(",")
    jobs: list[tuple[str, object]] = [("index", options.data)]
    jobs += [("query", size) for size in (2_000, 100_000, 1_000_000) if size <= options.size]
    jobs += [("crash", 50)]
    jobs += [("quality", task) for task in sorted((options.data / "qrels").iterdir())]
    for kind, argument in jobs:
        for name in ENGINES if kind in wanted else ():
            process = multiprocessing.get_context("spawn").Process(
                target=_emit, args=(kind, name, argument)
            )
            process.start()
            process.join()


if __name__ == "__main__":
    main()
