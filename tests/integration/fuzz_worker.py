"""Runs commands in one process, case by case, and says how each ended: for thousands of cases.

The process reads a case (a JSON object) a line and answers with one. Standard input, output and
error of a case are real files. `Worker` is the other end: it ends a case that takes too long, and
starts another process in place of one that died.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

#: A command that serves until it is told to stop has this long to do so.
STOP_TIME_S = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `fault` is a traceback, or what became of its process."""

    code: int | None
    stdout: bytes
    stderr: bytes
    fault: str
    seconds: float


class Worker:
    """A process that runs commands, and the next one if it dies."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def run(
        self,
        arguments: Sequence[str],
        *,
        serves: bool = False,
        timeout_s: float = 60.0,
        **case: object,
    ) -> Ended:
        """Runs a command; one that `serves` is told to stop at the end of the time."""
        process = self._running()
        assert process.stdin is not None
        line = json.dumps({"arguments": list(arguments), **case})
        started = time.monotonic()
        process.stdin.write(line.encode("ascii") + b"\n")
        process.stdin.flush()
        answer = self._answer(timeout_s)
        if answer is None and serves:
            process.send_signal(signal.SIGTERM)
            answer = self._answer(STOP_TIME_S)
            if answer is None and self._is_terminated():
                return Ended(-signal.SIGTERM, b"", self._left(), "", time.monotonic() - started)
        seconds = time.monotonic() - started
        if answer is None:
            return Ended(None, b"", b"", self._lost(), seconds)
        texts = (answer[key].encode("latin-1") for key in ("stdout", "stderr"))
        return Ended(answer["code"], *texts, answer["fault"], seconds)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self.starts += 1
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(self._dump)],
                    cwd=self._folder.parent,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=self._environment,
                )
        return self._process

    @property
    def _dump(self) -> Path:
        return self._folder.with_name("worker-stacks")

    @property
    def _errors(self) -> Path:
        return self._folder.with_name("worker-errors")

    def _answer(self, timeout_s: float) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            return None
        line = self._process.stdout.readline()
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found

    def _is_terminated(self) -> bool:
        assert self._process is not None
        try:
            return self._process.wait(2) == -signal.SIGTERM
        except subprocess.TimeoutExpired:
            return False

    def _left(self) -> bytes:
        return self._errors.read_bytes()

    def _lost(self) -> str:
        """What became of a process that does not answer; it is ended."""
        assert self._process is not None
        try:
            code: int | None = self._process.wait(2)
        except subprocess.TimeoutExpired:
            code = None
        if code is None:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(1)
            fault = f"it hangs:\n{self._dump.read_text()}"
        else:
            fault = f"the process ended with {code}: {self._left().decode(errors='replace')}"
        self.close()
        return fault


def main() -> None:
    """Answers cases until standard input ends."""
    stacks = open(sys.argv[1], "w")  # noqa: SIM115 - as long as the process
    faulthandler.register(signal.SIGUSR1, stacks)
    cases, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    first_error = os.dup(2)
    _keep_encoder()
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        for line in cases:
            answer = _run(json.loads(line), given, out, err)
            # Until the next case, what the interpreter itself says goes to the parent.
            os.dup2(first_error, 2)
            answers.write(json.dumps(answer).encode("ascii") + b"\n")
            answers.flush()


def _keep_encoder() -> None:
    """Loads the model once: loading it costs more than everything else in a case."""
    from dejalog.daemon import engine
    from dejalog.indexer.encode import Encoder

    load, kept = Encoder.load, dict[str, Encoder]()

    def load_once(*arguments: Any, **named: Any) -> Encoder:
        key = repr((arguments, sorted(named.items())))
        if key not in kept:
            kept[key] = load(*arguments, **named)
        return kept[key]

    engine.Encoder.load = load_once  # type: ignore[attr-defined,method-assign,assignment]


def _run(
    case: dict[str, Any], given: IO[bytes], out: IO[bytes], err: IO[bytes]
) -> dict[str, object]:
    from dejalog.daemon import cli

    for file in (given, out, err):
        file.seek(0)
        file.truncate()
    given.write(case.get("stdin", "").encode("latin-1"))
    given.seek(0)
    for number, file in enumerate((given, out, err)):
        os.dup2(file.fileno(), number)
    encoding = case.get("encoding", "utf-8")
    before = (os.getcwd(), dict(os.environ))
    os.chdir(case["folder"])
    os.environ.update(case.get("environment", {}))
    streams = (sys.stdin, sys.stdout, sys.stderr)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(_raw(0, "r")), encoding, "strict")
    sys.stdout = _text(1, encoding, "strict")
    sys.stderr = _text(2, encoding, "backslashreplace")
    code, fault = None, ""
    try:
        code = cli.main(case["arguments"])
    except SystemExit as error:
        code = error.code
    except BaseException:
        fault = traceback.format_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        fault += traceback.format_exc()
    sys.stdin, sys.stdout, sys.stderr = streams
    os.chdir(before[0])
    os.environ.clear()
    os.environ.update(before[1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return {"code": code, "fault": fault, "stdout": _content(out), "stderr": _content(err)}


def _raw(number: int, mode: str) -> io.FileIO:
    return io.FileIO(number, mode, closefd=False)


def _text(number: int, encoding: str, errors: str) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(_raw(number, "w"))
    return io.TextIOWrapper(buffer, encoding, errors, line_buffering=number == 2)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("latin-1")


if __name__ == "__main__":
    main()
