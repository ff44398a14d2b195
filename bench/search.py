"""Search the same token vectors with each engine, one query at a time; JSON lines out.

    python -m bench.search CORPUS.npz [--engine NAME]... [--bits N]... [--cache DIR]

Each engine searches in a process of its own, one after another, with all queries and K hits wanted.
After WARM_UP_QUERIES every query is timed once a round, so the percentiles are over queries times
rounds; a slow engine gets fewer rounds, a very slow one every n-th query. Times are of the engine
alone, without the query encoder and without bringing the query into the engine's form.
`cpu_per_wall` tells how many threads worked, `best_p50_ms` is the median of each query's fastest
round, which other work on the machine disturbs least.

recall@10 is against exact MaxSim in float32, the mean over queries of the share of ten that an
engine returned whose exact score reaches the tenth best exact score: among texts that score the
same, none is righter than another.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from bench.cache import build_figures, built
from bench.contenders import arguments, contenders
from bench.peers import exact_scores
from bench.trial import Engine, Search, alone, emit, machine, memory, versions
from bench.vectors import Corpus
from numpy.typing import NDArray

K = 10
WARM_UP_QUERIES = 30

#: Warming up ends after this long.
WARM_UP_S = 5.0

#: No further round starts after this long, and an engine that needs longer for its first round is
#: asked every n-th query only.
ROUND_S = 60.0

#: Sums of the same float32 products in another order differ by less, for scores up to 64.
TIE = 2e-5


def main() -> None:
    """Measures what is asked for; prints one line for each engine, setting and kind of query."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each query is timed")
    parser.add_argument("--kind", action="append", choices=("task", "line"), help="of queries")
    options = parser.parse_args()
    corpus, kinds = Corpus(options.corpus), options.kind or ["task"]
    with tempfile.TemporaryDirectory(prefix="dejalog-bench-") as name:
        folder = Path(name)
        for kind in kinds:
            alone(options.threads, write_truth, options.corpus, kind, folder / f"{kind}.npy")
        for engine in contenders(options):
            cache = options.cache or folder
            index = built(engine, corpus, cache)
            for kind in kinds:
                about = {**machine(), "versions": versions()}
                given = (options.corpus, kind, index, options.rounds)
                found = alone(engine.threads, search_index, engine, *given)
                truth = np.load(folder / f"{kind}.npy", mmap_mode="r")[:: found.pop("step")]
                recall = recall_at_k(found.pop("hits"), truth)
                more = {f"recall@{K}": round(recall, 4), **build_figures(engine, cache)}
                emit({**described(engine), "query_kind": kind, **found, **more, **about})


def described(engine: Engine) -> dict[str, object]:
    """Returns which engine this is, and with what settings."""
    return {
        "bench": "search",
        "engine": engine.name,
        "settings": engine.build_settings | engine.search_settings,
        "threads": engine.threads,
        "k": K,
    }


def write_truth(corpus_path: Path, kind: str, path: Path) -> dict[str, object]:
    """Writes the exact scores float32[queries, texts]."""
    corpus = Corpus(corpus_path)
    np.save(path, np.stack([exact_scores(corpus.texts, q) for q in corpus.queries(kind)]))
    return {}


def search_index(
    engine: Engine, corpus_path: Path, kind: str, index: Path | None, rounds: int
) -> dict[str, object]:
    """Opens an index, searches it with all queries and returns times, memory and hits."""
    corpus = Corpus(corpus_path)
    queries = corpus.queries(kind)
    started = time.perf_counter()
    search = engine.open(index, corpus)
    open_s = time.perf_counter() - started
    prepared = [engine.prepare(query) for query in queries]
    step = _warm_up(search, prepared)
    prepared = prepared[::step]
    hits: list[list[int]] = []
    times: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()
    while len(times) < rounds * len(prepared) and time.perf_counter() - started < ROUND_S:
        hits = []
        for query in prepared:
            begun = time.perf_counter()
            found = search(query, K)
            times.append(time.perf_counter() - begun)
            hits.append(found.tolist())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - started
    now = memory()
    by_round = np.array(times).reshape(-1, len(prepared)) * 1e3
    p50, p95, p99 = np.percentile(by_round, (50, 95, 99))
    return {
        "queries": len(prepared),
        "query_rows_mean": round(float(np.mean([len(query) for query in queries[::step]])), 1),
        "rounds": len(times) // len(prepared),
        "p50_ms": round(float(p50), 3),
        "p95_ms": round(float(p95), 3),
        "p99_ms": round(float(p99), 3),
        "mean_ms": round(float(by_round.mean()), 3),
        "best_p50_ms": round(float(np.median(by_round.min(axis=0))), 3),
        "cpu_per_wall": round(cpu / wall, 2),
        "open_s": round(open_s, 3),
        "memory_mb": now.resident,
        "memory_anonymous_mb": now.anonymous,
        "step": step,
        "hits": hits,
    }


def _warm_up(search: Search, prepared: list[object]) -> int:
    """Returns n if, at the speed seen, every n-th query is what fits into one round's time."""
    seconds: list[float] = []
    for query in prepared[:WARM_UP_QUERIES]:
        started = time.perf_counter()
        search(query, K)
        seconds.append(time.perf_counter() - started)
        if sum(seconds) > WARM_UP_S:
            break
    return max(1, round(float(np.median(seconds)) * len(prepared) / ROUND_S))


def recall_at_k(hits: list[list[int]], truth: NDArray[np.float32]) -> float:
    """Returns the mean share of K that are as good as the K-th best."""
    shares = []
    for numbers, scores in zip(hits, truth, strict=True):
        kth = np.partition(scores, -K)[-K]
        distinct = np.array(sorted(set(numbers[:K])), np.int64)
        shares.append(np.count_nonzero(scores[distinct] >= kth - TIE) / K)
    return float(np.mean(shares))


if __name__ == "__main__":
    main()
