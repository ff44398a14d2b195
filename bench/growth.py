"""Search, memory and adds by the size of the index, on patterns made from real ones; JSON lines.

    python -m bench.growth CORPUS.npz [--size N]... [--folder DIR]

For each size an index of one compacted shard is built and searched in a process of its own, in one
thread on one core, by all queries in turn; then batches are added to the shard that is appended
to, and looked for. `write_bytes` is what the kernel wrote for one such batch.

The growth is synthetic. Each pattern is one of the real patterns, drawn at random with replacement,
whose token vectors got independent Gaussian noise and were normalised again. So lengths and the
spread of the vectors are real, but no new words come with size, as they do in a real stream, and
the noise, having no direction, is harder to compress than language is.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench.engine import (
    add_batch,
    as_vectors,
    build,
    compact_rules,
    open_arrays,
    search,
    token_bytes,
)
from bench.trial import alone, emit, folder_bytes, machine, memory, versions
from bench.vectors import Corpus
from numpy.typing import NDArray

from dejalog.indexer.quantize import quantize_rows
from dejalog.indexer.score import SearchRules
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.layout import Vectors
from dejalog.indexer.store.view import ShardView

#: Expected cosine of a noisy token vector and the real one. For 120 patterns of the corpus, the
#: MaxSim per row with the most similar other pattern is 0.89 in the median, 0.71 to 0.99 in nine of
#: ten: a synthetic pattern is as far from its origin as real neighbours are from each other.
COSINE = 0.89

#: Patterns in a chunk: 25 tokens each make float32 temporaries of 150 MB at 96 dims.
CHUNK_PATTERNS = 16_384


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive patterns as fresh shards keep them: row = code * scale.

    lengths uint32[patterns], codes int8[tokens, dim], scales float32[tokens]; origins
    uint32[patterns] are the numbers of the real patterns that they were made from.
    """

    lengths: NDArray[np.uint32]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    origins: NDArray[np.uint32]


def synthetic(
    vectors: NDArray[np.float32], lengths: NDArray[np.uint32], count: int, seed: int
) -> Iterator[Chunk]:
    """Yields `count` patterns made from real ones, CHUNK_PATTERNS at a time.

    `vectors` float32[tokens, dim], L2-normalised, of consecutive real patterns of `lengths`
    uint32[n]. A prefix is the same for every count, so a larger index contains the smaller ones.
    """
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    for number, first in enumerate(range(0, count, CHUNK_PATTERNS)):
        # A generator of its own for each chunk; the whole chunk is drawn and then cut, so that a
        # last, shorter one begins like a full one.
        random = np.random.default_rng((seed, number))
        origins = random.integers(len(lengths), size=CHUNK_PATTERNS)[: count - first]
        yield _noisy(vectors, starts[origins], lengths[origins], origins, random)


def _noisy(
    vectors: NDArray[np.float32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.uint32],
    origins: NDArray[np.int64],
    random: np.random.Generator,
) -> Chunk:
    ends = np.cumsum(lengths, dtype=np.int64)
    within = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    rows = vectors[np.repeat(starts, lengths) + within]
    dim = rows.shape[1]
    deviation = np.float32(np.sqrt((COSINE**-2 - 1) / dim))
    noise = random.standard_normal(rows.shape, np.float32)
    noise *= deviation
    rows += noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    codes, scales = quantize_rows(rows)
    return Chunk(lengths, codes, scales, origins.astype(np.uint32))


#: Patterns of one add, and how often it is measured.
ADD_PATTERNS, ADDS = 50, 20

SEED = 7


def main() -> None:
    """Measures every size; prints one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="what bench.corpus wrote")
    parser.add_argument("--size", action="append", type=int, help="in patterns; repeatable")
    parser.add_argument("--bits", type=int, choices=(1, 2, 4), default=4)
    parser.add_argument("--rounds", type=int, default=3, help="how often each query is timed")
    parser.add_argument("--folder", type=Path, help="where indexes are built, and kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dejalog-growth-") as name:
        for size in options.size or (10_000, 100_000, 1_000_000):
            folder = (options.folder or Path(name)) / f"{size}-{options.bits}bit"
            made = {"build_s": None}
            if not folder.is_dir():
                made = alone(2, build_size, options.corpus, size, options.bits, folder)
            for kind in ("task", "line"):
                found = alone(1, search_size, options.corpus, kind, folder, options.rounds)
                emit({"bench": "growth", "patterns": size, "query_kind": kind, **made, **found})
            added = alone(1, add_to, options.corpus, folder)
            emit({"bench": "growth.add", "patterns": size, **added, **machine(), **versions()})


def build_size(corpus: Path, size: int, bits: int, folder: Path) -> dict[str, object]:
    """Builds an index of so many synthetic patterns."""
    texts = Corpus(corpus).texts
    started = time.perf_counter()
    build(folder, _chunks(texts.vectors, texts.lengths, size), compact_rules(bits, 2))
    return {
        "build_s": round(time.perf_counter() - started, 1),
        "build_memory_peak_mb": memory().peak,
    }


def _chunks(
    vectors: NDArray[np.float32], lengths: NDArray[np.uint32], size: int
) -> Iterable[Vectors]:
    for chunk in synthetic(vectors, lengths, size, SEED):
        yield as_vectors(chunk.lengths, chunk.codes, chunk.scales)


def search_size(corpus: Path, kind: str, folder: Path, rounds: int) -> dict[str, object]:
    """Times every query against one index, on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    queries = Corpus(corpus).queries(kind)
    rules = SearchRules()
    before = memory()
    arrays = open_arrays(folder)
    for query in queries[:30]:
        search(query, arrays, 10, rules)
    times: list[float] = []
    for query in queries * rounds:
        started = time.perf_counter()
        search(query, arrays, 10, rules)
        times.append(time.perf_counter() - started)
    now, tokens = memory(), arrays.counters.tokens
    p50, p95, p99 = np.percentile(np.array(times) * 1e3, (50, 95, 99))
    return {
        "tokens": tokens,
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p99_ms": round(float(p99), 2),
        "query_rows_mean": round(float(np.mean([len(query) for query in queries])), 1),
        "memory_mb": now.resident,
        "memory_anonymous_mb": now.anonymous,
        "memory_anonymous_before_mb": before.anonymous,
        "token_bytes_per_token": round(token_bytes(arrays) / tokens, 2),
        "index_bytes": folder_bytes(folder),
        "centroids": arrays.vectors.coded.centroids,
    }


def add_to(corpus: Path, folder: Path) -> dict[str, object]:
    """Adds small batches behind an index, and waits until each is found."""
    texts = Corpus(corpus).texts
    start = int(texts.offsets[ADD_PATTERNS])
    query = texts.vectors[: int(texts.lengths[0])]
    codes, scales = quantize_rows(texts.vectors[:start])
    vectors = as_vectors(texts.lengths[:ADD_PATTERNS], codes, scales)
    commits, visible, written = [], [], []
    with DataDirectory.open(folder, is_writable=True) as directory:
        view = ShardView(directory.shards[-1])
        for _ in range(ADDS):
            before = _write_bytes()
            started = time.perf_counter()
            add_batch(directory.shards[-1], vectors)
            commits.append(time.perf_counter() - started)
            written.append(_write_bytes() - before)
            arrays = view.refresh()
            found = search(query, arrays, 1, SearchRules())
            visible.append(time.perf_counter() - started)
            assert len(found) == 1
    return {
        "add_patterns": ADD_PATTERNS,
        "add_tokens": start,
        "commit_ms_median": round(float(np.median(commits)) * 1e3, 2),
        "visible_ms_median": round(float(np.median(visible)) * 1e3, 2),
        "write_bytes_median": int(np.median(written)),
    }


def _write_bytes() -> int:
    """What this process has caused to be written to disks so far."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


if __name__ == "__main__":
    main()
