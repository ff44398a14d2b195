"""Who may call what: roles, methods, and the credentials that give roles.

A credential is a bearer token (metadata `authorization: Bearer <token>`) or a client certificate.
The file of credentials holds SHA-256 hashes only. Tokens are 256 random bits, so that a plain hash
is enough: nobody can try them out. Every refusal has the same text, whatever was wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import grpc

from dejalog.daemon.limits import NO_LIMITS, Limits
from dejalog.daemon.rpc_errors import ServiceError

#: Lets people, and programs that look for leaked secrets, see what it is.
TOKEN_PREFIX = "dj_"
TOKEN_BYTES = 32
#: Longer ones are not even hashed.
TOKEN_CHARS_MAX = 256
NAME_CHARS_MAX = 64


class Role(StrEnum):
    """What a credential is for. Admin includes the other two; these two do not include another."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


ALL_ROLES = frozenset(Role)

_SEARCH = "/dejalog.v1.SearchService/"
_ADMIN = "/dejalog.v1.AdminService/"
_HEALTH = "/grpc.health.v1.Health/"

#: The role that each method needs, None for those that are open to all: load balancers and
#: supervisors ask for health. A method that is not listed needs admin.
METHOD_ROLES: Mapping[str, Role | None] = {
    _SEARCH + "Search": Role.READ,
    _SEARCH + "Similar": Role.READ,
    _SEARCH + "Precedents": Role.READ,
    _SEARCH + "Patterns": Role.READ,
    _SEARCH + "Diff": Role.READ,
    _SEARCH + "Histogram": Role.READ,
    _SEARCH + "Context": Role.READ,
    _SEARCH + "Follow": Role.READ,
    "/dejalog.v1.IngestService/Append": Role.WRITE,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": Role.WRITE,
    # Numbers only, which whoever searches can mostly count.
    _ADMIN + "Status": Role.READ,
    _ADMIN + "RetryDeadLetters": Role.ADMIN,
    _HEALTH + "Check": None,
    _HEALTH + "Watch": None,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.READ,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose call it is; `limits` has those of each role."""

    name: str
    roles: frozenset[Role]
    limits: Mapping[Role, Limits]

    def limits_of(self, role: Role) -> Limits:
        """Returns what holds for calls that need this role."""
        return self.limits.get(role, NO_LIMITS)


#: Whoever calls where no credentials are asked for.
ANYONE = Identity("anyone", ALL_ROLES, {})


@dataclass(frozen=True, slots=True)
class Entry:
    """A credential; `key` is a token's hash or a certificate's name."""

    key: bytes
    identity: Identity
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everyone who is let in."""

    tokens: tuple[Entry, ...] = ()
    certificates: tuple[Entry, ...] = ()

    def of_token(self, token: str, now: datetime) -> Identity | None:
        """Returns whose token it is, or None; takes the same time whether or not it is known."""
        if not 0 < len(token) <= TOKEN_CHARS_MAX:
            return None
        key = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = None
        for entry in self.tokens:
            if hmac.compare_digest(entry.key, key):
                found = entry
        return _current(found, now)

    def of_certificate(self, names: Iterable[bytes], now: datetime) -> Identity | None:
        """Returns whose certificate has one of the names, or None."""
        known = {entry.key: entry for entry in self.certificates}
        found = next((known[name] for name in names if name in known), None)
        return _current(found, now)


def _current(entry: Entry | None, now: datetime) -> Identity | None:
    if entry is None or (entry.expires is not None and entry.expires <= now):
        return None
    return entry.identity


def needed_role(method: str) -> Role | None:
    """Returns the role that a method (`/package.Service/Method`) needs; None: open to all."""
    return METHOD_ROLES.get(method, Role.ADMIN)


def identify(
    credentials: Credentials,
    metadata: Sequence[tuple[str, str | bytes]],
    names: Iterable[bytes],
    now: datetime,
) -> Identity:
    """Returns whose call it is; raises ServiceError (UNAUTHENTICATED) where nobody's is known.

    A token counts before the certificate whose `names` are given: a wrong one is refused.
    """
    given = [value for key, value in metadata if key == "authorization"]
    if not given:
        identity = credentials.of_certificate(names, now)
    else:
        token = bearer_token(given[0]) if len(given) == 1 else None
        identity = None if token is None else credentials.of_token(token, now)
    if identity is None:
        raise ServiceError(grpc.StatusCode.UNAUTHENTICATED, "BAD_CREDENTIALS", _REFUSAL)
    return identity


_REFUSAL = (
    "this daemon asks for a valid credential: a token (--token-file or DEJALOG_TOKEN at the command"
    " line, otherwise the metadata 'authorization: Bearer TOKEN'), or a client certificate that it"
    " knows"
)


def bearer_token(value: str | bytes) -> str | None:
    """Returns the token of an authorization header, None where it is malformed.

    The scheme's case does not matter (RFC 9110 section 11.1), the token's does.
    """
    if not isinstance(value, str):
        return None
    scheme, space, token = value.partition(" ")
    is_one = space and scheme.lower() == "bearer" and token and not any(map(str.isspace, token))
    return token if is_one else None


def check_role(identity: Identity, role: Role) -> None:
    """Raises ServiceError (PERMISSION_DENIED) unless the identity has the role."""
    if role in identity.roles or Role.ADMIN in identity.roles:
        return
    has = ", ".join(sorted(identity.roles))
    message = f"{identity.name} has the role {has}; this call needs {role}"
    raise ServiceError(grpc.StatusCode.PERMISSION_DENIED, "MISSING_ROLE", message)


def certificate_names(auth_context: Mapping[str, Iterable[bytes]]) -> list[bytes]:
    """Returns the names of a client's certificate: the alternative ones, and the subject's common
    name only where there are none (RFC 9525 section 2).
    """
    alternative = list(auth_context.get("x509_subject_alternative_name", ()))
    return alternative or list(auth_context.get("x509_common_name", ()))


def new_token() -> str:
    """Returns a token nobody has."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Returns what the file of credentials holds instead of the token."""
    return hashlib.sha256(token.encode()).hexdigest()
