"""Would answering concurrent queries together pay? The encoder alone, queries together or apart.

`python -m bench.batching TASK_DIR`: queries of a task in BEIR's layout, on all cores. `together` is
one run of the model over so many queries, `apart` one run for each, in as many threads as cores,
each with its share of them. `cosine` is what a query's token vectors have in common in the two:
int8 activations are scaled over the whole batch, so a query's vectors depend on its neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dejalog.indexer.encode import Encoder

QUERIES = 240
ROUNDS = 5


def main() -> None:
    """Prints a JSON line for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", type=Path)
    task: Path = parser.parse_args().task
    lines = (task / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:QUERIES]]
    cores = len(os.sched_getaffinity(0))
    whole, single = Encoder.load(threads=cores), Encoder.load(threads=1)
    pool = ThreadPoolExecutor(cores)
    for size in (1, 2, 4, 8):
        together = _best_s(lambda size=size: _together(whole, texts, size))
        apart = _best_s(lambda: list(pool.map(single.encode_patterns, [[t] for t in texts])))
        line = {
            "queries_together": size,
            "together_queries_per_s": round(len(texts) / together),
            "apart_queries_per_s": round(len(texts) / apart),
            "together_by_apart": round(apart / together, 2),
            "cosine": _common(whole, texts, size),
        }
        print(json.dumps(line), flush=True)


def _together(encoder: Encoder, texts: Sequence[str], size: int) -> None:
    for start in range(0, len(texts), size):
        encoder.encode_patterns(texts[start : start + size])


def _best_s(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _common(encoder: Encoder, texts: Sequence[str], size: int) -> dict[str, float]:
    alone = [encoder.encode_patterns([text])[0].vectors for text in texts]
    cosines = [
        (encoded.vectors * alone[start + place]).sum(axis=1)
        for start in range(0, len(texts), size)
        for place, encoded in enumerate(encoder.encode_patterns(texts[start : start + size]))
    ]
    every = np.concatenate(cosines)
    return {"mean": round(float(every.mean()), 4), "least": round(float(every.min()), 4)}


if __name__ == "__main__":
    main()
