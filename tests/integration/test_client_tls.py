"""Both clients over TLS, with a client's certificate and with a token."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dejalog.client import AsyncClient, Client, ClientTls, RemoteError
from dejalog.daemon.auth import new_token, token_hash
from dejalog.daemon.server import Server, ServerSettings
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.status import IndexStatus

STATUS = IndexStatus("/data", "1.2.3", "f00d", 7, 3, 40, 1, 2, 4096, 5, None, 6, 0.5, 0.25)

Ask = Callable[..., IndexStatus]


def blocking(address: str, **own: Any) -> IndexStatus:
    with Client(address, **own) as client:
        return client.status(timeout_s=5)


def awaited(address: str, **own: Any) -> IndexStatus:
    async def run() -> IndexStatus:
        async with AsyncClient(address, **own) as client:
            return await client.status(timeout_s=5)

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("ask", [blocking, awaited])


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and what it signed for the server and for a client, made with openssl."""
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca")
    for name in ("localhost", "client"):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", *new, "-keyout", f"{name}.key", "-out", "csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", "csr", *signing, "-extfile", "ext", "-out", f"{name}.pem")
    return folder


@contextmanager
def serving(**settings: Any) -> Iterator[str]:
    """Serves on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop")
    thread.start()

    def call(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    async def start() -> Server:
        server = Server(
            ServerSettings("127.0.0.1:0", "", **settings),
            answers=None,
            push_source=None,
            status=lambda: STATUS,
            on_fault=lambda _: None,
        )
        await server.start()
        return server

    server = call(start())
    try:
        yield server.address
    finally:
        call(server.stop(1.0))
        call(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def with_tls(pem: Path, **own: Any) -> dict[str, Any]:
    return {"tls_cert": f"{pem}/localhost.pem", "tls_key": f"{pem}/localhost.key", **own}


def trusting(pem: Path, name: str = "") -> ClientTls:
    if not name:
        return ClientTls(f"{pem}/ca.pem", server_name="localhost")
    return ClientTls(f"{pem}/ca.pem", f"{pem}/{name}.pem", f"{pem}/{name}.key", "localhost")


@BOTH
def test_a_server_is_believed_only_with_its_certificate(pem: Path, ask: Ask) -> None:
    with serving(**with_tls(pem)) as address:
        assert ask(address, tls=trusting(pem)) == STATUS
        for other in (None, ClientTls(f"{pem}/client.pem", server_name="localhost")):
            with pytest.raises(RemoteError):
                ask(address, tls=other, retries=0)


@BOTH
def test_a_client_shows_its_certificate_where_one_is_wanted(pem: Path, ask: Ask) -> None:
    with serving(**with_tls(pem, tls_client_ca=f"{pem}/ca.pem")) as address:
        assert ask(address, tls=trusting(pem, "client")) == STATUS
        with pytest.raises(RemoteError):
            ask(address, tls=trusting(pem), retries=0)


@BOTH
@pytest.mark.parametrize("is_encrypted", [True, False])
def test_a_token_opens_what_nothing_else_does(
    pem: Path, tmp_path: Path, ask: Ask, is_encrypted: bool
) -> None:
    token = new_token()
    file = tmp_path / "tokens.toml"
    file.touch(0o600)
    file.write_text(
        f'[[token]]\nname = "panel-7"\nroles = ["read"]\nsha256 = "{token_hash(token)}"\n'
    )
    encryption = with_tls(pem) if is_encrypted else {}
    tls = trusting(pem) if is_encrypted else None
    with serving(tokens_file=str(file), **encryption) as address:
        assert ask(address, tls=tls, token=token) == STATUS
        for wrong in ("", "dj_wrong"):
            with pytest.raises(RemoteError) as caught:
                ask(address, tls=tls, token=wrong)
            assert (caught.value.code, caught.value.reason) == (
                "UNAUTHENTICATED",
                "BAD_CREDENTIALS",
            )
            assert token not in str(caught.value)


@BOTH
def test_a_token_never_leaves_for_another_machine_in_the_clear(ask: Ask) -> None:
    with pytest.raises(ConfigError, match="in the clear"):
        ask("192.0.2.1:7040", token="dj_secret")
