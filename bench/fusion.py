"""How much each channel should count: nDCG@10 over a grid of weights, JSON lines out.

`python -m bench.fusion TASK_DIR...` indexes each task once, computes all channels of every query,
and then only fuses. It prints the best weights over all tasks together, and for each task the
best weights of the *other* tasks applied to it, which is what an unseen task may expect.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dejalog.daemon.config import Settings
from dejalog.daemon.engine import open_encoder
from dejalog.daemon.evaluate import Task, index_task, read_task
from dejalog.indexer.encode import Encoder
from dejalog.indexer.fuse import Channels, Weights, fuse
from dejalog.indexer.match import best_first
from dejalog.indexer.query import Mode, SearchRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory

GRID = {
    "semantic": (1.0,),
    "pooled": (0.5, 0.7, 1.0, 1.4, 2.0),
    "lexical": (0.1, 0.2, 0.3, 0.4, 0.6),
    "exact": (0.0, 0.3, 0.6, 1.0),
}


@dataclass(frozen=True, slots=True)
class Scored:
    """One query's channels, the best grade of each pattern's documents, and the ideal DCG@10."""

    channels: Channels
    gains: NDArray[np.float32]
    newest: NDArray[np.int64]
    ideal: float


def main() -> None:
    """Prints the figures of every task and of the best weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="+", type=Path)
    encoder = open_encoder(Settings())
    scored = {
        folder.name: score(read_task(folder), encoder) for folder in parser.parse_args().tasks
    }
    grid = [Weights(*values) for values in itertools.product(*GRID.values())]
    table = {
        name: np.array([np.mean([ndcg(q, weights) for q in queries]) for weights in grid])
        for name, queries in scored.items()
    }
    everything = np.mean(list(table.values()), axis=0)
    report("all tasks", grid[int(everything.argmax())], float(everything.max()), {})
    for name, row in table.items():
        others = np.mean([r for n, r in table.items() if n != name] or [row], axis=0)
        chosen = int(others.argmax())
        report(
            name,
            grid[chosen],
            float(row[chosen]),
            {"own_best": round(float(row.max()), 4)},
        )
    now = Weights()
    for name, queries in scored.items():
        report(name, now, float(np.mean([ndcg(q, now) for q in queries])), {"which": "shipped"})


def score(task: Task, encoder: Encoder) -> list[Scored]:
    """Returns every query's channels over the task's documents."""
    with (
        tempfile.TemporaryDirectory() as folder,
        DataDirectory.open(Path(folder), is_writable=True) as directory,
    ):
        index_task(task, directory, encoder, Settings())
        searcher = Searcher(directory, encoder)
        try:
            return [score_query(task, query.id, query.text, searcher) for query in task.queries]
        finally:
            searcher.close()


def score_query(task: Task, query_id: str, text: str, searcher: Searcher) -> Scored:
    """Returns one query's channels and the grades of the patterns."""
    (match,) = searcher.match(SearchRequest(text, mode=Mode.HYBRID))
    best = float(match.lexical.max(initial=0.0))
    grades = dict(task.grades[query_id])
    own = query_id.removeprefix("q_") if query_id.startswith("q_") else None
    gains = np.zeros(match.arrays.counters.patterns, np.float32)
    for row, pattern in enumerate(match.arrays.columns.patterns):
        document = task.documents[row].id
        if document != own:
            gains[pattern] = max(gains[pattern], grades.get(document, 0))
    grades.pop(own or "", None)
    ideal = sorted(grades.values(), reverse=True)[:10]
    channels = Channels(
        match.semantic,
        match.pooled,
        match.lexical / np.float32(best) if best > 0 else match.lexical,
        match.exact,
    )
    keep = np.ones(len(gains), np.bool_)
    if own is not None:
        row = next(i for i, d in enumerate(task.documents) if d.id == own)
        keep[match.arrays.columns.patterns[row]] = False
    kept = Channels(*(getattr(channels, name)[keep] for name in Channels.__slots__))
    newest = match.newest[keep]
    return Scored(kept, gains[keep], newest, sum(g / np.log2(i + 2) for i, g in enumerate(ideal)))


def ndcg(scored: Scored, weights: Weights) -> float:
    """nDCG@10 over patterns (documents that share one count once, so it is close, not equal)."""
    totals = fuse(scored.channels, Mode.HYBRID, weights)
    gains = scored.gains[best_first(totals, scored.newest, 10)]
    return float(sum(g / np.log2(i + 2) for i, g in enumerate(gains)) / max(scored.ideal, 1e-9))


def report(task: str, weights: Weights, value: float, more: dict[str, object]) -> None:
    """Prints one line."""
    chosen = [weights.semantic, weights.pooled, weights.lexical, weights.exact]
    print(json.dumps({"task": task, "ndcg@10": round(value, 4), "weights": chosen, **more}))


if __name__ == "__main__":
    main()
