"""No command line, file or stream makes a command crash, hang, or show a traceback.

The seed is printed; DEJALOG_SEED repeats it. `python -m bench.fuzz` is the long form.
"""

from __future__ import annotations

import json
import os
import pty
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fuzz_arguments import commands, environment
from .fuzz_lines import LineTally, run_lines
from .fuzz_worker import Worker
from .fuzz_world import STEERING, World, seed

#: The world is made once.
pytestmark = pytest.mark.xdist_group("fuzz-cli")

LINES_TIME_S = 12.0
COMMAND = (sys.executable, "-m", "dejalog.daemon")
#: What a terminal is rightly told: colours, and to begin or clear the line of a progress report.
RIGHTFUL = re.compile(r"\x1b\[[0-9;]*m|\r\n|\r|\x1b\[2?K|\x1b\[\?25[lh]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("cli") / "world")


@pytest.fixture
def world(made: World) -> World:
    made.renew()
    return made


def started(world: World, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    home = str(world.folder.with_name("home"))
    settings = {"cwd": world.folder, "env": environment(home), **given, **options}
    process: subprocess.Popen[bytes] = subprocess.Popen([*COMMAND, *arguments], **settings)
    return process


def ran(world: World, *arguments: str, **options: object) -> tuple[int, str, str]:
    with started(world, *arguments, **options) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def test_every_command_bears_lines_that_nobody_would_write(world: World) -> None:
    tally = LineTally()
    ends_at = time.monotonic() + LINES_TIME_S
    run_lines(world, random.Random(seed()), tally, ends_at=ends_at)
    assert tally.wrong == []
    assert {name for name, _ in tally.codes} == {" ".join(words) for words, _ in commands()}


#: They print much, little, and a report of what they did.
PRINTING = (
    ("search", "engine", "--data", "data"),
    ("patterns", "--data", "data", "-o", "json"),
    ("config", "show"),
    ("deadletters", "export", "--data", "data"),
)


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "<&- >&- 2>&-"])
@pytest.mark.parametrize("arguments", PRINTING, ids=lambda given: given[0])
def test_output_that_cannot_be_written_is_a_failure_that_is_told(
    world: World, arguments: tuple[str, ...], redirection: str
) -> None:
    shell = f'"$@" {redirection}'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *COMMAND, *arguments],
        cwd=world.folder,
        env=environment(str(world.folder.with_name("home"))),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3, done
    assert "Traceback" not in done.stderr
    if "2>&-" not in redirection:
        assert re.search(r"^dejalog: .*(No space|Bad file|no space|bad file)", done.stderr, re.M)


@pytest.mark.parametrize("redirection", ["<&-", "2>&-", "2>/dev/full"])
def test_without_input_or_messages_a_command_does_its_work(world: World, redirection: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *PRINTING[1]],
        cwd=world.folder,
        env=environment(str(world.folder.with_name("home"))),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # Messages that cannot be written are a failure; what was found is there all the same.
    assert done.returncode == (3 if "full" in redirection else 0), done
    assert all(json.loads(line)["rank"] for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--config", "fifo"),
        ("status", "--server", "127.0.0.1:1", "--token-file", "fifo"),
        ("status", "--server", "127.0.0.1:1", "--tls-ca", "fifo"),
        ("restore", "fifo", "--data", "data"),
        ("eval", "fifo"),
        ("index", "fifo", "--data", "data"),
    ],
    ids=lambda given: f"{given[0]}-{given[-2]}",
)
def test_a_pipe_that_nobody_writes_to_can_be_left_with_ctrl_c(
    world: World, arguments: tuple[str, ...]
) -> None:
    process = started(world, *arguments)
    try:
        _, err = process.communicate(timeout=3)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    # Ctrl-C may come while Python itself still starts, on a slow machine.
    # `index` passes a pipe over and says so.
    assert process.returncode in (0, 2, 3, 4, 130, -signal.SIGINT), err
    assert b"Traceback" not in err or process.returncode == -signal.SIGINT


@pytest.fixture(params=[b"", b"HTTP/1.1 200 OK\r\n\r\n", bytes(range(256)) * 40])
def strange_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that says nothing, or nothing of use, to whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                    kept[-1].sendall(request.param)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for each in kept:
            each.close()


def test_a_server_that_is_none_is_left_in_time(world: World, strange_server: str) -> None:
    for command in (("search", "pump"), ("patterns",)):
        code, out, err = ran(world, *command, "--server", strange_server, "--timeout", "1")
        assert (code, out) == (3, "")
        assert re.match(r"dejalog: .+", err)
        assert "Traceback" not in err


def test_a_machine_without_home_language_or_terminal_is_enough(world: World) -> None:
    bare = {"PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C", "COLUMNS": "1", "TERM": "dumb"}
    for more in ({}, {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}):
        code, out, err = ran(world, "search", "tripped", "--data", "data", env={**bare, **more})
        assert code == 0, err
        assert not re.search(STEERING, out)
    code, _, err = ran(world, "search", "tripped", env={**bare, "HOME": "/nowhere"})
    assert code in (2, 3)
    assert "Traceback" not in err


#: Those that show events, labels, names of files or what was refused; EVENT is one's number.
SHOWING = (
    ("search", "motor overload pump tripped", "-v", "-C", "2", "--full"),
    ("context", "EVENT", "--full"),
    ("patterns", "-n", "1000", "--full"),
    ("deadletters", "list"),
    ("tail", "-n", "50", "--full", "-v"),
    ("search", "motor", "-n", "3", "--mode", "lexical"),
    ("similar", "EVENT"),
    ("precedents", "motor overload pump tripped", "--full"),
    ("histogram", "--by", "asset"),
    ("histogram", "--by", "\x1b[31m"),
    ("diff", "--before", "2001-01-01..2022-01-01", "--after", "2022-01-01..2030-01-01"),
    ("deadletters", "show", "0"),
    ("deadletters", "export"),
    ("shards",),
    ("index", "hostile \x1b[2J\u202e.jsonl", "missing \x1b[2J"),
    ("search", "x", "--config", "settings/escapes.toml"),
    ("search", "x", "--where", "\x1b[31m=\x1b[2J"),
)
#: The first ones of them are tried on a terminal, too; what they print with is what all have.
ON_TERMINAL = 5


def on_terminal(world: World, arguments: tuple[str, ...]) -> str:
    """What a command writes to a terminal, by both streams."""
    ours, theirs = pty.openpty()
    home = str(world.folder.with_name("home"))
    given = {**environment(home), "TERM": "xterm-256color", "COLUMNS": "100"}
    process = started(world, *arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=given)
    os.close(theirs)
    found, ends_at = b"", time.monotonic() + (8 if arguments[0] == "tail" else 60)
    while time.monotonic() < ends_at:
        if not select.select([ours], [], [], 0.2)[0]:
            continue
        try:
            found += os.read(ours, 65_536)
        except OSError:  # So Linux says that the other side is closed.
            break
    process.terminate()
    process.wait(20)
    os.close(ours)
    return found.decode()


@pytest.fixture
def worker(world: World) -> Iterator[Worker]:
    found = Worker(world.folder, environment(str(world.folder.with_name("home"))))
    yield found
    found.close()


def written(world: World, worker: Worker, arguments: tuple[str, ...]) -> str:
    """What a command writes to a file, by both streams."""
    serves = arguments[0] == "tail"
    ended = worker.run(
        arguments, serves=serves, timeout_s=3 if serves else 60, folder=str(world.folder)
    )
    assert not ended.fault, ended.fault
    return ended.stdout.decode()


def events_of_strangers(world: World, worker: Worker) -> list[str]:
    ask = ("search", "motor overload pump", "--data", "data", "-o", "json", "-n", "50")
    return [
        each["event_id"]
        for line in written(world, worker, ask).splitlines()
        for each in json.loads(line)["occurrences"]
        if "evil" in each["text"]
    ]


def test_no_text_of_strangers_steers_a_terminal(world: World, worker: Worker) -> None:
    event = events_of_strangers(world, worker)[0]
    shown = 0
    for line in SHOWING[:ON_TERMINAL]:
        arguments = tuple(event if each == "EVENT" else each for each in line)
        text = on_terminal(world, (*arguments, "--data", "data"))
        shown += "\\x1b[31mred" in text
        left = RIGHTFUL.sub("", text)
        found = re.search(STEERING, left)
        assert found is None, (line, left[max(0, found.start() - 80) : found.end() + 20])
    # The strangers' letters were there, spelled out; otherwise nothing was tried.
    assert shown >= 3


def test_no_text_of_strangers_gets_into_a_file_as_it_is_or_breaks_json(
    world: World, worker: Worker
) -> None:
    for event in events_of_strangers(world, worker):
        for line in SHOWING:
            given = (*(event if each == "EVENT" else each for each in line), "--data", "data")
            assert not re.search(STEERING, written(world, worker, given)), line
            if line[0] in ("index", "tail") or line[1:2] == ("export",):
                continue
            for each in written(world, worker, (*given, "-o", "json")).splitlines():
                assert not re.search(STEERING, each), line
                json.loads(each)


def test_folders_that_are_no_index_are_named(world: World) -> None:
    for place in ("odd/empty", "odd/loop", "x" * 300, "services.log"):
        code, _, err = ran(world, "status", "--data", place)
        assert code in (2, 3)
        assert place[:40] in err
        assert Path(place).name[:40] in err
