"""The file of credentials: what it may say, and that a slip of the editor locks nobody out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dejalog.daemon.auth import Role, new_token, token_hash
from dejalog.daemon.credentials import (
    LOOK_INTERVAL_S,
    CredentialsFile,
    is_readable_by_others,
    parse_credentials,
    read_credentials,
)
from dejalog.daemon.limits import Limits
from dejalog.indexer.errors import ConfigError

HASH = "ab" * 32
TOKEN = f'[[token]]\nname = "a"\nroles = ["read"]\nsha256 = "{HASH}"\n'
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_an_entry_has_its_roles_expiry_and_limits():
    text = TOKEN + "expires = 2027-01-01T00:00:00Z\nhits_max = 20\n"
    text += '[[certificate]]\nname = "b"\nroles = ["write", "read"]\nsubject = "b.plant"\n'
    text += "[limits.read]\nhits_max = 100\ncalls_per_s = 2.5\n[limits.write]\ntimeout_s = 9\n"
    found = parse_credentials(text, "t.toml")
    (token,), (certificate,) = found.tokens, found.certificates
    assert token.key == bytes.fromhex(HASH)
    assert token.expires == datetime(2027, 1, 1, tzinfo=UTC)
    assert token.identity.limits_of(Role.READ) == Limits(calls_per_s=2.5, hits_max=20)
    assert certificate.key == b"b.plant"
    assert certificate.identity.roles == {Role.READ, Role.WRITE}
    assert certificate.identity.limits_of(Role.WRITE) == Limits(timeout_s=9)
    assert parse_credentials("", "t.toml").tokens == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOKEN + TOKEN, "'a' occurs twice"),
        (TOKEN + TOKEN.replace('"a"', '"b"'), "sha256: one occurs twice"),
        (TOKEN.replace("read", "reed"), "reed"),
        (TOKEN.replace('["read"]', "[]"), "roles is empty"),
        (TOKEN.replace('"a"', '""'), "1 to 64 printable"),
        (TOKEN.replace('"a"', '"a\\nb"'), "1 to 64 printable"),
        (TOKEN + "rights = 1\n", "rights"),
        (TOKEN + "expires = 2027-01-01T00:00:00\n", "no zone"),
        (TOKEN + "calls_per_s = -1\n", "0 .none. or more"),
        (TOKEN + "timeout_s = nan\n", "0 .none. or more"),
        ("[limits.reed]\n", "reed"),
        ("[limits.read]\nhits_max = -1\n", "limits.read"),
        ("[[token]\n", "no file of credentials"),
        ('[[certificate]]\nname = "b"\nroles = ["read"]\nsubject = ""\n', "subject is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_credentials(text, "t.toml")


def test_too_many_entries_are_refused():
    entry = '[[token]]\nname = "{0}"\nroles = ["read"]\nsha256 = "{0:064x}"\n'
    most = "".join(entry.format(number) for number in range(1000))
    assert len(parse_credentials(most, "t.toml").tokens) == 1000
    with pytest.raises(ConfigError, match="1001 entries"):
        parse_credentials(most + entry.format(1000), "t.toml")


def test_a_token_in_place_of_its_hash_is_not_shown():
    token = new_token()
    with pytest.raises(ConfigError, match="64 hexadecimal") as caught:
        parse_credentials(TOKEN.replace(HASH, token), "t.toml")
    assert token not in str(caught.value)


def test_a_file_that_others_may_write_to_is_refused(tmp_path):
    path = write(tmp_path / "t.toml", TOKEN)
    assert not is_readable_by_others(path)
    path.chmod(0o644)
    assert is_readable_by_others(path)
    assert len(read_credentials(path).tokens) == 1
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        with pytest.raises(ConfigError, match="can be written by others"):
            read_credentials(path)


@pytest.mark.parametrize("content", [b"\xff", b"#" * (1 << 20) + b"\n"])
def test_a_file_that_is_no_text_or_endless_is_refused(tmp_path, content):
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"not UTF-8|larger than 1 MiB"):
        read_credentials(path)


def test_a_file_that_is_not_there_is_an_error_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        CredentialsFile(tmp_path / "t.toml", print)


def test_a_changed_file_is_read_again_and_a_bad_one_leaves_the_old_in_force(tmp_path):
    said: list[str] = []
    token = new_token()
    good = TOKEN.replace(HASH, token_hash(token))
    path = write(tmp_path / "t.toml", TOKEN)
    file = CredentialsFile(path, said.append)
    assert file.current(0.0).of_token(token, NOW) is None
    write(path, good)
    # Looked at once a second at most.
    assert file.current(LOOK_INTERVAL_S / 2).of_token(token, NOW) is None
    assert file.current(LOOK_INTERVAL_S).of_token(token, NOW) is not None
    assert "1 tokens and 0 certificates" in said.pop()
    for number, spoil in enumerate(
        (lambda: write(path, "[[token]"), lambda: path.chmod(0o666), path.unlink), start=2
    ):
        spoil()
        assert file.current(number * LOOK_INTERVAL_S).of_token(token, NOW) is not None
    assert len(said) == 3
    assert all("not used" in each for each in said)
    # Each bad file is told of once.
    assert file.current(50.0).of_token(token, NOW) is not None
    assert len(said) == 3
    write(path, "")
    assert file.current(60.0).of_token(token, NOW) is None
