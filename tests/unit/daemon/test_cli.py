from __future__ import annotations

import subprocess
import sys

import pytest

from dejalog.daemon.cli import main
from dejalog.daemon.commands import COMMANDS


@pytest.mark.parametrize("command", [c.NAME for c in COMMANDS])
def test_every_command_explains_itself_with_an_example(command, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "example:" in out
    assert f"dejalog {command}" in out


def test_without_a_command_the_commands_are_listed(capsys) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    assert all(command.NAME in out for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["status", "--data", "/nowhere/at/all"], 3, "there is no index"),
        (["search", "x", "--data", "/nowhere/at/all"], 3, "there is no index"),
        (["status", "--set", "data"], 2, "write SECTION.KEY=VALUE"),
        (["status", "--set", "data.directry=x"], 2, "did you mean directory"),
        (["status", "--config", "/nowhere.toml"], 2, "cannot be read"),
        (["eval", "/nowhere"], 3, "not a task"),
        (["index", "/nowhere/x.log"], 3, "/nowhere/x.log"),
    ],
)
def test_a_known_error_is_one_line_and_a_code(arguments, code, message, capsys) -> None:
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


def test_output_that_cannot_be_written_is_one_line_and_a_code() -> None:
    """It was a traceback with code 1, which says that nothing was found."""
    command = [sys.executable, "-m", "dejalog.daemon", "config", "show"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "No space left on device" in result.stderr


def test_a_fault_of_ours_is_a_failure_and_not_an_empty_answer(monkeypatch, capsys) -> None:
    def trips(_: object) -> int:
        raise AssertionError("this cannot be")

    monkeypatch.setattr("dejalog.daemon.commands.config.run", trips)
    assert main(["config", "show"]) == 3
    assert "AssertionError: this cannot be" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m dejalog.daemon config show | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert result.stdout == "[data]\n"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "pump", "--limt", "3"], "there is no flag '--limt'; see 'dejalog search --he"),
        (["search", "pump", "-heartbeat"], "put quotes around the whole text"),
        (["--limt"], "see 'dejalog --help'"),
    ],
)
def test_an_unknown_flag_is_one_line_that_says_where_to_look(arguments, message, capsys) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert message in captured.err


@pytest.mark.parametrize(
    ("command", "message"), [("serach", "did you mean 'search'?"), ("qqq", "lists all")]
)
def test_a_misspelt_command_is_answered_with_the_nearest_one(command, message, capsys) -> None:
    assert main([command]) == 2
    assert message in capsys.readouterr().err
