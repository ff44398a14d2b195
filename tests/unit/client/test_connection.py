"""A token stays on this machine or travels encrypted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dejalog.client.connection import ClientTls, Connection, is_local
from dejalog.indexer.errors import ConfigError


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:7040", "127.8.9.1:1", "[::1]:7040", "localhost:7040", "unix:/run/dejalog.sock"],
)
def test_nothing_leaves_the_machine_on_the_way_to_itself(address: str) -> None:
    assert is_local(address)
    connection = Connection(address, token="dj_x")
    assert connection.metadata() == (("authorization", "Bearer dj_x"),)
    assert ("grpc.enable_http_proxy", 0) in connection.options()


@pytest.mark.parametrize(
    "address",
    ["gateway:7040", "10.0.0.7:443", "[2001:db8::1]:7040", "localhost.example.org:1", "0.0.0.0:1"],
)
def test_a_token_goes_to_another_machine_over_tls_only(address: str) -> None:
    assert not is_local(address)
    with pytest.raises(ConfigError, match="in the clear") as caught:
        Connection(address, token="dj_x")
    assert "dj_x" not in str(caught.value)
    assert Connection(address, ClientTls("ca.pem"), "dj_x").metadata()
    assert Connection(address).metadata() == ()


@pytest.mark.parametrize("token", ["two words", "l\u00f3d\u017a", "a\nb", "\x7f"])
def test_a_token_that_no_header_can_hold_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ConfigError, match="printable ASCII") as caught:
        Connection(token=token)
    assert token not in str(caught.value)


def test_the_name_in_the_certificate_may_be_another_one() -> None:
    options = dict(Connection("gw:1", ClientTls("ca.pem", server_name="plant")).options())
    assert options["grpc.ssl_target_name_override"] == "plant"


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, key: str) -> None:
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    for name, path in files.items():
        if name != key:
            Path(path).write_bytes(b"pem")
    with pytest.raises(ConfigError, match=rf"{key}: cannot read .*{key}\.pem"):
        ClientTls(**files).credentials()


def test_files_that_grpc_could_do_nothing_with_are_named_before_any_call(tmp_path: Path) -> None:
    """They were told as "no daemon answers; start it with 'dejalog run'"."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    new = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=x")
    for name, lock in (("own", ("-nodes",)), ("other", ("-passout", "pass:x"))):
        openssl("req", *new, *lock, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    ca, key, locked = (str(tmp_path / name) for name in ("own.pem", "own.key", "other.key"))
    ClientTls(ca).credentials()
    ClientTls(ca, ca, key).credentials()
    for tls, named in (
        (ClientTls(key), "ca: .*no certificates"),
        (ClientTls(ca, ca), "cert: .*together"),
        (ClientTls(ca, "", key), "cert: .*together"),
        (ClientTls(ca, ca, ca), "cert: .*not a pair"),
        (ClientTls(ca, str(tmp_path / "other.pem"), locked), "cert: .*passphrase"),
    ):
        with pytest.raises(ConfigError, match=named):
            tls.credentials()
