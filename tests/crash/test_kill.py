"""Kill -9 at random moments while indexing: nothing is lost, and nothing is there twice.

The number of kills is DEJALOG_KILLS (15 by default); the seed is printed, and DEJALOG_SEED sets it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.verify import verify

KILLS = int(os.environ.get("DEJALOG_KILLS", "15"))
SEED = int(os.environ.get("DEJALOG_SEED", str(random.SystemRandom().randrange(2**32))))
LINES = 20_000

#: Small batches, so that kills fall into every stage of many transactions, and small shards, so
#: that they also fall into the change from one shard to the next.
FLAGS = ("--set", "ingest.batch_events=300", "--set", "shard.events_max=9000")


def write_log(path: Path, rng: random.Random) -> None:
    words = ["pump", "valve", "motor", "line", "press", "robot", "cell", "belt"]
    with path.open("wb") as file:
        for number in range(LINES):
            word = rng.choice(words)
            file.write(
                f"2024-03-{1 + number % 28:02d}T10:00:00Z {word} {rng.randrange(40)} "
                f"event id={number:08d} code E-{rng.randrange(20)}\n".encode()
            )
            if number % 997 == 0:
                file.write(b"Traceback (most recent call last):\n  in main\nValueError: no\n")
            if number % 2_003 == 0:
                file.write(b"\xff not UTF-8\n")


def start_index(data: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dejalog.daemon", "index", "--data", str(data), *FLAGS]
    return subprocess.Popen([*command, str(log)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.timeout(60 + 20 * KILLS)
def test_no_kill_loses_an_event_or_stores_one_twice(tmp_path: Path) -> None:
    print(f"DEJALOG_SEED={SEED}")
    rng = random.Random(SEED)
    log, once, data = tmp_path / "plant.log", tmp_path / "once", tmp_path / "data"
    write_log(log, rng)
    with start_index(once, log) as process:
        started = time.monotonic()
        assert process.wait() == 0
    longest_s = time.monotonic() - started

    kills = 0
    while kills < KILLS:
        with start_index(data, log) as process:
            try:
                # From the start of the program's own work to shortly before its end.
                process.wait(timeout=rng.uniform(0.4, max(1.5, longest_s * 0.7)))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
                continue
        # It reached the end: begin again with an empty index.
        assert counted(data) == counted(once)
        remove(data)
    with start_index(data, log) as process:
        assert process.wait() == 0
    assert counted(data) == counted(once)


def counted(data: Path) -> tuple[int, int]:
    """Events and dead letters, after every byte has been verified."""
    with DataDirectory.open(data, is_writable=False) as directory:
        report = verify(directory, is_quiet=True)
    assert report.problems == []
    return report.events, report.dead_letters


def remove(data: Path) -> None:
    for path in sorted(data.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
