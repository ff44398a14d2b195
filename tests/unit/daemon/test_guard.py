"""The guard counts calls over all, by role and by client, and writes admin calls down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from dejalog.daemon.audit import AuditError, AuditLog
from dejalog.daemon.auth import ANYONE, Identity, Role, new_token, token_hash
from dejalog.daemon.guard import (
    OPEN_CALLS_MAX,
    REFUSALS_SAVED,
    Call,
    Guard,
    counted,
    open_credentials,
)
from dejalog.daemon.limits import Limits
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.indexer.errors import ConfigError
from dejalog.proto.v1 import admin_pb2, search_pb2

SEARCH = "/dejalog.v1.SearchService/Search"
RETRY = "/dejalog.v1.AdminService/RetryDeadLetters"
HEALTH = "/grpc.health.v1.Health/Watch"
TOKEN = new_token()


class Context:
    """What the guard asks of gRPC's context."""

    def __init__(self, token: str = "") -> None:
        self._metadata = [("authorization", f"Bearer {token}")] if token else []

    def peer(self) -> str:
        return "ipv4:10.0.0.7:5000"

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self._metadata

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}


def call(role: Role | None, identity: Identity = ANYONE, method: str = SEARCH) -> Call:
    return Call(method, "unix:", role, identity)


def on_loop(test: Callable[[Path], Awaitable[None]]) -> Callable[[Path], None]:
    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    run.__name__ = test.__name__
    return run


def lines(log: AuditLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def with_token(folder: Path, audit: AuditLog | None = None) -> Guard:
    path = folder / "t.toml"
    path.write_text(f'[[token]]\nname = "p"\nroles = ["read"]\nsha256 = "{token_hash(TOKEN)}"\n')
    path.chmod(0o600)
    return Guard(9, credentials=open_credentials(str(path), audit), audit=audit)


def test_one_role_never_takes_every_place():
    guard = Guard(8)
    with ExitStack() as running:
        for _ in range(6):
            running.enter_context(guard.admitted(call(Role.WRITE)))
        with pytest.raises(ServiceError, match="6 calls are running, 6 of write") as caught:
            running.enter_context(guard.admitted(call(Role.WRITE)))
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.retry_after_s is not None
        for _ in range(2):
            running.enter_context(guard.admitted(call(Role.READ)))
        with pytest.raises(ServiceError, match="8 calls are running"):
            running.enter_context(guard.admitted(call(Role.ADMIN)))
    with guard.admitted(call(Role.WRITE)):
        pass


def test_one_connection_never_takes_every_place_and_is_forgotten():
    guard = Guard(8, connection_calls_max=2)
    first, second = "ipv4:10.0.0.7:5000", "ipv6:%5B::1%5D:5000"
    with ExitStack() as running:
        for peer in (first, first, second, "unix:", "unix:", "unix:"):
            running.enter_context(guard.admitted(Call(SEARCH, peer, Role.READ, ANYONE)))
        with pytest.raises(ServiceError, match="2 calls are running on this connection"):
            running.enter_context(guard.admitted(Call(SEARCH, first, Role.WRITE, ANYONE)))
    assert not guard._connections
    assert not guard._running.total()


def test_whoever_watches_health_keeps_nobody_out():
    guard = Guard(1)
    with ExitStack() as running:
        for _ in range(OPEN_CALLS_MAX):
            running.enter_context(guard.admitted(call(None, method=HEALTH)))
        with pytest.raises(ServiceError) as caught:
            running.enter_context(guard.admitted(call(None, method=HEALTH)))
        assert caught.value.reason == "OVERLOADED"
        running.enter_context(guard.admitted(call(None, method="/grpc.health.v1.Health/Check")))
        running.enter_context(guard.admitted(call(Role.READ)))


def test_a_clients_own_limits_hold_beside_the_servers():
    limits = Limits(concurrent_calls=1, hits_max=5, timeout_s=2.5)
    identity = Identity("p", frozenset({Role.READ}), {Role.READ: limits})
    guard, reading = Guard(8), call(Role.READ, identity)
    with guard.admitted(reading):
        with pytest.raises(ServiceError, match="which is its limit"), guard.admitted(reading):
            pass
        with guard.admitted(call(Role.READ)):
            pass
    guard.check_request(reading, search_pb2.SearchRequest(limit=5))
    guard.check_request(reading, admin_pb2.StatusRequest())
    with pytest.raises(ServiceError, match="6 is over 5"):
        guard.check_request(reading, search_pb2.SearchRequest(limit=6))
    # Who names no limit gets the default one, and had 50 patterns with a bound of 5.
    with pytest.raises(ServiceError, match="50 is over 5"):
        guard.check_request(reading, search_pb2.PatternsRequest())
    guard.check_request(reading, search_pb2.PrecedentsRequest())
    assert guard.timeout_s(reading) == 2.5
    assert guard.timeout_s(call(Role.READ)) is None
    assert guard.timeout_s(call(None)) is None


@on_loop
async def test_without_credentials_anyone_may_do_everything(tmp_path: Path) -> None:
    identified = await Guard(9).identify(RETRY, Context())
    assert (identified.identity, identified.role) == (ANYONE, Role.ADMIN)


@on_loop
async def test_a_token_opens_what_its_role_opens(tmp_path: Path) -> None:
    guard = with_token(tmp_path)
    assert (await guard.identify(SEARCH, Context(TOKEN))).identity.name == "p"
    with pytest.raises(ServiceError) as caught:
        await guard.identify(SEARCH, Context())
    assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(ServiceError) as caught:
        await guard.identify(RETRY, Context(TOKEN))
    assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
    await guard.identify(HEALTH, Context())


@on_loop
async def test_an_admin_call_is_written_down_before_and_after(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path)
    guard = Guard(9, audit=audit)
    made = await guard.identify(RETRY, Context())
    async with guard.audited(made):
        assert [line["event"] for line in lines(audit)] == ["begin"]
        made.changed = {"events": 3}
    with suppress(ZeroDivisionError):
        async with guard.audited(made):
            made.code = "INTERNAL"
            _ = 1 // 0
    begin, end, _, failed = lines(audit)
    assert (begin["call"], end["call"]) == (1, 1)
    assert (end["code"], end["changed"], failed["code"]) == ("OK", {"events": 3}, "INTERNAL")
    assert (end["who"], end["peer"], end["method"]) == ("anyone", "ipv4:10.0.0.7:5000", RETRY)
    assert end["duration_s"] >= 0
    async with guard.audited(call(Role.READ)):
        pass
    assert len(lines(audit)) == 4


@on_loop
async def test_a_call_that_is_cancelled_is_written_down_all_the_same(tmp_path: Path) -> None:
    audit, started = AuditLog(tmp_path), asyncio.Event()
    guard = Guard(9, audit=audit)

    async def run() -> None:
        made = call(Role.ADMIN, method=RETRY)
        async with guard.audited(made):
            made.code = "CANCELLED"
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [line.get("code") for line in lines(audit)] == [None, "CANCELLED"]


class FullAfter(AuditLog):
    """A disk with room for some lines."""

    def __init__(self, folder: Path, room: int) -> None:
        super().__init__(folder)
        self.room = room

    def write(self, line: Any) -> None:
        self.room -= 1
        if self.room < 0:
            raise AuditError("the disk is full")
        super().write(line)


@on_loop
async def test_a_call_whose_line_cannot_be_written_is_not_made(tmp_path: Path) -> None:
    made = []
    for room in (0, 1):
        guard = Guard(9, audit=FullAfter(tmp_path, room))
        with pytest.raises(ServiceError, match="the disk is full") as caught:
            async with guard.audited(call(Role.ADMIN)):
                made.append(room)
        assert (caught.value.code.name, caught.value.reason) == ("UNAVAILABLE", "CANNOT_AUDIT")
    # Room for the beginning only: the call is made, and its caller told that its end is not known.
    assert made == [1]


@on_loop
async def test_refused_admin_calls_cannot_fill_the_log(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path)
    guard = with_token(tmp_path, audit)
    for _ in range(REFUSALS_SAVED + 20):
        with pytest.raises(ServiceError):
            await guard.identify(RETRY, Context(new_token()))
    written = lines(audit)
    assert len(written) <= REFUSALS_SAVED + 5
    assert {line["code"] for line in written} == {"UNAUTHENTICATED"}
    full = with_token(tmp_path, FullAfter(tmp_path, 0))
    with pytest.raises(ServiceError) as caught:
        await full.identify(RETRY, Context())
    assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_whole_numbers_of_a_response_are_what_it_changed():
    response = admin_pb2.RetryDeadLettersResponse(retried=3, events=2)
    assert counted(response) == {"retried": 3, "events": 2}
    assert counted(admin_pb2.StatusResponse(version="1", ingest_rate=0.5)) == {}
    assert counted(b"raw") == {}


def test_no_file_is_no_credentials_and_a_missing_file_is_an_error(tmp_path):
    assert open_credentials("", None) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        open_credentials(str(tmp_path / "nothing"), None)
