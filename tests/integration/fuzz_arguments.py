"""Command lines that nobody would write, for every command that the parser knows.

No value leads out of the world, beyond this machine, or to a port that somebody may have: some
commands write where they are told to.

Every flag and positional of every command gets values of its own kind, most of them near what it
takes, and values of all other kinds. What is new in the parser is covered by itself: its values
come from all kinds until its name is known here.
"""

from __future__ import annotations

import argparse
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dejalog.daemon import cli
from dejalog.daemon.config import all_keys

from .fuzz_world import HOSTILE, STEERING, World

#: These serve until they are told to stop.
SERVING = ("run", "worker", "tail", "mcp", "demo --keep-running", "index --follow")

NUMBERS = (
    *("0", "1", "2", "3", "10", "-1", "-0", "+1", "1.5", "1e3", "1e400", "nan", "inf", "-inf"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "4294967296"),
    *(
        "0x10",
        "1_000",
        "\u0663",
        "\uff11",
        "9" * 5_000,
        "1000",
        "1001",
        "10001",
        " 7 ",
        "1,5",
        "5%",
    ),
    *(
        "1" + "0" * 400,
        "0.0000001",
        "5e-324",
        "--1",
        "1-2",
        "3-",
        "-3",
        "2-1",
        "0-18446744073709551615",
    ),
)
TIMES = (
    *("now", "today", "yesterday", "2 hours ago", "2022-08-22", "2022-08-22T05:18", "last monday"),
    *("2022-08-22 05:18:16.154660034Z", "2022-08-22T05:18:16+02:00", "1661145496", "10m", "-1h"),
    *(
        "0001-01-01",
        "9999-12-31",
        "9999-12-31T23:59:60Z",
        "10000-01-01",
        "1677-09-21",
        "2262-04-12",
    ),
    *(
        "2022-02-30",
        "2022-13-01",
        "25:00",
        "99999999999999999999 days ago",
        "1e9 years ago",
        "-5 days",
    ),
    *("2022-08-22T05:18:16 Mars/Olympus", "noon", "2023-03-26 02:30", "2023-10-29 02:30", "0", "T"),
    *(
        "2022-08-22..2022-08-23",
        "..",
        "2022-08-22..",
        "..2022",
        "a..b..c",
        "2023-08-22..2022-08-22",
    ),
    *("1" * 400 + "s", "9" * 30 + " hours ago", "18446744073709551616", "\u0661 day ago", "1d1d1d"),
)
ZONES = ("UTC", "Europe/Warsaw", "local", "Mars/X", "posix/UTC", "Etc", "", "+25:00")
CONDITIONS = (
    *(
        "severity>=warn",
        "kind=note",
        "asset=press-4",
        "a!=b",
        "kind=x",
        "=",
        "!=",
        ">=",
        "=x",
        "x=",
    ),
    *(
        "severity>=",
        "severity>=nothing",
        "severity<9",
        "kind!=log",
        "a=b=c",
        "unit='x y'",
        'a="',
        "a",
    ),
    *("time>2022", "offset>=1e400", "\x1b=\x1b", "label" * 400 + "=x", "x=" + "y" * 5_000),
)
QUESTIONS = (
    *(
        "motor overload",
        "P0420",
        "E-1034",
        "engine overheats and loses power kind=note",
        '"E-1034"',
    ),
    *(
        '"',
        '""',
        '"a" "b" "c" -d -"e"',
        "-",
        "--",
        "-x",
        "kind=note",
        "severity>=warn pump",
        "a=b=c",
    ),
    *(
        "*",
        "?",
        "(",
        "a AND (b OR",
        "\\",
        "field:value",
        "[a TO b]",
        "regex/",
        "~",
        "a^9",
        "{}",
        "%s%n",
    ),
    *(
        "x" * 5_000,
        "word " * 3_000,
        "\u4e2d\u6587",
        "\U0001f527" * 300,
        "a\u0301" * 500,
        "\n",
        "\t \r\n",
    ),
    *("'; DROP TABLE events; --", "${HOME}", "$(id)", "a/../b", "0x80070005", "10.0.0.7:443"),
)
IDS = ("0", "1", "5", "20", "100", "449", "450", "551", "600", "4096", *NUMBERS)
SERVERS = (
    *(
        "127.0.0.1:1",
        "[::1]:1",
        "localhost:1",
        "",
        ":",
        "127.0.0.1",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
    ),
    *(
        "127.0.0.1:x",
        "unix:/nowhere/socket",
        "unix:fifo",
        "unix:",
        "ipv4:127.0.0.1:1",
        "http://127.0.0.1",
    ),
    *("127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1/path", "127.0.0.1:1?x=y", "[::1", "ipv6:[::1]:1"),
)
TEXTS = (
    *(
        "auto",
        "text",
        "asset",
        "low",
        "",
        " ",
        "a",
        "x" * 300,
        "x" * 100_000,
        "\udcff\udcfe",
        "\ud800",
        HOSTILE.replace("\x00", ""),
    ),
    *("-", "--", "--help", "-h", "=", "a=b", "~", "*", "%", "%(x)s", "{}", "{0.__class__}"),
    *("\n", "\r", "\t", "\x7f", "\u202e", "\ufeff", "\u2028", "None", "null", "true", "[]", "NaN"),
    *("\U0010ffff", "\ufffe", "json", "note", "utf-8"),
)
#: Values of settings. None names an address, a broker or a host beyond this machine.
SETTINGS = (
    *("0", "1", "-1", "nan", "inf", "1e400", "true", "", "x", "[]", "{}", "[1]", '[{"name": 1}]'),
    *("9" * 30, "9" * 5_000, "127.0.0.1:0", "data", "missing", "odd/empty", "\udcff", "\x1b[31m"),
    *('[{"name": "low", "query": "low", "command": ["/nowhere/x"]}]', "[" * 9_999, '"\\ud800"'),
)

#: So many values of each kind, the first ones, are what a person would write.
PLAIN = 4

#: Kinds of values by the name of what takes them; others get a value of any kind.
KINDS: dict[str, str] = {
    **dict.fromkeys(("text", "query"), "questions"),
    **dict.fromkeys(("since", "until", "before", "after", "at"), "times"),
    **dict.fromkeys(("event", "numbers"), "ids"),
    **dict.fromkeys(("paths", "directory", "backup", "bundle", "raw", "tasks", "model"), "paths"),
    **dict.fromkeys(("token_file", "tls_ca", "tls_cert", "tls_key", "file"), "paths"),
    **dict.fromkeys(("name", "by", "asset_label", "reason", "source", "key", "topic"), "texts"),
    "where": "conditions",
    "timezone": "zones",
    "server": "servers",
    "encoding": "texts",
    "config": "configs",
    "data": "folders",
    "set": "settings",
    "for_": "times",
    "for": "times",
}
#: Nobody listens there: whatever else is asked is not looked at.
REMOTE = ("server", "token_file", "tls_ca", "tls_cert", "tls_key", "config")


@dataclass(frozen=True, slots=True)
class Line:
    """A command line, and how to run it."""

    command: str
    arguments: list[str]
    serves: bool
    stdin: str
    encoding: str
    environment: dict[str, str]


def commands(
    parser: argparse.ArgumentParser | None = None, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command and subcommand with the parser of its own flags."""
    parser = cli._parser() if parser is None else parser
    subs = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not subs:
        yield words, parser
    for action in subs:
        for word, sub in action.choices.items():
            yield from commands(sub, (*words, word))


class Lines:
    """Makes command lines, the same ones for the same seed."""

    def __init__(self, world: World, random_: random.Random) -> None:
        self._world = world
        self._random = random_
        self._is_demo = False
        self._keys = [f"{section}.{key}" for section, key in all_keys()]
        here = [name for name in world.names() if name != "data"]
        odd = world.names("odd")
        self._pools: dict[str, tuple[str, ...]] = {
            "numbers": NUMBERS,
            "times": TIMES,
            "zones": ZONES,
            "conditions": CONDITIONS,
            "questions": QUESTIONS,
            "ids": IDS,
            "servers": SERVERS,
            "texts": TEXTS,
            "configs": (*world.names("settings"), "odd", "odd/loop", "missing", "odd/locked/x"),
            "paths": (
                "services.log",
                "notes.jsonl",
                "missing",
                "odd/x",
                *here,
                *odd,
                "missing",
                "data",
                "missing/deep",
                "odd/empty/x",
                "x" * 300,
                ".",
            ),
            "folders": (
                "data",
                "data",
                "missing",
                "odd/empty",
                "odd/empty-folder",
                "odd/loop",
                "x" * 300,
            ),
        }

    def line(self, words: tuple[str, ...], parser: argparse.ArgumentParser) -> Line:
        """One command line for this command."""
        chosen = self._random
        self._is_demo = words == ("demo",)
        arguments = list(words)
        # Few errors at a time: the first one hides the others.
        boldness = chosen.choice((0.0, 0.0, 0.05, 0.3))
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            is_wanted = not action.option_strings or action.required or action.dest == "data"
            share = 0.02 if action.dest in REMOTE else 0.2
            if is_wanted or chosen.random() < share:
                arguments += self._given(action, boldness)
        if chosen.random() < 0.03:
            arguments.insert(chosen.randrange(len(arguments) + 1), self._any())
        serves = any(all(word in arguments for word in each.split()) for each in SERVING)
        stdin = chosen.choice(("", "", "y\n", "yes\n", "\xff\xfe\x00", "[" * 5_000, "{}\n" * 50))
        return Line(
            " ".join(words),
            [each.replace("\x00", "") for each in arguments],
            serves,
            stdin,
            chosen.choice(("utf-8", "utf-8", "ascii", "latin-1")),
            {"COLUMNS": chosen.choice(("80", "1", "0", "-5", "x", "99999")), "LINES": "1"},
        )

    def _given(self, action: argparse.Action, boldness: float) -> list[str]:
        if not action.option_strings:
            return [self._value(action, boldness) for _ in range(self._count(action))]
        name = self._random.choice(action.option_strings)
        if action.nargs == 0:
            return [name]
        value = self._value(action, boldness)
        if name.startswith("--") and (value.startswith("-") or self._random.random() < 0.5):
            return [f"{name}={value}"]
        return [name, value]

    def _count(self, action: argparse.Action) -> int:
        if action.nargs is None:
            return 1
        least = 1 if action.nargs == "+" else 0
        return least if self._random.random() < 0.3 else self._random.randint(max(1, least), 2)

    def _value(self, action: argparse.Action, boldness: float) -> str:
        chosen = self._random
        if chosen.random() < boldness:
            return self._any() if action.dest != "set" else f"{self._any()}={self._any()}"
        if action.choices is not None:
            return str(chosen.choice([*action.choices]))
        kind = KINDS.get(action.dest, "numbers" if action.type else "texts")
        if kind == "settings":
            return self._setting()
        if kind == "folders" and chosen.random() < 0.9:
            return "data" if chosen.random() < 0.8 else self._world.damaged(chosen)
        pool = self._pools[kind]
        if kind == "folders" and self._is_demo:
            # A demo that finds its place free takes a quarter of a minute.
            pool = tuple(each for each in pool if each in ("data", "odd/empty", "odd/loop"))
        return chosen.choice(pool if chosen.random() < 4 * boldness else pool[:PLAIN])

    def _setting(self) -> str:
        key = self._random.choice(self._keys)
        if key in ("server.listen", "server.otlp_listen"):
            # Never beyond this machine, and no port that somebody may have.
            return f"{key}={self._random.choice(('', 'x', '127.0.0.1', '127.0.0.1:x', ':'))}"
        if key == "kafka.bootstrap_servers":
            return f"{key}={self._random.choice(('', ':', '127.0.0.1:x'))}"
        return f"{key}={self._random.choice(SETTINGS)}"

    def _any(self) -> str:
        return self._random.choice(self._pools[self._random.choice(sorted(self._pools))])


def environment(home: str, **changes: str) -> dict[str, str]:
    """What a command sees, whoever runs the tests: no settings, and no port but free ones."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **kept,
        "HOME": home,
        "XDG_DATA_HOME": home,
        "OMP_NUM_THREADS": "1",
        "DEJALOG_ENCODER__THREADS": "1",
        "DEJALOG_SERVER__LISTEN": "127.0.0.1:0",
        "DEJALOG_SERVER__OTLP_LISTEN": "127.0.0.1:0",
        "DEJALOG_SERVER__STOP_GRACE_S": "2",
        "DEJALOG_DATA__DISK_FREE_BYTES_MIN": "0",
        **changes,
    }


def wrong_with(line: Line, ended: Any) -> str:
    """What is wrong with how a command ended, empty where nothing is."""
    shown = ended.stderr.decode("utf-8", errors="surrogateescape")
    if ended.fault:
        return ended.fault
    if ended.code is not None and ended.code < 0 and line.serves:
        return ""
    if ended.code not in (0, 1, 2, 3, 4, 130):
        return f"exit code {ended.code}"
    if "Traceback" in shown or 'File "' in shown:
        return "a traceback is shown"
    is_told = line.command in ("doctor", "verify") and ended.stdout
    is_told = is_told or re.search(r"^(dejalog: |usage: )", shown, re.MULTILINE)
    if ended.code in (2, 3) and not is_told:
        return f"exit code {ended.code} without a word"
    found = ended.stdout.decode("utf-8", errors="surrogateescape")
    for name, text in (("error", shown), ("output", found)):
        if line.encoding == "utf-8" and (steering := re.search(STEERING, text)):
            around = text[max(0, steering.start() - 40) : steering.end() + 20]
            return f"standard {name} steers the terminal: {around!r}"
    return ""
