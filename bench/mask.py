"""Measure masking: MB/s and microseconds a line on files, and growth on texts made to be slow.

    python bench/mask.py [LOG[.gz] ...]

Prints one JSON line for each file and for each made-up text. `mb_per_s` counts UTF-8 bytes; the
Python call of each line is included; time is that of the processor. `ratio` of a made-up text is
its time a byte at 4 MB against that at 1 MB: near 1 where time grows with length.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dejalog.indexer.mask import mask_pattern

#: Times each measurement is repeated; the fastest counts, since noise only adds.
_REPEATS = 5

#: Each would make a matcher that looks far ahead start over at every byte.
_ADVERSARIES = (
    *("1", "1.", "1:", "a:", "f", "eyJ", "a@", "a.b-"),
    *("a1b2c3d4-", "1234567x", "2023-01-"),
)  # fmt: skip


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, gzip or not."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return data.decode("utf-8", "replace").splitlines()


def seconds(texts: Sequence[str]) -> float:
    """Return the fastest time to mask all the texts."""
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.process_time()
        for text in texts:
            mask_pattern(text)
        best = min(best, time.process_time() - start)
    return best


def measure_file(path: Path) -> dict[str, object]:
    """Mask every line of one file."""
    lines = read_lines(path)
    size_bytes = sum(len(line.encode()) for line in lines)
    elapsed = seconds(lines)
    return {
        "file": path.name,
        "lines": len(lines),
        "patterns": len({mask_pattern(line)[0] for line in lines}),
        "mb_per_s": round(size_bytes / elapsed / 1e6, 1),
        "us_per_line": round(elapsed / len(lines) * 1e6, 3),
        "bytes_per_line": round(size_bytes / len(lines)),
    }


def measure_adversary(unit: str) -> dict[str, object]:
    """Mask one repeated unit at two sizes."""
    small, large = (unit * (size // len(unit)) for size in (1_000_000, 4_000_000))
    small_s, large_s = seconds([small]), seconds([large])
    return {
        "repeated": unit,
        "mb_per_s": round(len(large) / large_s / 1e6, 1),
        "ratio": round(large_s / len(large) / (small_s / len(small)), 2),
    }


def main() -> None:
    """Measure the files named on the command line, then the texts made to be slow."""
    for name in sys.argv[1:]:
        print(json.dumps(measure_file(Path(name))))
    for unit in _ADVERSARIES:
        print(json.dumps(measure_adversary(unit)))


if __name__ == "__main__":
    main()
