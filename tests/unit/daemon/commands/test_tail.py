from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dejalog.client import FollowUpdate
from dejalog.daemon.cli import main

#: A shell's background jobs ignore SIGINT, and so would their children.
MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from dejalog.daemon.cli import main
sys.exit(main())
"""


@contextmanager
def tailing(maker, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """`dejalog tail` as a process whose output is a pipe."""
    command = [sys.executable, "-c", MAIN, "tail", "--data", str(maker.path), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def maker(make_index):
    made = make_index()
    labels = [(("line", str(n % 2)),) for n in range(6)]
    made.add(
        *(made.event(f"pump {chr(65 + n)} dry", labels=labels[n]) for n in range(6)),
        is_indexed=False,
    )
    return made


def test_the_last_matches_come_first_then_each_new_one_at_once(maker) -> None:
    with tailing(maker, '"pump"', "--where", "line=1", "-n", "2", "--timezone", "UTC") as process:
        lines = [process.stdout.readline() for _ in range(2)]
        assert [line.rstrip().rpartition("  ")[2] for line in lines] == ["pump D dry", "pump F dry"]
        assert lines[0].startswith("1970-01-01 00:00:04.000 +00:00  1.00 =====  new  file  ")
        new = maker.event("pump \x1b[31mG", labels=(("line", "1"),))
        maker.add("fan", new, is_indexed=False)
        assert process.stdout.readline().endswith("pump \\x1b[31mG\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_json_lines_and_an_end_by_sigterm_without_a_match(maker) -> None:
    with tailing(maker, '"pump"', "-o", "json", "--since", "1970-01-01 00:00:05 UTC") as process:
        found = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [each["event"]["text"] for each in found] == ["pump E dry", "pump F dry"]
        assert found[0]["is_new_pattern"] is True
        process.terminate()
        assert process.wait(30) == 0


def test_without_any_match_it_ends_with_1(maker, monkeypatch, capsys) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dejalog.daemon.watching.time.sleep", interrupted)
    maker.directory.close()  # LMDB lets a process open it once.
    assert main(["tail", '"valve"', "--data", str(maker.path)]) == 1
    assert capsys.readouterr().out == ""
    assert main(["tail", '"pump"', "-n", "0", "--data", str(maker.path)]) == 1
    assert main(["tail", '"pump"', "--data", str(maker.path)]) == 0
    assert capsys.readouterr().out.count("\n") == 6


def test_events_that_were_lost_make_it_partial(maker, monkeypatch, capsys) -> None:
    def updates(self, after: int, until: int | None = None):
        if until is None:
            yield FollowUpdate((), 9, is_partial=True)
            raise KeyboardInterrupt

    monkeypatch.setattr("dejalog.daemon.watching.LocalWatch.updates", updates)
    maker.directory.close()
    assert main(["tail", '"pump"', "--data", str(maker.path)]) == 4
    assert "some events were deleted or dropped" in capsys.readouterr().err


def test_a_known_pattern_is_not_new(maker) -> None:
    with tailing(maker, "--new", "-n", "1") as process:
        assert "pump F dry" in process.stdout.readline()
        maker.add("pump A dry", "valve stuck", "valve stuck", "fan off", is_indexed=False)
        lines = [process.stdout.readline() for _ in range(2)]
    assert [line.rstrip().rpartition("  ")[2] for line in lines] == ["valve stuck", "fan off"]
    assert all("  new  " in line for line in lines)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["x", "--until", "now"], "goes on until Ctrl-C"),
        (["x", "--where", "nonsense"], "cannot read the filter"),
    ],
)
def test_a_wrong_call_is_refused(maker, capsys, flags, message) -> None:
    assert main(["tail", "--data", str(maker.path), *flags]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["-n", "x"], ["-n", "10001"], ["--score-min", "2"]])
def test_a_number_out_of_range_is_refused(maker, capsys, flags) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tail", "x", *flags])
    assert caught.value.code == 2


def test_without_an_index_it_says_what_to_do(tmp_path, capsys) -> None:
    assert main(["tail", "x", "--data", str(tmp_path / "none")]) == 3
    assert "make one with 'dejalog index'" in capsys.readouterr().err
