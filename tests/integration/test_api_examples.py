"""The Python examples of README.md and docs/API.md do what they say, against a real daemon."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dejalog.client import Client, Pushed
from dejalog.indexer.request import SearchRequest

ROOT = Path(__file__).parents[2]
DEFAULT_ADDRESS = "127.0.0.1:7040"
EXAMPLES = [
    (name, number, code)
    for name in ("README.md", "docs/API.md")
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.DOTALL | re.M)
    )
]
#: What an example prints at least, so that it cannot pass by doing nothing.
EXPECTED = {
    ("README.md", 0): ["P-101"],
    ("docs/API.md", 0): ["1 stored, 0 were there before", "pump P-101 leaks", "2.0 h later:"],
    ("docs/API.md", 1): ["pump P-101 leaks"],
    ("docs/API.md", 2): ["gone: event", "BAD_QUERY where[0]"],
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon as a person would start it, with some events."""
    folder = tmp_path_factory.mktemp("examples")
    command = [sys.executable, "-m", "dejalog.daemon", "run", "--data", str(folder / "data")]
    for flag in ("server.listen=127.0.0.1:0", "server.otlp_listen="):
        command += ["--set", flag]
    environment = {**os.environ, "XDG_DATA_HOME": str(folder)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"gRPC on (\S+),", line)
    assert found, line + process.stderr.read()
    try:
        with Client(found[1]) as client:
            fill(client)
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def fill(client: Client) -> None:
    log = b'{"time": "2026-03-01T10:%02d:00Z", "asset": "P-101", "message": "pump P-101 leaks %d"}'
    note = (
        b'{"time": "2026-03-01T12:00:00Z", "asset": "P-101", "text": "pump leaks at the shaft, '
        b'replaced the seal"}'
    )
    client.append("plc", [Pushed(log % (n, n)) for n in range(3)], encoding="json")
    client.append("notes", [Pushed(note)], encoding="note")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if client.search(SearchRequest('"replaced the seal"')).result.hits:
            return
        time.sleep(0.1)
    raise AssertionError("what was appended was not found within 30 s")


@pytest.mark.parametrize(("page", "number", "code"), EXAMPLES)
def test_an_example_runs_as_it_stands(page: str, number: int, code: str, address: str) -> None:
    assert DEFAULT_ADDRESS in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace(DEFAULT_ADDRESS, address)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for expected in EXPECTED[page, number]:
        assert expected in done.stdout
