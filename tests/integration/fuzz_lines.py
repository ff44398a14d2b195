"""Runs command lines that nobody would write, and says which ended as no command may."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .fuzz_arguments import Line, Lines, commands, environment, wrong_with
from .fuzz_worker import Worker
from .fuzz_world import World

#: A world is put back in order after so many lines.
RENEW_EVERY = 40
#: A command that serves is told to stop after this time.
SERVE_TIME_S = 1.5
#: Any other one ends by itself in this time, whatever the machine does besides.
LINE_TIME_S = 60.0
#: One round in so many has commands that serve, each of which takes its time.
SERVE_EVERY = 8
#: Arguments longer than this are shortened in a report.
SHOWN_CHARACTERS = 200


@dataclass(slots=True)
class LineTally:
    """Lines by command and exit code, what was wrong, and how long commands took."""

    codes: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def by_code(self) -> Counter[str]:
        """Lines by exit code."""
        found: Counter[str] = Counter()
        for (_, code), count in self.codes.items():
            found[str(code)] += count
        return found


def run_lines(world: World, random_: random.Random, tally: LineTally, *, ends_at: float) -> None:
    """Runs lines for every command in turn, at least one of each."""
    worker = Worker(world.folder, environment(str(world.folder.with_name("home"))))
    lines = Lines(world, random_)
    known = list(commands())
    number = turn = 0
    try:
        while turn == 0 or time.monotonic() < ends_at:
            for words, parser in known:
                line = lines.line(words, parser)
                if line.serves and turn % SERVE_EVERY:
                    continue
                number += 1
                if number % RENEW_EVERY == 0:
                    world.renew()
                run_line(world, worker, line, tally)
            turn += 1
    finally:
        worker.close()


def run_line(world: World, worker: Worker, line: Line, tally: LineTally) -> None:
    """Runs one line and counts how it ended."""
    ended = worker.run(
        line.arguments,
        serves=line.serves,
        timeout_s=SERVE_TIME_S if line.serves else LINE_TIME_S,
        folder=str(world.folder),
        stdin=line.stdin,
        encoding=line.encoding,
        environment=line.environment,
    )
    tally.codes[line.command, ended.code] += 1
    tally.seconds[line.command] += ended.seconds
    wrong = wrong_with(line, ended)
    if wrong:
        told = [
            each if len(each) <= SHOWN_CHARACTERS else f"{each[:60]}... ({len(each)} characters)"
            for each in line.arguments
        ]
        tally.wrong.append(f"dejalog {told} ({line.encoding}, {line.environment}): {wrong}")
