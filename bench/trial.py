"""One engine's trial in a process of its own, so that threads, memory and torch stay its own.

The processes of one command run one after another, on the same vectors. Thread counts are set by
the environment, because BLAS, OpenMP and rayon read it when they are loaded.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from bench.vectors import Corpus, Rows
from numpy.typing import NDArray

Query = NDArray[np.float32]
#: Takes a query as `Engine.prepare` left it and k; returns the best texts' numbers.
Search = Callable[[object, int], NDArray[np.int64]]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
)

#: Names and versions of what a figure depends on, where installed.
_LIBRARIES = ("numpy", "torch", "fast-plaid", "xtr-warp-rs", "maxsim-cpu", "lmdb", "dejalog")


class Engine(Protocol):
    """What build and search ask of an engine; made anew in each process."""

    name: str
    package: str
    distribution: str
    #: Folder of the built index within the cache; None if the engine has no index.
    index: str | None
    threads: int
    build_settings: dict[str, object]
    search_settings: dict[str, object]

    def stage(self, rows: Rows) -> object:
        """Returns the vectors in the form that the engine takes; not timed."""

    def build(self, staged: object, folder: Path) -> None:
        """Writes an index into an empty folder, complete and ready to be opened."""

    def open(self, folder: Path | None, corpus: Corpus) -> Search:
        """Returns the search over an index, or over the corpus if the engine has none."""

    def prepare(self, query: Query) -> object:
        """Returns a query in the form that the engine takes; not timed."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of this process, in MB: now resident, of that not backed by a file, and the most ever."""

    resident: int
    anonymous: int
    peak: int


def memory() -> Memory:
    """Reads the memory of this process."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    kib = [int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon", "VmHWM")]
    return Memory(*(round(value / 1024) for value in kib))


def folder_bytes(folder: Path) -> int:
    """Adds up the sizes of all files in a folder: every section, list, lock and manifest."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def versions() -> dict[str, str]:
    """Returns the installed versions of everything that takes part, Python's too."""
    found = {"python": sys.version.split()[0]}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def machine() -> dict[str, object]:
    """Returns the processor, its cores, and how busy the machine was in the last minute."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else "unknown",
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def alone(threads: int, function: Callable[..., dict[str, object]], *arguments: object):
    """Calls a function in a fresh process that has so many threads; what it raises is raised."""
    os.environ |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def emit(record: dict[str, object]) -> None:
    """Prints one JSON line."""
    print(json.dumps(record), flush=True)


def build_index(engine: Engine, corpus_path: Path, folder: Path) -> dict[str, object]:
    """Builds one index and returns its figures; to be called by `alone`."""
    rows = Corpus(corpus_path).texts
    staged = engine.stage(rows)
    folder.mkdir(parents=True)
    before = memory()
    started, cpu = time.perf_counter(), time.process_time()
    engine.build(staged, folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    size = folder_bytes(folder)
    return {
        "build_s": round(seconds, 2),
        "build_cpu_s": round(cpu, 2),
        "tokens_per_s": round(len(rows.vectors) / seconds),
        "bytes": size,
        "bytes_per_token": round(size / len(rows.vectors), 2),
        "memory_before_mb": before.resident,
        "memory_peak_mb": memory().peak,
        "texts": len(rows.lengths),
        "tokens": len(rows.vectors),
        "dim": rows.vectors.shape[1],
    }
