"""A daemon as a person starts it, to be treated badly, and what must hold of it afterwards."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc

from dejalog.proto.v1 import search_pb2, search_pb2_grpc

from .fuzz_arguments import environment
from .fuzz_world import World

#: Answers of these codes are documented (docs/API.md); CANCELLED is the client's own doing.
CODES = {
    *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"),
    *("RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"),
}
#: What is asked before and after: strings that must occur, and that no wild request has.
QUESTIONS = ('"P0010"', '"hydraulic" kind=note', '"http.req.id"')
GRACE_S = 2
STOP_TIME_S = 40.0

Answers: TypeAlias = list[list[tuple[str, list[int]]]]


@dataclass(slots=True)
class Daemon:
    """A running daemon; `stderr` is the file that it writes its messages to."""

    process: subprocess.Popen[bytes]
    address: str
    otlp_address: str
    stderr: Path

    def answers(self) -> Answers:
        """The best hits of each question, with the numbers of their events."""
        found = []
        with grpc.insecure_channel(self.address) as channel:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            for query in QUESTIONS:
                hits = stub.Search(search_pb2.SearchRequest(query=query), timeout=60).hits
                # Words become rarer and more frequent by what is stored meanwhile, so that the
                # order of equal hits is not the same.
                found.append(
                    sorted(
                        (hit.pattern_id, [each.event_id for each in hit.occurrences])
                        for hit in hits
                    )
                )
                assert found[-1], f"nothing has {query}"
        return found

    def memory_mib(self) -> int:
        """Its memory that is no file's."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"RssAnon:\s+(\d+)", text)
        assert found is not None, "the daemon is gone"
        return int(found[1]) >> 10

    def messages(self) -> str:
        """What it wrote to standard error."""
        return self.stderr.read_text(errors="replace")

    def stop(self) -> tuple[int, float]:
        """Tells it to stop; returns its exit code and how long it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIME_S), time.monotonic() - started


@contextmanager
def running(world: World, *settings: str) -> Iterator[Daemon]:
    """A daemon on the world's index; killed at the end if it still runs."""
    stderr = world.folder.with_name("daemon-stderr")
    command = [sys.executable, "-m", "dejalog.daemon", "run", "--data", "data"]
    for setting in (f"server.stop_grace_s={GRACE_S}", *settings):
        command += ["--set", setting]
    home = world.folder.with_name("home")
    with stderr.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=world.folder, stderr=errors, env=environment(str(home))
        )
    try:
        yield Daemon(process, *_addresses(process, stderr), stderr)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _addresses(process: subprocess.Popen[bytes], stderr: Path) -> tuple[str, str]:
    ends_at = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < ends_at:
        if found := re.search(r"gRPC on (\S+), OTLP on (\S+),", stderr.read_text()):
            return found[1], found[2]
        time.sleep(0.05)
    raise AssertionError(f"the daemon is not ready: {stderr.read_text()}")
