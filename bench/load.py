"""More questions than can be answered, with ingest running: who is refused, how long others wait.

`python -m bench.load` starts a real daemon on an index of the demo's sample (or of --log), measures
in a closed loop how many questions it answers in a second while it ingests, then has --clients
connections ask --times as many for --minutes, each with a deadline. JSON lines out: the rate, ten
lines along the way, and a summary. Exit code 1 where anything but RESOURCE_EXHAUSTED and
DEADLINE_EXCEEDED went wrong, or a refusal did not say when to come back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from dejalog.proto.v1 import ingest_pb2, ingest_pb2_grpc, search_pb2, search_pb2_grpc

#: What people ask: words, codes, a pasted line, and a filter.
QUERIES = (
    "database connection refused",
    "payment service timeout after retry",
    "engine overheats and loses power kind=note",
    "P0420",
    "hydraulic leak at the seal",
    "ERROR f.s.FoodServiceImpl#302 [getAllFood][Get the Get Food Request Failed!]",
    "severity>=warn connection reset by peer",
    "bearing noise after restart",
)
#: Callers of the closed loop: enough to keep both search threads busy.
PROBE_CLIENTS = 4
#: Of the closed loop, before it is counted.
WARM_SHARE = 0.25
PARTS = 10
#: Refusals and late answers are what overload looks like.
EXPECTED = {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}


@dataclass(slots=True)
class Tally:
    """What became of the questions of one stretch of time."""

    codes: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    without_retry_time: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Adds another stretch."""
        self.codes += other.codes
        self.latencies_s += other.latencies_s
        self.without_retry_time += other.without_retry_time
        self.errors += other.errors

    def row(self) -> dict[str, object]:
        """Counts by code, and times of the answers in milliseconds."""
        answered, late = self.codes["OK"], self.codes["DEADLINE_EXCEEDED"]
        return {
            "asked": self.codes.total(),
            **{code.lower(): count for code, count in sorted(self.codes.items())},
            **{f"p{share}_ms": self._percentile_ms(share) for share in (50, 95, 99)},
            "share_within_deadline": round(answered / (answered + late), 5) if answered else 0,
        }

    def _percentile_ms(self, share: int) -> float | None:
        times = sorted(self.latencies_s)
        return round(1e3 * times[len(times) * share // 100], 1) if times else None


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked."""

    clients: int
    duration_s: float
    probe_s: float
    times: float
    deadline_s: float
    ingest_per_s: int


def main() -> int:
    """Prints one JSON object for each stretch, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, help="what is indexed first (default: the demo's)")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--probe-s", type=float, default=10.0)
    parser.add_argument("--times", type=float, default=2.0)
    parser.add_argument("--deadline-s", type=float, default=2.0)
    parser.add_argument("--ingest-per-s", type=int, default=100)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    random.seed(given.seed)
    plan = Plan(
        given.clients,
        given.minutes * 60,
        given.probe_s,
        given.times,
        given.deadline_s,
        given.ingest_per_s,
    )
    with tempfile.TemporaryDirectory() as folder:
        index(Path(folder), given.log)
        with daemon(Path(folder)) as (process, address):
            report("plan", seed=given.seed, **{k: getattr(plan, k) for k in Plan.__slots__})
            total = asyncio.run(run(plan, address, process.pid))
            is_alive = process.poll() is None
            if not is_alive:
                sys.stderr.write((Path(folder) / "stderr").read_text())
    is_good = is_alive and not total.without_retry_time and not total.codes.keys() - EXPECTED
    report(
        "summary",
        **total.row(),
        refused_without_retry_time=total.without_retry_time,
        unexpected=dict(total.errors),
        is_daemon_alive=is_alive,
        is_good=is_good,
    )
    return 0 if is_good else 1


def index(folder: Path, log: Path | None) -> None:
    """Indexes the log, or the sample of the demo."""
    command = [sys.executable, "-m", "dejalog.daemon", "index", "--data", str(folder)]
    with as_file(files("dejalog.daemon") / "demo_sample") as sample:
        subprocess.run([*command, str(log or sample)], check=True, capture_output=True)


@contextmanager
def daemon(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A daemon as a person would start it, on a free port."""
    command = [sys.executable, "-m", "dejalog.daemon", "run", "--data", str(folder)]
    for setting in ("server.listen=127.0.0.1:0", "server.otlp_listen="):
        command += ["--set", setting]
    with (folder / "stderr").open("w+") as errors:
        process = subprocess.Popen(command, stderr=errors, text=True)
        try:
            yield process, _address(process, folder / "stderr")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _address(process: subprocess.Popen[str], path: Path) -> str:
    while process.poll() is None:
        if found := re.search(r"gRPC on (\S+),", path.read_text()):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"the daemon ended: {path.read_text()}")


async def run(plan: Plan, address: str, pid: int) -> Tally:
    """Measures the rate, then asks too much; returns what became of all that was asked."""
    async with AsyncExitStack() as stack:
        stubs = [
            search_pb2_grpc.SearchServiceStub(await stack.enter_async_context(connected(address)))
            for _ in range(plan.clients)
        ]
        channel = await stack.enter_async_context(connected(address))
        stored: Counter[str] = Counter()
        ingesting = asyncio.create_task(
            ingest(ingest_pb2_grpc.IngestServiceStub(channel), plan.ingest_per_s, stored)
        )
        per_s = await sustainable(stubs[:PROBE_CLIENTS], plan.probe_s)
        report("sustainable", questions_per_s=round(per_s, 1), rss_mib=rss_mib(pid))
        total = await overload(stubs, plan, per_s, pid)
        ingesting.cancel()
        await asyncio.wait([ingesting])
    report("ingest", **stored)
    return total


def connected(address: str) -> grpc.aio.Channel:
    """A connection of its own."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


async def sustainable(stubs: list[search_pb2_grpc.SearchServiceStub], time_s: float) -> float:
    """Returns how many questions a second a few callers get answered, each one after another."""
    started = time.monotonic()
    counted: list[float] = []

    async def ask_on(stub: search_pb2_grpc.SearchServiceStub) -> None:
        while time.monotonic() < started + time_s:
            tally = Tally()
            await ask(stub, 30.0, tally)
            if not tally.codes["OK"]:
                raise RuntimeError(f"without load, questions fail: {tally}")
            counted.append(time.monotonic())

    await asyncio.gather(*(ask_on(stub) for stub in stubs))
    warm = started + WARM_SHARE * time_s
    return sum(at >= warm for at in counted) / (max(counted) - warm)


async def overload(
    stubs: list[search_pb2_grpc.SearchServiceStub], plan: Plan, per_s: float, pid: int
) -> Tally:
    """Asks `times` as much as can be answered, whether or not earlier questions are answered."""
    parts = [Tally() for _ in range(PARTS)]
    gap_s = plan.clients / (per_s * plan.times)
    started = time.monotonic()

    async def ask_on(stub: search_pb2_grpc.SearchServiceStub) -> None:
        async with asyncio.TaskGroup() as asking:
            while True:
                await asyncio.sleep(random.expovariate(1 / gap_s))
                number = int((time.monotonic() - started) / plan.duration_s * PARTS)
                if number >= PARTS:
                    return
                asking.create_task(ask(stub, plan.deadline_s, parts[number]))

    async def tell() -> None:
        for number, part in enumerate(parts, start=1):
            # What is asked at a part's end is answered, or late, by then.
            told_at = started + plan.duration_s * number / PARTS + plan.deadline_s + 0.5
            await asyncio.sleep(told_at - time.monotonic())
            report("part", number=number, **part.row(), rss_mib=rss_mib(pid))

    await asyncio.gather(tell(), *(ask_on(stub) for stub in stubs))
    total = Tally()
    for part in parts:
        total.add(part)
    return total


async def ask(stub: search_pb2_grpc.SearchServiceStub, deadline_s: float, tally: Tally) -> None:
    """Asks one question and counts what became of it."""
    request = search_pb2.SearchRequest(query=random.choice(QUERIES), limit=10)
    started = time.monotonic()
    try:
        await stub.Search(request, timeout=deadline_s)
    except grpc.aio.AioRpcError as error:
        code = error.code()
        tally.codes[code.name] += 1
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and not _says_when(error):
            tally.without_retry_time += 1
        if code.name not in EXPECTED:
            tally.errors[f"{code.name}: {error.details()}"[:200]] += 1
        return
    tally.codes["OK"] += 1
    tally.latencies_s.append(time.monotonic() - started)


def _says_when(error: grpc.aio.AioRpcError) -> bool:
    status = rpc_status.from_call(error)
    return status is not None and any(each.Is(RetryInfo.DESCRIPTOR) for each in status.details)


async def ingest(stub: ingest_pb2_grpc.IngestServiceStub, per_s: int, stored: Counter[str]) -> None:
    """Appends records at a rate, one call a second; some have a pattern that nobody has seen."""

    async def messages(number: int) -> AsyncIterator[ingest_pb2.AppendRequest]:
        lines = [_line(number * per_s + each) for each in range(per_s)]
        records = [ingest_pb2.AppendRecord(data=line.encode()) for line in lines]
        yield ingest_pb2.AppendRequest(source="load", records=records)

    number = 0
    while per_s:
        due = time.monotonic() + 1.0
        try:
            stored["accepted"] += (await stub.Append(messages(number))).accepted
        except grpc.aio.AioRpcError as error:
            stored[error.code().name.lower()] += 1
        number += 1
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def _line(number: int) -> str:
    kinds = ("pump", "valve", "drive", "fan", "press")
    if number % 50 == 0:
        word = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=6))
        return f"{kinds[number % 5]} reports {word} for the first time"
    return f"{kinds[number % 5]} {number} at 10.0.{number % 250}.7 took {number} ms"


def rss_mib(pid: int) -> dict[str, int]:
    """The daemon's memory in MiB: all, and what is no file's."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return {
        name: int(match[1]) >> 10
        for name, key in (("all", "VmRSS"), ("anonymous", "RssAnon"))
        if (match := re.search(rf"{key}:\s+(\d+)", text))
    }


def report(what: str, **values: object) -> None:
    """One JSON line."""
    print(json.dumps({"what": what, **values}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
