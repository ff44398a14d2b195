from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dejalog.daemon.auth import Role
from dejalog.daemon.cli import main
from dejalog.daemon.credentials import parse_credentials


def new(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[str, str]:
    """Returns the entry and the token of a new credential."""
    assert main(["token", "new", *flags]) == 0
    said = capsys.readouterr()
    (token,) = re.findall(r"dj_\S+", said.err)
    return said.out, token


def test_a_new_token_opens_what_its_entry_says(capsys) -> None:
    entry, token = new(capsys, "--name", 'panel "7"', "--role", "read", "--role", "write")
    credentials = parse_credentials(entry, "t.toml")
    identity = credentials.of_token(token, datetime.now(UTC))
    assert identity is not None
    assert (identity.name, identity.roles) == ('panel "7"', {Role.READ, Role.WRITE})
    assert token not in entry


def test_entries_are_appended_to_one_file(capsys) -> None:
    text = "".join(new(capsys, "--name", name, "--role", "read")[0] for name in ("a", "b"))
    assert len(parse_credentials(text, "t.toml").tokens) == 2


def test_a_token_expires_when_it_was_told_to(capsys) -> None:
    entry, token = new(capsys, "--name", "a", "--role", "admin", "--expires-days", "30")
    credentials, now = parse_credentials(entry, "t.toml"), datetime.now(UTC)
    assert credentials.of_token(token, now + timedelta(days=29)) is not None
    assert credentials.of_token(token, now + timedelta(days=31)) is None


@pytest.mark.parametrize(
    "flags",
    [
        ["--name", "a"],
        ["--role", "read"],
        ["--name", "a\nb", "--role", "read"],
        ["--name", "x" * 65, "--role", "read"],
        ["--name", "a", "--role", "read", "--expires-days", "0"],
        ["--name", "a", "--role", "read", "--expires-days", "99999999999"],
    ],
)
def test_what_the_daemon_would_refuse_is_not_made(flags, capsys) -> None:
    assert main(["token", "new", *flags]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "dj_" not in said.err


def test_credentials_are_listed_without_their_hashes(tmp_path: Path, capsys) -> None:
    path = tmp_path / "t.toml"
    text, _ = new(capsys, "--name", "panel", "--role", "read", "--expires-days", "5")
    old = '[[certificate]]\nname = "mes"\nroles = ["admin", "write"]\nsubject = "mes.plant"\n'
    path.write_text(text + old + "expires = 2020-01-01T00:00:00Z\n")
    path.chmod(0o600)
    flags = ["--set", f"server.tokens_file={path}"]
    assert main(["token", "list", *flags]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^token +panel +read +until 20", shown, re.MULTILINE)
    assert re.search(r"^certificate +mes +admin, write +expired 2020-01-01", shown, re.MULTILINE)
    assert main(["token", "list", "-o", "json", *flags]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == {
        "kind": "certificate",
        "name": "mes",
        "roles": ["admin", "write"],
        "expires": "2020-01-01T00:00:00.000000000Z",
        "expires_unix_nano": "1577836800000000000",
        "is_expired": True,
    }
    path.write_text("")
    assert main(["token", "list", *flags]) == 1


def test_without_a_file_there_is_nothing_to_list(capsys) -> None:
    assert main(["token", "list"]) == 2
    assert "nobody needs a credential" in capsys.readouterr().err
