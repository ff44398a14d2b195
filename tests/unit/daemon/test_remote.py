from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from dejalog.client import Client
from dejalog.daemon.remote import add_server_flags, open_client
from dejalog.indexer.errors import ConfigError


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_server_flags(parser)
    return parser.parse_args(arguments)


def test_without_a_server_there_is_no_client() -> None:
    assert open_client(parse()) is None


def test_a_server_is_a_client_that_connects_when_it_is_used() -> None:
    client = open_client(parse("--server", "127.0.0.1:1"))
    assert client is not None
    client.close()


@pytest.mark.parametrize(
    "flags",
    [
        ("--tls-ca", "ca.pem"),
        ("--tls-cert", "cert.pem"),
        ("--server", "127.0.0.1:1", "--tls-key", "key.pem"),
    ],
)
def test_tls_flags_that_would_be_ignored_are_an_error(flags: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="go with --"):
        open_client(parse(*flags))


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "ca.pem")
    with pytest.raises(ConfigError, match=r"cannot read .*ca\.pem"):
        open_client(parse("--server", "127.0.0.1:1", "--tls-ca", missing))


LOCAL = ("--server", "127.0.0.1:1")
TOKEN = "dj_secret"


def sent_by(client: Client | None) -> tuple[tuple[str, str], ...]:
    assert client is not None
    client.close()
    return client._metadata


def test_the_token_comes_from_its_file_or_else_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    environment = {"DEJALOG_TOKEN": "dj_other"}
    from_file = open_client(parse(*LOCAL, "--token-file", str(file)), environment)
    assert sent_by(from_file) == (("authorization", f"Bearer {TOKEN}"),)
    assert sent_by(open_client(parse(*LOCAL), environment)) == (
        ("authorization", "Bearer dj_other"),
    )
    assert sent_by(open_client(parse(*LOCAL), {})) == ()


def test_a_token_is_not_sent_in_the_clear_to_another_machine() -> None:
    with pytest.raises(ConfigError, match="in the clear; use TLS") as caught:
        open_client(parse("--server", "gateway:7040"), {"DEJALOG_TOKEN": TOKEN})
    assert TOKEN not in str(caught.value)


def test_no_flag_takes_the_token_itself() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_server_flags(parser)
    assert "--token" not in parser.format_help().replace("--token-file", "")


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"\xff\xfe", b"x" * 5_000, b"one\ntwo", b"two words"]
)
def test_a_file_that_holds_no_token_is_named_and_its_content_is_not(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="token") as caught:
        open_client(parse(*LOCAL, "--token-file", str(file)), {})
    assert not content.strip() or repr(content)[2:-1] not in str(caught.value)


def test_a_missing_token_file_and_one_without_a_server_are_errors(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="--token-file: cannot read"):
        open_client(parse(*LOCAL, "--token-file", missing), {})
    with pytest.raises(ConfigError, match="go with --server only"):
        open_client(parse("--token-file", missing), {})
