"""Alerts of a real daemon that is killed: none is lost, and none is made twice."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dejalog.client import Client, Pushed

from ..unit.daemon.alerts.receiver import Receiver, receiving


@contextmanager
def running(tmp_path: Path, config: Path) -> Iterator[tuple[subprocess.Popen, Client]]:
    command = [sys.executable, "-m", "dejalog.daemon", "run", "--config", str(config)]
    command += ["--data", str(tmp_path / "data")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # What waits may be delivered, and a target that is down told, before it says that it is ready.
    lines = iter(process.stderr.readline, "")
    found = next(match for line in lines if (match := re.search(r"gRPC on (\S+),", line)))
    with Client(found[1]) as client:
        try:
            yield process, client
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def configured(tmp_path: Path, receiver: Receiver) -> Path:
    config = tmp_path / "dejalog.toml"
    config.write_text(
        "[server]\nlisten = '127.0.0.1:0'\notlp_listen = ''\n"
        "[[alerts.queries]]\nname = 'pumps'\nquery = '\"pump\"'\n"
        f"deliver = '{receiver.url}'\nalerts_max = 1000\nquiet_s = 0.0\n"
    )
    return config


@pytest.mark.timeout(180)
def test_after_kill_9_every_match_is_delivered_under_one_id(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    # Letters, so that each is a pattern of its own, and makes an alert of its own.
    names = [f"{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(90)]
    with receiving() as receiver:
        receiver.answers = [chance.choice([200, 200, 503]) for _ in range(40)]
        config = configured(tmp_path, receiver)
        for start in range(0, 90, 30):
            with running(tmp_path, config) as (process, client):
                for at in range(start, start + 30, 5):
                    # Once this returns, the events are stored.
                    client.append(
                        "plc7", [Pushed(f"pump {name} dry".encode()) for name in names[at : at + 5]]
                    )
                time.sleep(chance.random() / 4)
                process.send_signal(signal.SIGKILL)
                process.wait(30)
        with running(tmp_path, config):
            deadline = time.monotonic() + 60
            while len({each["event"]["text"] for each in receiver.arrived}) < 90:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    by_event: dict[str, set[str]] = {}
    for alert in receiver.arrived:
        by_event.setdefault(alert["event"]["event_id"], set()).add(alert["alert_id"])
    assert len(by_event) == 90
    assert all(len(ids) == 1 for ids in by_event.values())
    texts = {each["event"]["text"] for each in receiver.arrived}
    assert texts == {f"pump {name} dry" for name in names}
    # What is repeated is what was on its way at a kill: one alert each time.
    assert len(receiver.arrived) <= 90 + 3


@pytest.mark.timeout(120)
def test_a_target_that_is_down_is_told_and_shown_and_ingest_goes_on(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answers = [503] * 10_000
        config = configured(tmp_path, receiver)
        with running(tmp_path, config) as (process, client):
            client.append("plc7", [Pushed(b"pump A"), Pushed(b"pump B")])
            line = process.stderr.readline()
            assert "are not delivered to http://127.0.0.1" in line
            assert "/hook" not in line
            client.append("plc7", [Pushed(b"pump %d dry" % n) for n in range(1000)])
            assert client.status().events == 1002
            pending = subprocess.run(
                [
                    sys.executable, "-m", "dejalog.daemon", "alerts", "pending", "-o", "json",
                    "--config", str(config), "--data", str(tmp_path / "data"),
                ],
                capture_output=True, text=True, check=True, timeout=60,
            )  # fmt: skip
            first = json.loads(pending.stdout.splitlines()[0])
            assert first["rule"] == "pumps"
            assert "503" in first["reason"]
            assert "is down since" in pending.stderr
            receiver.answers = []
            assert "again" in process.stderr.readline()
        assert [each["event"]["text"] for each in receiver.arrived[:2]] == ["pump A", "pump B"]
