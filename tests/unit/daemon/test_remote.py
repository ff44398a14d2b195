from __future__ import annotations

import argparse
from pathlib import Path

import pytest

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
