"""Time from produce to searchable at a steady rate, and the daemon's memory; one JSON object.

    python -m bench.kafka_freshness --topic live --rate 1000 --minutes 5 FILE...

Needs a broker (`--bootstrap`). Produces the files' lines at a rate while `dejalog run` serves and
others ask questions, and asks for probes, lines with a code of their own, until a search finds
them letter for letter. The index is empty at first, so the first minute has most that is new.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from bench.kafka import lines, make_topic, new_producer, report

from dejalog.client import Client
from dejalog.indexer.request import SearchRequest

#: Between two questions for the same probe.
PROBE_INTERVAL_S = 0.2
PROBES_PER_S = 1.0
#: What people ask meanwhile.
QUESTIONS_PER_S = 5.0
QUESTIONS = ("order service fails to pay", "pump trips after start", "connection refused", "TS-17")
#: An index that has seen nothing yet encodes nearly every line; after so long it has seen most.
COLD_S = 60.0


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default=f"live-{uuid.uuid4().hex[:8]}")
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--minutes", type=float, default=5.0)
    freshness(parser.parse_intermixed_args())


def freshness(given: argparse.Namespace) -> None:
    """Time from produce to searchable at a steady rate, and the daemon's memory."""
    make_topic(given)
    with tempfile.TemporaryDirectory() as folder:
        socket = f"unix:{folder}/socket"
        process = start_daemon(given, folder, socket)
        try:
            measure_freshness(given, process, socket)
        finally:
            process.terminate()
            process.wait(60)


def measure_freshness(
    given: argparse.Namespace, process: subprocess.Popen[bytes], socket: str
) -> None:
    """Produces, asks for probes and looks at memory until the time is over."""
    end = time.monotonic() + given.minutes * 60
    sent: dict[str, float] = {}
    waits: list[tuple[float, float]] = []
    memory: list[int] = []
    asked: list[float] = []
    started = time.time()
    others = [
        threading.Thread(target=produce_steadily, args=(given, end, sent)),
        threading.Thread(target=ask_steadily, args=(socket, end, asked)),
    ]
    for each in others:
        each.start()
    searches = 0
    with Client(socket) as client:
        while time.monotonic() < end or sent:
            if time.monotonic() > end + 30:
                break
            for code, sent_at in list(sent.items()):
                searches += 1
                if client.search(SearchRequest(f'"{code}"', limit=1)).result.hits:
                    waits.append((sent_at - started, time.time() - sent_at))
                    del sent[code]
            memory.append(resident_bytes(process.pid))
            time.sleep(PROBE_INTERVAL_S)
    for each in others:
        each.join()
    found = np.array([wait for _, wait in waits])
    warm = np.array([wait for at, wait in waits if at >= COLD_S] or [0.0])
    tenth = max(1, len(memory) // 10)
    report(
        "freshness",
        rate=given.rate,
        minutes=given.minutes,
        probes=len(waits),
        never_found=len(sent),
        searches_per_s=round((searches + len(asked)) / (given.minutes * 60), 1),
        search_p50_ms=round(1000 * float(np.percentile(asked, 50)), 1),
        search_p99_ms=round(1000 * float(np.percentile(asked, 99)), 1),
        p50_s=round(float(np.percentile(found, 50)), 3),
        p99_s=round(float(np.percentile(found, 99)), 3),
        max_s=round(float(found.max()), 3),
        p50_after_a_minute_s=round(float(np.percentile(warm, 50)), 3),
        p99_after_a_minute_s=round(float(np.percentile(warm, 99)), 3),
        resident_mib=[
            round(float(np.median(memory[i : i + tenth])) / 2**20, 1)
            for i in range(0, len(memory), tenth)
        ],
    )


def ask_steadily(socket: str, end: float, asked: list[float]) -> None:
    """Asks questions at a steady rate, and notes how long each took, in seconds."""
    with Client(socket) as client:
        while time.monotonic() < end:
            started = time.monotonic()
            client.search(SearchRequest(QUESTIONS[len(asked) % len(QUESTIONS)]))
            asked.append(time.monotonic() - started)
            time.sleep(max(0.0, 1 / QUESTIONS_PER_S - asked[-1]))


def produce_steadily(given: argparse.Namespace, end: float, sent: dict[str, float]) -> None:
    """Sends lines at the rate, a probe among them every so often."""
    producer = new_producer(given, linger_ms=5)
    source = lines(given.files, 1 << 60)
    started, count, probes = time.monotonic(), 0, 0
    while (now := time.monotonic()) < end:
        while count < (now - started) * given.rate:
            producer.send(given.topic, next(source))
            count += 1
        if probes < (now - started) * PROBES_PER_S:
            code = f"PROBE-{random.randrange(10**8):08d}"
            sent[code] = time.time()
            text = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} probe {code} passed"
            producer.send(given.topic, text.encode())
            probes += 1
        time.sleep(0.01)
    producer.flush()


def start_daemon(given: argparse.Namespace, folder: str, socket: str) -> subprocess.Popen[bytes]:
    """Starts `dejalog run --source kafka` and waits until it is ready."""
    topics = json.dumps([{"name": given.topic}])
    options = {
        "kafka.bootstrap_servers": given.bootstrap,
        "kafka.topics": topics,
        "kafka.group": f"bench-{uuid.uuid4().hex[:8]}",
        "kafka.start": "latest",
        "server.listen": socket,
        "server.otlp_listen": "",
    }
    flags = [part for item in options.items() for part in ("--set", "=".join(item))]
    command = [sys.executable, "-m", "dejalog.daemon", "run", "--source", "kafka", *flags]
    process = subprocess.Popen(
        [*command, "--data", f"{folder}/data"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b"ready" in line:
            break
    threading.Thread(target=copy_lines, args=(process.stderr,), daemon=True).start()
    time.sleep(8)  # It joins the group.
    return process


def copy_lines(stream: Any) -> None:
    """Shows what the daemon says."""
    for line in stream:
        sys.stderr.write(line.decode(errors="replace"))


def resident_bytes(pid: int) -> int:
    """The process's resident memory that is not the page cache's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
