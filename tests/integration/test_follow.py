"""Follow and tail against a real daemon: nothing is missed across its restarts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dejalog.client import Client, FollowUpdate, Pushed, RefusedError, RemoteError
from dejalog.indexer.request import FollowRequest

DAEMON = (sys.executable, "-m", "dejalog.daemon")


@contextmanager
def running(tmp_path: Path, *flags: str, port: int = 0) -> Iterator[tuple[subprocess.Popen, int]]:
    command = [*DAEMON, "run", "--data", str(tmp_path / "data")]
    for flag in (f"server.listen=127.0.0.1:{port}", "server.otlp_listen=", *flags):
        command += ["--set", flag]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    found = re.search(r"gRPC on 127\.0\.0\.1:(\d+),", line)
    assert found, line + process.stderr.read()
    try:
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def push(client: Client, *texts: str) -> None:
    client.append("plc7", [Pushed(text.encode()) for text in texts])


def texts(update: FollowUpdate) -> list[str]:
    return [match.occurrence.event.text for match in update.matches]


def take(updates: Iterator[FollowUpdate], count: int) -> tuple[list[str], int]:
    found: list[str] = []
    for update in updates:
        found += texts(update)
        if len(found) >= count:
            return found, update.last_event_id
    raise AssertionError(found)


@pytest.mark.timeout(120)
def test_a_client_goes_on_where_it_was_after_a_restart_of_the_daemon(tmp_path: Path) -> None:
    with running(tmp_path) as (process, port), Client(f"127.0.0.1:{port}") as client:
        with closing(client.follow(FollowRequest('"pump"'))) as updates:
            first = next(updates)
            assert first.matches == ()
            push(client, "pump A", "fan", "pump B")
            found, _ = take(updates, 2)
            assert found == ["pump A", "pump B"]
            process.send_signal(signal.SIGTERM)
            with pytest.raises(RemoteError) as caught:
                next(updates)
            assert caught.value.code == "UNAVAILABLE"
            assert caught.value.retry_after_s
        assert process.wait(30) == 0
    with running(tmp_path) as (_, port), Client(f"127.0.0.1:{port}") as client:
        push(client, "pump C")
        request = FollowRequest('"pump"', after_event_id=first.last_event_id)
        with closing(client.follow(request)) as updates:
            found, last = take(updates, 3)
            assert found == ["pump A", "pump B", "pump C"]
        request = FollowRequest('"pump"', after_event_id=last)
        with closing(client.follow(request)) as updates:
            assert next(updates) == FollowUpdate((), last)
        with pytest.raises(RefusedError, match="nonsense"):
            next(client.follow(FollowRequest("x", where=("nonsense",))))


@pytest.mark.timeout(120)
def test_every_event_comes_once_while_shards_roll_and_are_compacted(tmp_path: Path) -> None:
    flags = ("shard.events_max=50", "compact.interval_s=1", "compact.bits=2")
    wanted = [f"pump C-{n} surge" for n in range(400)]
    with running(tmp_path, *flags) as (_, port), Client(f"127.0.0.1:{port}") as client:

        def ingest() -> None:
            with Client(f"127.0.0.1:{port}") as other:
                for start in range(0, 400, 20):
                    push(other, *wanted[start : start + 20])

        thread = threading.Thread(target=ingest)
        with closing(client.follow(FollowRequest('"surge"'))) as updates:
            next(updates)
            thread.start()
            found, last = take(updates, 400)
        thread.join()
        assert found == wanted
        with closing(client.follow(FollowRequest('"surge"', after_event_id=-1))) as updates:
            assert take(updates, 400) == (wanted, last)


@pytest.mark.timeout(120)
def test_clients_that_leave_make_room_for_others(tmp_path: Path) -> None:
    with running(tmp_path) as (_, port), Client(f"127.0.0.1:{port}") as client:
        for _ in range(100):  # Three times as many as there may be.
            with closing(client.follow(FollowRequest("pump"))) as updates:
                next(updates)


@pytest.mark.timeout(120)
def test_tail_over_a_server_waits_for_it_and_misses_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as (process, port):
        with Client(f"127.0.0.1:{port}") as client:
            push(client, "pump old", "fan")
        command = [*DAEMON, "tail", '"pump"', "-o", "json", "--server", f"127.0.0.1:{port}"]
        tail = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert event_text(tail) == "pump old"
            with Client(f"127.0.0.1:{port}") as client:
                push(client, "pump A")
            assert event_text(tail) == "pump A"
            process.send_signal(signal.SIGKILL)
            assert "trying again until it is there" in tail.stderr.readline()
            with running(tmp_path, port=port):
                with Client(f"127.0.0.1:{port}") as client:
                    push(client, "fan", "pump B")
                assert event_text(tail) == "pump B"
                tail.terminate()
                assert tail.wait(30) == 0
        finally:
            tail.kill()
            tail.communicate()


def event_text(tail: subprocess.Popen) -> str:
    return str(json.loads(tail.stdout.readline())["event"]["text"])
