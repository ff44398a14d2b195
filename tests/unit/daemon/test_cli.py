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


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m dejalog.daemon config show | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert result.stdout == "[data]\n"
    assert result.stderr == ""
