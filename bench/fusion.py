"""How much each channel should count: nDCG@10 over a grid of weights, JSON lines out.

`python -m bench.fusion TASK_DIR...` indexes each task once, computes all channels of every query,
and then only fuses. The best weights of some tasks are those with the best mean, among those with
which hybrid is below the better channel on none of them (if there are any). It prints these over
all tasks, for each task what the best weights of the *other* tasks give (leave one out), which is
what an unseen task may expect, and what the shipped weights give beside either channel alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dejalog.daemon.config import Settings
from dejalog.daemon.engine import open_encoder
from dejalog.daemon.evaluate import Task, index_task, read_task
from dejalog.indexer.candidates import FULL_MATCH
from dejalog.indexer.encode import Encoder
from dejalog.indexer.fuse import Channels, Weights, fuse
from dejalog.indexer.match import best_first
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory

#: Semantic counts 1: only ratios matter.
GRID = {
    "pooled": (0.85, 1.0, 1.15, 1.3, 1.5),
    "lexical": (0.3, 0.4, 0.5, 0.65),
    "exact": (0.3, 0.5),
    "full_match": (0.0, 2.0, 2.5, 3.0, 4.0),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tuned: the weights, and BM25 from which on words count in full."""

    weights: Weights = field(default_factory=Weights)
    full_match: float = FULL_MATCH

    def figures(self) -> list[float]:
        """The numbers in the order of the grid."""
        weights = self.weights
        return [weights.pooled, weights.lexical, weights.exact, self.full_match]


@dataclass(frozen=True, slots=True)
class Scored:
    """One query's channels, the best grade of each pattern's documents, and the ideal DCG@10.

    The lexical channel is not yet a share.
    """

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
    settings = [
        Setting(Weights(1.0, *weights), full_match)
        for *weights, full_match in itertools.product(*GRID.values())
    ]
    tables = {name: tabulate(queries, settings) for name, queries in scored.items()}
    chosen = best_setting(list(tables.values()))
    mean = float(np.mean([table.hybrid[chosen] for table in tables.values()]))
    report("all tasks", settings[chosen], mean, which="best")
    for name, table in tables.items():
        chosen = best_setting([t for n, t in tables.items() if n != name] or [table])
        report(
            name,
            settings[chosen],
            float(table.hybrid[chosen]),
            which="leave one out",
            better_channel=round(float(table.alone[chosen]), 4),
            own_best=round(float(table.hybrid.max()), 4),
        )
    for name, queries in scored.items():
        alone = {
            f"{mode.value}_alone": round(mean_ndcg(queries, Setting(), mode), 4)
            for mode in (Mode.SEMANTIC, Mode.LEXICAL)
        }
        report(name, Setting(), mean_ndcg(queries, Setting()), which="shipped", **alone)


@dataclass(frozen=True, slots=True)
class Table:
    """One task's nDCG@10 with each setting, float64[settings]: hybrid, and the better channel's."""

    hybrid: NDArray[np.float64]
    alone: NDArray[np.float64]


def tabulate(queries: Sequence[Scored], settings: Sequence[Setting]) -> Table:
    """Returns the figures of a task with each setting."""
    lexical = mean_ndcg(queries, settings[0], Mode.LEXICAL)  # the weights do not change its order
    semantic: dict[float, float] = {}
    for setting in settings:
        pooled = setting.weights.pooled
        if pooled not in semantic:
            semantic[pooled] = mean_ndcg(queries, setting, Mode.SEMANTIC)
    return Table(
        np.array([mean_ndcg(queries, setting) for setting in settings]),
        np.array([max(lexical, semantic[setting.weights.pooled]) for setting in settings]),
    )


def best_setting(tables: Sequence[Table]) -> int:
    """Returns the number of the best setting for these tasks."""
    mean = np.mean([table.hybrid for table in tables], axis=0)
    is_sound = np.all([table.hybrid >= table.alone for table in tables], axis=0)
    return int(np.where(is_sound, mean, mean - is_sound.any()).argmax())


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
    grades = dict(task.grades[query_id])
    own = query_id.removeprefix("q_") if query_id.startswith("q_") else None
    gains = np.zeros(match.arrays.counters.patterns, np.float32)
    for row, pattern in enumerate(match.arrays.columns.patterns):
        document = task.documents[row].id
        if document != own:
            gains[pattern] = max(gains[pattern], grades.get(document, 0))
    grades.pop(own or "", None)
    ideal = sorted(grades.values(), reverse=True)[:10]
    channels = Channels(match.semantic, match.pooled, match.lexical, match.exact)
    keep = np.ones(len(gains), np.bool_)
    if own is not None:
        row = next(i for i, d in enumerate(task.documents) if d.id == own)
        keep[match.arrays.columns.patterns[row]] = False
    kept = Channels(*(getattr(channels, name)[keep] for name in Channels.__slots__))
    newest = match.newest[keep]
    return Scored(kept, gains[keep], newest, sum(g / np.log2(i + 2) for i, g in enumerate(ideal)))


def mean_ndcg(queries: Sequence[Scored], setting: Setting, mode: Mode = Mode.HYBRID) -> float:
    """nDCG@10 over patterns (documents that share one count once, so it is close, not equal)."""
    return float(np.mean([ndcg(query, setting, mode) for query in queries]))


def ndcg(scored: Scored, setting: Setting, mode: Mode) -> float:
    """One query's nDCG@10."""
    best = max(float(scored.channels.lexical.max(initial=0.0)), setting.full_match, 1e-9)
    channels = replace(scored.channels, lexical=scored.channels.lexical / np.float32(best))
    totals = fuse(channels, mode, setting.weights)
    chosen = best_first(totals, scored.newest, 10)
    if mode is Mode.LEXICAL:
        chosen = chosen[totals[chosen] > 0]
    gains = scored.gains[chosen]
    return float(sum(g / np.log2(i + 2) for i, g in enumerate(gains)) / max(scored.ideal, 1e-9))


def report(task: str, setting: Setting, value: float, **more: object) -> None:
    """Prints one line."""
    figures = dict(zip(GRID, setting.figures(), strict=True))
    print(json.dumps({"task": task, "ndcg@10": round(value, 4), **figures, **more}), flush=True)


if __name__ == "__main__":
    main()
