"""Measure the scoring kernels of this machine on one core, and what could be reached.

    python -m bench.kernel [--tokens N]

Prints one JSON line for each kernel and operation: million tokens (of `top`: numbers) a second,
on random data of 96 dims, a query of 32 rows (or of few, where that is said) and 24 tokens a
pattern. Time is that of the thread,
on one pinned core, so that a busy machine disturbs less; caches and memory are still shared. The
first line is the clock, measured. `products` is how many multiplying instructions a token needs,
`bytes` what it reads, and `ceiling` the rate at one such instruction a cycle: 512 bit ones issue
once a cycle on Zen 4, narrower ones twice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from dejalog.indexer.kernel import Codebook, CodedRows, Kernel, available
from dejalog.indexer.kernel.native import Native

_DIM, _ROWS, _PATTERN_TOKENS, _CENTROIDS = 96, 32, 24, 16_384

#: Rows of short queries: one for each block that is shorter than 32.
_FEW_ROWS = (4, 12)

#: Times each measurement is repeated; the fastest counts, since noise only adds.
_REPEATS = 5

#: Bytes that one multiplying instruction takes of a token's row times 32 query rows, and how many
#: instructions go with it: VPDPBUSD alone; VPMADDUBSW, VPMADDWD and VPADDD; SDOT alone.
_PRODUCTS = {"vnni": (64, 1), "avx2": (32, 3), "neon": (16, 1)}

_CLOCK = """
#include <cstdio>
#include <ctime>
int main() {
    unsigned long x = 1;
    const std::clock_t start = std::clock();
    for (int i = 0; i < 20000000; ++i) {
#define STEP asm volatile("" : "+r"(x)); x += 3;
#define TEN STEP STEP STEP STEP STEP STEP STEP STEP STEP STEP
        TEN TEN TEN TEN
    }
    std::printf("%.4g", 8e8 / (double(std::clock() - start) / CLOCKS_PER_SEC) / 1e9);
    return x == 0;
}
"""


@dataclass(frozen=True, slots=True)
class Data:
    """Random vectors, fresh and coded, as one shard would hold them."""

    query: np.ndarray
    codes: np.ndarray
    scales: np.ndarray
    offsets: np.ndarray
    ids: np.ndarray
    norms: np.ndarray


def make_data(random: Generator, tokens: int) -> Data:
    """Return `tokens` random token vectors and a query."""
    query = random.standard_normal((_ROWS, _DIM)).astype(np.float32)
    return Data(
        query=query / np.linalg.norm(query, axis=1, keepdims=True),
        codes=random.integers(-127, 128, (tokens, _DIM), np.int8),
        scales=np.full(tokens, 0.001, np.float32),
        offsets=np.arange(0, tokens + 1, _PATTERN_TOKENS),
        ids=random.integers(0, _CENTROIDS, tokens, np.uint16),
        norms=random.integers(0, 256, tokens, np.uint8),
    )


def make_codebook(random: Generator, bits: int) -> Codebook:
    """Return a codebook of random centroids."""
    buckets = 1 << bits
    return Codebook(
        bits=bits,
        centroids=random.integers(-127, 128, (_CENTROIDS, _DIM), np.int8),
        centroid_scales=np.full(_CENTROIDS, 0.001, np.float32),
        deviations=np.full(_DIM, 0.05, np.float32),
        weights=np.linspace(0, 127, buckets).astype(np.uint8),
        zero=64,
        weight_step=0.03,
        cutoffs=np.linspace(-2, 2, buckets - 1).astype(np.float32),
        norm_low=0.8,
        norm_step=0.002,
    )


def clock_ghz() -> float | None:
    """Return how many dependent additions a nanosecond does, which is the clock, or None."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "clock.cpp", Path(folder) / "clock"
        source.write_text(_CLOCK, encoding="utf-8")
        try:
            subprocess.run(["c++", "-O2", source, "-o", program], check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return float(subprocess.check_output([program]))


def seconds(run: Callable[[], object]) -> float:
    """Return the fastest time of this thread."""
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.thread_time()
        run()
        best = min(best, time.thread_time() - start)
    return best


def million_a_second(count: int, run: Callable[[], object]) -> float:
    """Return the rate, rounded to three figures or so."""
    rate = count / seconds(run) / 1e6
    return round(rate, 3 if rate < 1 else 1)


def roofline(name: str, token_bytes: int, clock: float | None) -> dict[str, object]:
    """Return what a token costs, and the rate at one product a cycle."""
    line: dict[str, object] = {"bytes": token_bytes}
    if name in _PRODUCTS:
        width, instructions = _PRODUCTS[name]
        products = _DIM * _ROWS // width
        line |= {"products": products, "instructions": products * instructions}
        if clock:
            line["ceiling"] = round(clock * 1e3 / products, 1)
    return line


def measure_coded(
    name: str, data: Data, random: Generator, clock: float | None
) -> Iterator[dict[str, object]]:
    """Yield the rates of scoring codes, of all patterns and of random candidates."""
    kernel, tokens = Kernel(Native(name)), len(data.ids)
    candidates = random.permutation(len(data.offsets) - 1)[:4_096].astype(np.uint32)
    for bits in (4, 2, 1):
        width = _DIM * bits // 8
        residuals = random.integers(0, 256, (tokens, width), np.uint8)
        rows = CodedRows(data.offsets.astype(np.uint32), data.ids, data.norms, residuals)
        prepared = kernel.prepare(data.query, make_codebook(random, bits))
        rate = million_a_second(tokens, lambda: kernel.code_maxsim(prepared, rows))  # noqa: B023
        limits = roofline(name, width + 3 + 2 * _ROWS, clock)
        yield {"operation": "code_maxsim", "bits": bits, "rate": rate, **limits}
        chosen = len(candidates) * _PATTERN_TOKENS
        rate = million_a_second(
            chosen,
            lambda: kernel.code_maxsim(prepared, rows, candidates),  # noqa: B023
        )
        yield {"operation": "code_maxsim, 4096 candidates", "bits": bits, "rate": rate}
    rate = million_a_second(tokens, lambda: kernel.centroid_maxsim(prepared, rows))
    yield {"operation": "centroid_maxsim", "rate": rate, "bytes": 2 + 2 * _ROWS}


def measure_short(
    name: str, data: Data, random: Generator, _clock: float | None
) -> Iterator[dict[str, object]]:
    """Yield the rates of scoring codes of 4 bits for short queries, and of preparing these."""
    kernel, tokens = Kernel(Native(name)), len(data.ids)
    residuals = random.integers(0, 256, (tokens, _DIM // 2), np.uint8)
    rows = CodedRows(data.offsets.astype(np.uint32), data.ids, data.norms, residuals)
    book = make_codebook(random, 4)
    for count in _FEW_ROWS:
        query = data.query[:count]
        prepared = kernel.prepare(query, book)
        rate = million_a_second(tokens, lambda: kernel.code_maxsim(prepared, rows))  # noqa: B023
        yield {"operation": f"code_maxsim, {count} rows", "bits": 4, "rate": rate}
        rate = million_a_second(
            tokens,
            lambda: kernel.centroid_maxsim(prepared, rows),  # noqa: B023
        )
        yield {"operation": f"centroid_maxsim, {count} rows", "rate": rate}
        prepare_ms = round(seconds(lambda: kernel.prepare(query, book)) * 1e3, 2)  # noqa: B023
        yield {"operation": f"prepare, 16384 centroids, {count} rows", "ms": prepare_ms}


def measure_fresh(
    name: str, data: Data, random: Generator, clock: float | None
) -> Iterator[dict[str, object]]:
    """Yield the rates of scoring fresh vectors, and of making codes of them."""
    kernel, tokens = Kernel(Native(name)), len(data.ids)
    rate = million_a_second(
        tokens, lambda: kernel.maxsim(data.query, data.codes, data.scales, data.offsets)
    )
    yield {"operation": "maxsim", "rate": rate, **roofline(name, _DIM + 4, clock)}
    book = make_codebook(random, 4)
    count = 20_000 if name in _PRODUCTS else 2_000
    codes, scales, ids = data.codes[:count], data.scales[:count], data.ids[:count]
    near = book.centroids[:4_096], book.centroid_scales[:4_096]
    rate = million_a_second(count, lambda: kernel.nearest(codes, scales, *near))
    yield {"operation": "nearest of 4096", "rate": rate}
    rate = million_a_second(count, lambda: kernel.encode(codes, scales, book, ids))
    yield {"operation": "encode, 4 bits", "rate": rate}
    rows = data.codes.reshape(-1)[: 100_000 * 384].reshape(-1, 384)
    rate = million_a_second(
        len(rows), lambda: kernel.row_dots(rows[0] / np.float32(99), rows, data.scales[: len(rows)])
    )
    yield {"operation": "row_dots of 384 dims", "rate": rate, "bytes": 388}
    prepare_ms = round(seconds(lambda: kernel.prepare(data.query, book)) * 1e3, 2)
    yield {"operation": "prepare, 16384 centroids", "ms": prepare_ms}


def measure_top(random: Generator) -> dict[str, object]:
    """Return the rate of finding the best of a million scores, the same for all kernels."""
    scores = random.integers(0, 100_000, 1_000_000, np.int32)
    kernel = Kernel(Native("portable"))
    rate = million_a_second(len(scores), lambda: kernel.top(scores, 1_000, 0))
    return {"operation": "top 1000 of 1000000", "rate": rate}


def main() -> None:
    """Measure each kernel that can run here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=5_040_000)
    tokens = parser.parse_args().tokens // _PATTERN_TOKENS * _PATTERN_TOKENS
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    clock = clock_ghz()
    print(json.dumps({"clock_ghz": clock, "tokens": tokens}), flush=True)
    random = np.random.default_rng(0)
    data = make_data(random, tokens)
    for name in available()[:-1]:
        for measure in (measure_coded, measure_short, measure_fresh):
            for line in measure(name, data, random, clock):
                print(json.dumps({"kernel": name, **line}), flush=True)
    print(json.dumps(measure_top(random)))


if __name__ == "__main__":
    main()
