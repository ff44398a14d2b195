"""Wild requests, broken connections and command lines that nobody would write, for a long time.

`python -m bench.fuzz --minutes N` starts a real daemon on an index of the demo's sample and treats
it as tests/integration/test_fuzz_rpc.py does, in turns with what test_fuzz_cli.py does to every
command. JSON lines out: a line for each turn (cases, answers by code, seconds, the daemon's memory)
and a summary. Exit code 1 where anything went wrong; `wrong` has the first cases of it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import grpc
from tests.integration import fuzz_calls as calls
from tests.integration.fuzz_daemon import Answers, Daemon, running
from tests.integration.fuzz_lines import LineTally, run_lines
from tests.integration.fuzz_world import World

#: One turn: requests, then connections, then command lines.
REQUESTS_TIME_S, LINES_TIME_S = 25.0, 25.0
#: Shown of what went wrong.
WRONG_MAX = 20


def main() -> int:
    """Prints one JSON object for each turn, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    random_ = random.Random(given.seed)
    report("plan", seed=given.seed, minutes=given.minutes)
    wrong: list[str] = []
    requests: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        world = World.make(Path(folder) / "world")
        # The lines change the world that they run in; the daemon has one of its own.
        other = World.make(Path(folder) / "lines" / "world")
        with running(world) as daemon:
            answers, memory_mib = daemon.answers(), daemon.memory_mib()
            ends_at = time.monotonic() + given.minutes * 60
            while time.monotonic() < ends_at and daemon.process.poll() is None and not wrong:
                requests += turn_of_requests(daemon, random_, wrong)
                if not is_answering(daemon, answers):
                    wrong.append("the daemon does not answer as it did")
                lines += turn_of_lines(other, random_, wrong)
            # One that has failed takes a moment to end.
            time.sleep(2)
            is_alive = daemon.process.poll() is None
            after_mib = daemon.memory_mib() if is_alive else 0
            code, stop_s = daemon.stop() if is_alive else (daemon.process.returncode, 0.0)
            if code or "Traceback" in daemon.messages():
                wrong.append(f"the daemon ended with {code}: {daemon.messages()[-4_000:]}")
    report(
        "summary",
        requests=requests.total(),
        answers=requests,
        lines=lines.total(),
        exit_codes=lines,
        memory_before_mib=memory_mib,
        memory_after_mib=after_mib,
        stop_s=round(stop_s, 2),
        wrong=wrong[:WRONG_MAX],
    )
    return 1 if wrong else 0


def is_answering(daemon: Daemon, answers: Answers) -> bool:
    """Whether the daemon gives the same answers as before."""
    try:
        return daemon.answers() == answers
    except grpc.RpcError:
        return False


def turn_of_requests(daemon: Daemon, random_: random.Random, wrong: list[str]) -> Counter[str]:
    """Wild, large, cancelled and unread calls, and connections of every bad kind."""
    started, tally = time.monotonic(), calls.Tally()
    with ExitStack() as stack:
        calls.noise(daemon, random_, stack, 100)
        calls.idle_connections(daemon, stack, 100)
        calls.unread_follows(daemon, stack, 10)
        slow = calls.slow_calls(daemon, random_, stack)
        calls.wild_requests(daemon, random_, tally, ends_at=started + REQUESTS_TIME_S)
        for call in slow:
            call.step()
        calls.cancelled_calls(daemon, random_, tally, 300)
        calls.large_requests(daemon, random_, tally)
    wrong += tally.wrong
    found = tally.by_code()
    is_alive = daemon.process.poll() is None
    report(
        "requests",
        cases=found.total(),
        answers=found,
        seconds=round(time.monotonic() - started, 1),
        memory_mib=daemon.memory_mib() if is_alive else None,
        wrong=len(tally.wrong),
    )
    return found


def turn_of_lines(world: World, random_: random.Random, wrong: list[str]) -> Counter[str]:
    """Command lines for every command."""
    started, tally = time.monotonic(), LineTally()
    run_lines(world, random_, tally, ends_at=started + LINES_TIME_S)
    wrong += tally.wrong
    found = tally.by_code()
    report(
        "lines",
        cases=found.total(),
        exit_codes=found,
        seconds=round(time.monotonic() - started, 1),
        wrong=len(tally.wrong),
    )
    return found


def report(what: str, **values: object) -> None:
    """One JSON line."""
    print(json.dumps({"what": what, **values}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
