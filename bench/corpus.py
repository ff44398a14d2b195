"""Collect and encode what the engines are measured with, once: real texts and real queries.

    python -m bench.corpus OUT.npz --shared DIR

DIR is the folder with `maintenance/`, `codes/`, `logs/` and `qrels/`. Texts, in this order, each
once:

1. every maintenance text and code of these folders and of the tasks' corpora, masked: what dejalog
   encodes of notes (SciFact, long abstracts about neither machines nor notes, stays out);
2. every pattern of the Nezha and LogHub logs: what dejalog encodes of logs;
3. raw log lines of the same files, drawn at random, until there are TOKENS_WANTED token vectors.
   dejalog would not encode these: masking makes patterns of them that are there already. They stand
   for logs that repeat less, and their near duplicates make the ranking harder for every engine.

Texts are masked and encoded as notes are: one text, one pattern, by the bundle in the package. The
queries are of the tasks, an equal number of each; beside them LINE_QUERIES raw log lines that are
not among the texts, for the question "has this line happened before?". A text without
a word has no token vector of its own and is left out.

OUT.npz holds `vectors` float32[tokens, dim] (L2-normalised), `lengths` uint32[texts] (token vectors
of each), `texts` (UTF-8 JSON list as bytes), for tasks and lines `*_query_vectors` float32[rows,
dim], `*_query_lengths` and `*_queries` (JSON), and `about` (JSON: seed, encoder, counts).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from bench.vectors import Rows
from numpy.typing import NDArray

from dejalog.indexer.encode import Encoder
from dejalog.indexer.mask import mask_pattern

SEED = 20_240_601

#: Where raw log lines stop: 51,000 to 52,000 short texts are then reached on the shared data.
TOKENS_WANTED = 1_130_000

TASK_QUERIES = 300
LINE_QUERIES = 100

#: Its texts are abstracts of 211 tokens on average, and its queries are claims about medicine.
TASKS_LEFT_OUT = frozenset({"scifact"})

#: Texts encoded in one call; the encoder sorts within a call by length.
TEXTS_AT_ONCE = 4_096


class _Collected:
    """Distinct texts in the order of their first appearance."""

    def __init__(self) -> None:
        self.texts: dict[str, None] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, texts: Iterable[str]) -> Self:
        """Adds the texts that are new."""
        before = len(self.texts)
        self.texts |= dict.fromkeys(text for text in texts if any(map(str.isalnum, text)))
        self.counts[name] = len(self.texts) - before
        return self


def main() -> None:
    """Collects, encodes and writes; prints what there is of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with the data")
    parser.add_argument("--threads", type=int, default=2, help="threads of the encoder")
    options = parser.parse_args()
    encoder = Encoder.load(threads=options.threads)
    started = time.perf_counter()
    collected, lines = _collect(options.shared)
    chosen = random.Random(SEED)
    chosen.shuffle(lines)
    line_queries, lines = lines[:LINE_QUERIES], lines[LINE_QUERIES:]
    texts, rows = _encode_until(list(collected.texts), lines, encoder)
    collected.counts["raw log lines"] = len(texts) - len(collected.texts)
    about = {
        "seed": SEED,
        "encoder": encoder.fingerprint,
        "dim": encoder.dim,
        "texts": len(texts),
        "tokens": len(rows.vectors),
        **collected.counts,
    }
    arrays = {"vectors": rows.vectors, "lengths": rows.lengths, "texts": _as_bytes(texts)}
    for kind, queries in {
        "task": _task_queries(options.shared / "qrels", chosen),
        "line": line_queries,
    }.items():
        encoded = _joined([encoder.encode_query(text).vectors for text in queries])
        arrays |= _query_arrays(kind, queries, encoded)
        about |= {
            f"{kind}_queries": len(queries),
            f"{kind}_query_rows_mean": round(float(encoded.lengths.mean()), 1),
        }
    np.savez(options.out, about=_as_bytes(about), **arrays)
    print(json.dumps({**about, "seconds": round(time.perf_counter() - started, 1)}))


def _collect(data: Path) -> tuple[_Collected, list[str]]:
    """Returns the patterns of everything, and the distinct raw log lines that are none of them."""
    collected = _Collected()
    for name, texts in _notes(data):
        collected.add(name, (mask_pattern(text)[0] for text in texts))
    logs = dict(_logs(data / "logs"))
    for name, lines in logs.items():
        collected.add(name, (mask_pattern(line)[0] for line in lines))
    raw = dict.fromkeys(line for lines in logs.values() for line in lines)
    return collected, [line for line in raw if line not in collected.texts]


def _notes(data: Path) -> Iterator[tuple[str, list[str]]]:
    for path in sorted((data / "maintenance").glob("*.jsonl")):
        rows = _json_lines(path)
        normalised = [row["normalised"] for row in rows if "normalised" in row]
        yield path.stem, [row["text"] for row in rows] + normalised
    rows = _table(data / "maintenance" / "fmea_dataset_filled.csv")
    yield "fmea", [", ".join(filter(None, row.values())) for row in rows]
    rows = _table(data / "codes" / "dtc_wal33d.csv")
    yield "trouble codes", [f"{row['code']} - {row['description']}" for row in rows]
    rows = _table(data / "codes" / "opcua_status_codes.csv")
    yield "status codes", [f"{row['name']} {row['hex']} {row['description']}" for row in rows]
    for folder in _tasks(data / "qrels"):
        rows = _json_lines(folder / "corpus.jsonl")
        yield folder.name, [f"{row.get('title', '')} {row['text']}".strip() for row in rows]


def _logs(folder: Path) -> Iterator[tuple[str, list[str]]]:
    for path in sorted(folder.glob("loghub/*.log")):
        yield path.stem, path.read_text("utf-8", "replace").splitlines()
    for path in sorted(folder.glob("*.log.gz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        yield path.name.removesuffix(".log.gz"), text.splitlines()


def _task_queries(folder: Path, chosen: random.Random) -> list[str]:
    """Returns the texts of as many queries of each task."""
    tasks = _tasks(folder)
    found: list[str] = []
    for task in tasks:
        texts = list(dict.fromkeys(row["text"] for row in _json_lines(task / "queries.jsonl")))
        found += chosen.sample(texts, TASK_QUERIES // len(tasks))
    return found


def _tasks(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir() and f.name not in TASKS_LEFT_OUT)


def _encode_until(
    patterns: list[str], lines: Sequence[str], encoder: Encoder
) -> tuple[list[str], Rows]:
    """Encodes all patterns, then lines until there are vectors enough."""
    texts, kept, tokens = [*patterns, *lines], [], 0
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        for encoded in encoder.encode_patterns(texts[start : start + TEXTS_AT_ONCE]):
            if len(kept) >= len(patterns) and tokens >= TOKENS_WANTED:
                return texts[: len(kept)], _joined(kept)
            kept.append(encoded.vectors)
            tokens += len(encoded.vectors)
    raise SystemExit(f"only {tokens} token vectors in these data, {TOKENS_WANTED} are wanted")


def _joined(arrays: Sequence[NDArray[np.float32]]) -> Rows:
    lengths = np.array([len(array) for array in arrays], np.uint32)
    return Rows(np.concatenate(arrays).astype(np.float32, copy=False), lengths)


def _query_arrays(kind: str, queries: list[str], rows: Rows) -> dict[str, NDArray[np.generic]]:
    return {
        f"{kind}_query_vectors": rows.vectors,
        f"{kind}_query_lengths": rows.lengths,
        f"{kind}_queries": _as_bytes(queries),
    }


def _as_bytes(value: object) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _json_lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
