"""`dejalog index`, interrupted: once it stores what it has read, twice it ends where it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dejalog.daemon.cli import main

#: More new patterns than are encoded before the second signal comes.
LINES = 30_000


def words(number: int) -> str:
    """Letters, so that every line is a pattern of its own."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def is_catching(process: subprocess.Popen[str], number: int) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def interrupted_twice(data: Path, log: Path) -> int:
    """Indexes, and interrupts as soon as that is heard, and again; returns the exit code."""
    command = [sys.executable, "-m", "dejalog.daemon", "index", "--data", str(data), str(log)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        # Python has one for SIGINT from the start.
        while not is_catching(process, signal.SIGTERM):
            assert process.poll() is None
            time.sleep(0.01)
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        heard = next(line for line in process.stderr if line.startswith("dejalog: "))
        assert "once more ends it now" in heard
        process.send_signal(signal.SIGINT)
        return process.wait(100)


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """24,000 new patterns took 30 s to encode, and Ctrl-C changed nothing however often."""
    log, data = tmp_path / "plant.log", tmp_path / "data"
    log.write_text("".join(f"valve {words(n)} stuck\n" for n in range(LINES)))
    assert interrupted_twice(data, log) == 128 + signal.SIGINT
    os.truncate(log, sum(len(f"valve {words(n)} stuck\n") for n in range(50)))
    assert main(["verify", "--data", str(data)]) == 0
    capsys.readouterr()
    assert main(["index", "--data", str(data), str(log)]) == 0
    assert main(["search", "--data", str(data), f"valve {words(49)} stuck", "-n", "1"]) == 0
    assert words(49) in capsys.readouterr().out
