"""The engines that dejalog is measured against, each with the settings that its authors advise.

- numpy: exact MaxSim in float32, one GEMM over all token vectors; the ground truth of recall.
- maxsim-cpu: exact MaxSim in float32 by a native kernel. Version 0.1.0 returns wrong scores for
  queries of 43 rows or more on texts of some 60 or more (42 rows are right on texts of any length),
  so its recall is below 1 for long queries.
- fast-plaid: PLAID (Santhanam et al., CIKM 2022), 4 bits, its defaults for search.
- xtr-warp: WARP (Scheerer et al., SIGIR 2025), 4 bits, three times: with the hyper-parameters that
  it chooses itself; with nprobe 32; and with nprobe 32 and the candidate bounds that its own
  formula gives for 32 probes (it computes them for the few probes that it would have chosen).

torch is imported by nothing else, and within functions only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from bench.trial import Engine, Query, Search
from bench.vectors import Corpus, Rows
from numpy.typing import NDArray

#: Lloyd iterations of both peers: the default of both.
KMEANS_ITERATIONS = 4


def exact_scores(rows: Rows, query: Query) -> NDArray[np.float32]:
    """Returns float32[texts]: for each query row the best of a text's rows, added up."""
    similarities = rows.vectors @ query.T
    return np.maximum.reduceat(similarities, rows.offsets[:-1], axis=0).sum(axis=1)


def best(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Returns the numbers of the k highest scores, best first."""
    top = np.argpartition(scores, -k)[-k:]
    return top[np.argsort(-scores[top], kind="stable")]


@dataclass(slots=True)
class Exact:
    """What both exact engines are: no index, the float32 vectors themselves in memory."""

    threads: int
    name: str = "numpy"
    package: str = "numpy"
    distribution: str = "numpy"
    index: str | None = None
    build_settings: dict[str, object] = field(default_factory=dict)
    search_settings: dict[str, object] = field(default_factory=lambda: {"vectors": "float32"})

    def stage(self, rows: Rows) -> object:
        """Nothing to stage."""
        return rows

    def build(self, staged: object, folder: Path) -> None:
        """Nothing to build."""

    def open(self, folder: Path | None, corpus: Corpus) -> Search:
        """One GEMM for a query, by the BLAS of NumPy."""
        starts = corpus.texts.offsets[:-1]
        # The similarities of one query row then lie together, for the maximum over a text's rows.
        columns = np.ascontiguousarray(corpus.texts.vectors.T)

        def search(query: Query, k: int) -> NDArray[np.int64]:
            similarities = query @ columns
            return best(np.maximum.reduceat(similarities, starts, axis=1).sum(axis=0), k)

        return search

    def prepare(self, query: Query) -> object:
        """As it is."""
        return query


@dataclass(slots=True)
class MaxsimCpu(Exact):
    """Exact scores by the kernel of maxsim-cpu."""

    name: str = "maxsim-cpu"
    package: str = "maxsim_cpu"
    distribution: str = "maxsim-cpu"

    def open(self, folder: Path | None, corpus: Corpus) -> Search:
        """The vectors are given as a list with one array for each text."""
        import maxsim_cpu

        texts = corpus.texts.each()
        return lambda query, k: best(maxsim_cpu.maxsim_scores_variable(query, texts), k)


@dataclass(slots=True)
class FastPlaid:
    """fast-plaid with its defaults on the CPU."""

    threads: int
    name: str = "fast-plaid"
    package: str = "fast_plaid"
    distribution: str = "fast-plaid"
    index: str | None = "fast-plaid-4bit"
    build_settings: dict[str, object] = field(
        default_factory=lambda: {
            "nbits": 4,
            "kmeans_niters": KMEANS_ITERATIONS,
            "start_from_scratch": 1000,
        }
    )
    search_settings: dict[str, object] = field(
        default_factory=lambda: {
            "n_ivf_probe": 8,
            "n_full_scores": 4096,
            "batch_size": "auto",
            "n_processes": 1,
        }
    )

    def stage(self, rows: Rows) -> object:
        """One tensor for each text, over the same memory."""
        return _tensors(rows, self.threads)

    def build(self, staged: object, folder: Path) -> None:
        """Creates the index."""
        from fast_plaid import search

        index = search.FastPlaid(index=str(folder), device="cpu")
        index.create(documents_embeddings=staged, **self.build_settings)

    def open(self, folder: Path | None, corpus: Corpus) -> Search:
        """Opens the index."""
        _set_threads(self.threads)
        from fast_plaid import search as fast_plaid

        index = fast_plaid.FastPlaid(index=str(folder), device="cpu")

        def search(query: object, k: int) -> NDArray[np.int64]:
            (hits,) = index.search(
                queries_embeddings=query, top_k=k, show_progress=False, **self.search_settings
            )
            return np.array([number for number, _ in hits], np.int64)

        return search

    def prepare(self, query: Query) -> object:
        """A batch of one."""
        return _batch(query)


@dataclass(slots=True)
class XtrWarp:
    """xtr-warp-rs on the CPU; what is not in `search_settings`, it chooses itself.

    `bounds` is no parameter of the package: it has `_bounds_for` fill in two that are.
    """

    threads: int
    name: str = "xtr-warp"
    package: str = "xtr_warp"
    distribution: str = "xtr-warp-rs"
    index: str | None = "xtr-warp-4bit"
    build_settings: dict[str, object] = field(
        default_factory=lambda: {"nbits": 4, "kmeans_niters": KMEANS_ITERATIONS, "seed": 42}
    )
    search_settings: dict[str, object] = field(default_factory=dict)

    def stage(self, rows: Rows) -> object:
        """One tensor for each text, over the same memory."""
        return _tensors(rows, self.threads)

    def build(self, staged: object, folder: Path) -> None:
        """Creates the index."""
        from xtr_warp import XTRWarp

        index = XTRWarp(index=str(folder))
        index.create(
            embeddings_source=staged, device="cpu", show_progress=False, **self.build_settings
        )

    def open(self, folder: Path | None, corpus: Corpus) -> Search:
        """Opens the index."""
        torch = _set_threads(self.threads)
        from xtr_warp import XTRWarp

        index = XTRWarp(index=str(folder))
        index.load(device="cpu", dtype=torch.float32, mmap=True)

        def search(query: object, k: int) -> NDArray[np.int64]:
            settings = dict(self.search_settings)
            if settings.pop("bounds", None):
                settings |= _bounds_for(index, query, k, int(settings["nprobe"]))
            (hits,) = index.search(
                queries_embeddings=query,
                top_k=k,
                num_threads=self.threads,
                show_progress=False,
                **settings,
            )
            return np.array([number for number, _ in hits], np.int64)

        return search

    def prepare(self, query: Query) -> object:
        """A batch of one."""
        return _batch(query)


def _bounds_for(index, query, k: int, nprobe: int) -> dict[str, object]:
    """The package's own bounds grow with the probes it chooses: scale them to those asked for."""
    _, chosen, _, candidates, t_prime = index.optimize_hyperparams(k, query)
    tokens = index._metadata["num_embeddings"]
    factor = nprobe / chosen
    return {
        "max_candidates": min(int(candidates * factor), tokens // 2),
        "t_prime": min(int(t_prime * factor), 200_000, tokens),
    }


def _set_threads(threads: int):
    import torch

    torch.set_num_threads(threads)
    return torch


def _tensors(rows: Rows, threads: int) -> object:
    torch = _set_threads(threads)
    return [torch.from_numpy(vectors) for vectors in rows.each()]


def _batch(query: Query) -> object:
    import torch

    return torch.from_numpy(query)[None]


def peers(threads: int) -> list[Engine]:
    """Returns every peer whose package is installed, in every setting measured."""
    listed: list[Engine] = [
        *(Exact(count) for count in sorted({1, threads})),
        MaxsimCpu(threads),
        FastPlaid(threads),
        XtrWarp(threads),
        XtrWarp(threads, search_settings={"nprobe": 32}),
        XtrWarp(threads, search_settings={"nprobe": 32, "bounds": "scaled to nprobe"}),
    ]
    return [engine for engine in listed if find_spec(engine.package)]
