"""What stands before every call: who is it, may they, is there room, and what is written down.

1. `identify` finds out whose call it is and whether they have the role that the method needs.
2. `admitted` counts the call in for as long as it runs: over all clients, of one role, and of this
   client; beyond a bound it is refused with a time to come back.
3. `audited` writes down that an admin call begins before it does anything, and then how it ended.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from dejalog.client.messages.requests import DEFAULT_LIMITS
from dejalog.daemon.audit import AuditError, AuditLog
from dejalog.daemon.auth import (
    ANYONE,
    Identity,
    Role,
    certificate_names,
    check_role,
    identify,
    needed_role,
)
from dejalog.daemon.credentials import CredentialsFile
from dejalog.daemon.limits import Bucket, Quotas, check_hits
from dejalog.daemon.rpc_errors import ServiceError, overloaded

#: What callers of one role may hold of all calls: those of the others always find room.
ROLE_SHARE = 0.75
#: Calls of one connection, where nothing else is said.
CONNECTION_CALLS_MAX = 100
#: Calls of each method that is open to all: whoever watches health must not keep others out.
OPEN_CALLS_MAX = 32
#: Calls end after some time that nobody knows; asking more often is of no use.
FULL_RETRY_S = 0.5
#: Refused admin calls that are written down: a second, and saved up. Whoever has no credential
#: must not be able to push older lines out of the log.
REFUSALS_PER_S = 0.5
REFUSALS_SAVED = 30


@dataclass(slots=True)
class Call:
    """One call under way; `code` and `changed` are what it came to."""

    method: str
    peer: str
    role: Role | None
    identity: Identity
    started: float = field(default_factory=time.monotonic)
    code: str = "OK"
    changed: dict[str, int] = field(default_factory=dict)


class Guard:
    """Guards the calls of one server; used on its event loop.

    Without `credentials` everybody who can connect may do everything. Without `audit` admin calls
    are not written down. `calls_max` calls run at once, `connection_calls_max` of one connection;
    HTTP/2's own bound would have those that a new connection is too quick for fail.
    """

    def __init__(
        self,
        calls_max: int,
        *,
        connection_calls_max: int = CONNECTION_CALLS_MAX,
        credentials: CredentialsFile | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        self._calls_max = calls_max
        self._connection_calls_max = connection_calls_max
        self._credentials = credentials
        self._audit = audit
        self._running: Counter[Role] = Counter()
        self._open: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()
        self._quotas = Quotas()
        self._numbers = count(1)
        self._refusals = Bucket(REFUSALS_PER_S, REFUSALS_SAVED, time.monotonic())
        self._unwritten = 0

    async def identify(self, method: str, context: Any) -> Call:
        """Returns the call, now somebody's; raises ServiceError where it is not allowed."""
        call = Call(method, context.peer(), needed_role(method), ANYONE)
        try:
            self.check(call, context)
        except ServiceError as error:
            if call.role is Role.ADMIN:
                await self._refused(call, error)
            raise
        return call

    def check(self, call: Call, context: Any) -> None:
        """Raises ServiceError where the call is not allowed, or not any more."""
        if call.role is None or self._credentials is None:
            return
        call.identity = identify(
            self._credentials.current(time.monotonic()),
            context.invocation_metadata(),
            certificate_names(context.auth_context()),
            datetime.now(UTC),
        )
        check_role(call.identity, call.role)

    @contextmanager
    def admitted(self, call: Call) -> Iterator[None]:
        """Counts the call in; raises ServiceError (RESOURCE_EXHAUSTED) where there is no room."""
        role = call.role
        if role is None:
            with self._open_to_all(call.method):
                yield
            return
        share_max = max(1, round(self._calls_max * ROLE_SHARE))
        if self._running[role] >= share_max or self._running.total() >= self._calls_max:
            message = f"{self._running.total()} calls are running, {self._running[role]} of {role}"
            raise overloaded(message, FULL_RETRY_S)
        identity = call.identity
        with (
            self._connected(call.peer),
            self._quotas.taken(identity.name, role, identity.limits_of(role), call.started),
        ):
            self._running[role] += 1
            try:
                yield
            finally:
                self._running[role] -= 1

    @contextmanager
    def _connected(self, peer: str) -> Iterator[None]:
        # An address with a port is one connection; a Unix socket's are all called the same.
        if not peer.startswith(("ipv4:", "ipv6:")):
            yield
            return
        if self._connections[peer] >= self._connection_calls_max:
            message = f"{self._connections[peer]} calls are running on this connection"
            raise overloaded(message, FULL_RETRY_S)
        self._connections[peer] += 1
        try:
            yield
        finally:
            self._connections[peer] -= 1
            if not self._connections[peer]:
                del self._connections[peer]

    @contextmanager
    def _open_to_all(self, method: str) -> Iterator[None]:
        if self._open[method] >= OPEN_CALLS_MAX:
            raise overloaded(f"{self._open[method]} such calls are running", FULL_RETRY_S)
        self._open[method] += 1
        try:
            yield
        finally:
            self._open[method] -= 1

    def check_request(self, call: Call, request: object) -> None:
        """Raises ServiceError where the request asks for more than its sender may have."""
        if call.role is None:
            return
        limit = getattr(request, "limit", 0) or DEFAULT_LIMITS.get(type(request), 0)
        check_hits(call.identity.limits_of(call.role), limit)

    def timeout_s(self, call: Call) -> float | None:
        """Returns how long a call with one response may take, None for any time."""
        return None if call.role is None else call.identity.limits_of(call.role).timeout_s or None

    @asynccontextmanager
    async def audited(self, call: Call) -> AsyncIterator[None]:
        """Writes down that an admin call begins and how it ends.

        Raises ServiceError (UNAVAILABLE) where that cannot be written; the call is then not made,
        or, where only its end cannot be written, not answered.
        """
        if call.role is not Role.ADMIN or self._audit is None:
            yield
            return
        number = next(self._numbers)
        await self._write({"event": "begin", "call": number, **_who(call)})
        try:
            yield
        finally:
            ended = {"event": "end", "call": number, **_who(call), "code": call.code}
            took_s = round(time.monotonic() - call.started, 6)
            # A client that hangs up cancels this task, and the line is wanted all the same.
            await asyncio.shield(
                self._write({**ended, "duration_s": took_s, "changed": call.changed})
            )

    async def _refused(self, call: Call, error: ServiceError) -> None:
        if self._audit is None:
            return
        if self._refusals.take(call.started):
            self._unwritten += 1
            return
        line = {"event": "refused", **_who(call), "code": error.code.name}
        # It is refused in any case.
        with suppress(ServiceError):
            await self._write({**line, "not_written_before": self._unwritten})
            self._unwritten = 0

    async def _write(self, line: dict[str, Any]) -> None:
        assert self._audit is not None
        try:
            await asyncio.to_thread(self._audit.write, line)
        except AuditError as error:
            raise ServiceError(grpc.StatusCode.UNAVAILABLE, "CANNOT_AUDIT", str(error)) from error


def _who(call: Call) -> dict[str, Any]:
    who = {"who": call.identity.name, "roles": sorted(call.identity.roles)}
    if call.identity is ANYONE:
        who = {"who": "anyone", "roles": []}
    return {**who, "peer": call.peer, "method": call.method}


def counted(response: object) -> dict[str, int]:
    """Returns the whole numbers of a response that are not 0: what a call changed."""
    if not isinstance(response, Message):
        return {}
    values = {item.name: value for item, value in response.ListFields()}
    return {name: value for name, value in values.items() if type(value) is int}


def open_credentials(tokens_file: str, audit: AuditLog | None) -> CredentialsFile | None:
    """Returns the file's credentials, None without one; what changes is said and written down."""
    if not tokens_file:
        return None

    def told(sentence: str) -> None:
        sys.stderr.write(f"dejalog: credentials: {sentence}\n")
        if audit is not None:
            try:
                audit.write({"event": "credentials", "text": sentence})
            except AuditError as error:
                sys.stderr.write(f"dejalog: {error}\n")

    return CredentialsFile(Path(tokens_file).expanduser(), told)
