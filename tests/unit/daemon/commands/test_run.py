from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_daemon_in_order(tmp_path: Path, number: signal.Signals) -> None:
    # A name that would turn the rest of a terminal's line round.
    folder = str(tmp_path / "data\u202e")
    command = [sys.executable, "-m", "dejalog.daemon", "run", "--data", folder]
    for setting in ("server.listen=127.0.0.1:0", "server.otlp_listen=127.0.0.1:0"):
        command += ["--set", setting]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    ready = process.stderr.readline()
    assert "ready, gRPC on 127.0.0.1:" in ready
    assert "OTLP on 127.0.0.1:" in ready
    assert ready.endswith("/data\\u202e\n")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said == ""
