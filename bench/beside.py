"""Search latency beside a running compaction; JSON lines out.

    python -m bench.beside LOG [--events-max N]

A log is indexed into several sealed shards. Then searches run one after another, encoder included,
first alone and then for as long as `dejalog compact` runs beside them as the daemon would start it,
at the lowest priority.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
from bench.trial import emit, machine

from dejalog.indexer.encode import Encoder
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory

QUESTIONS = (
    "payment service timeout",
    "connection refused by database",
    "order not found",
    "E-1034",
    "login token rejected 401",
    "java.lang.NullPointerException in order service",
    "slow query",
    "user account cancelled",
)

#: Searches before a compaction starts.
ALONE = 200


def main() -> None:
    """Measures, and prints a line for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("--events-max", type=int, default=60_000, help="events of a shard")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dejalog-beside-") as name:
        data = Path(name)
        limit = f"shard.events_max={options.events_max}"
        _dejalog("index", "--data", name, "--set", limit, str(options.log)).wait()
        with DataDirectory.open(data, is_writable=False) as directory:
            searcher = Searcher(directory, Encoder.load(threads=1))
            shards = len(directory.shards)
            _searched(searcher, lambda n: n < len(QUESTIONS))
            _report("alone", _searched(searcher, lambda n: n < ALONE), shards=shards)
            child = _dejalog("compact", "--data", name, niceness=19)
            started = time.perf_counter()
            times = _searched(searcher, lambda _: child.poll() is None)
            seconds = round(time.perf_counter() - started, 1)
            after = len(directory.shards)
            _report("beside", times, shards=after, compaction_s=seconds, code=child.wait())
            _report("afterwards", _searched(searcher, lambda n: n < ALONE), shards=after)
            searcher.close()


def _dejalog(*arguments: str, niceness: int = 0) -> subprocess.Popen[bytes]:
    command = ["nice", "-n", str(niceness), sys.executable, "-m", "dejalog.daemon", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _searched(searcher: Searcher, goes_on: Callable[[int], bool]) -> list[float]:
    times: list[float] = []
    for number in count():
        if not goes_on(number):
            return times
        started = time.perf_counter()
        searcher.search(SearchRequest(QUESTIONS[number % len(QUESTIONS)]))
        times.append(time.perf_counter() - started)
    return times


def _report(when: str, times: list[float], **more: object) -> None:
    p50, p95, p99 = np.percentile(np.array(times) * 1e3, (50, 95, 99))
    figures = {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "most_ms": max(times) * 1e3}
    rounded = {name: round(float(value), 1) for name, value in figures.items()}
    emit({"bench": "beside", "when": when, "searches": len(times), **rounded, **more, **machine()})


if __name__ == "__main__":
    main()
