"""The file of credentials: tokens as hashes, certificates by name, roles and limits.

It is read again when it changes, so that a token can be given or taken without a restart. A file
that cannot be used then leaves the one before it in force, and says so: a slip of the editor must
not lock out a plant. At the start it is an error.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from dejalog.daemon.auth import NAME_CHARS_MAX, Credentials, Entry, Identity, Role
from dejalog.daemon.limits import NO_LIMITS, Limits
from dejalog.indexer.errors import ConfigError

#: Every token is compared with at each call: about 0.3 us each.
ENTRIES_MAX = 1000
#: Some hundred bytes for each entry.
FILE_BYTES_MAX = 1 << 20
#: How often the file's time and size are looked at, at most.
LOOK_INTERVAL_S = 1.0

#: Time of change (which a chmod counts as, too), size, inode.
_Stamp = tuple[int, int, int]


class CredentialsFile:
    """The credentials of a file, kept up to date; used from one thread.

    `on_change` is told in a sentence what became of a changed file.
    """

    def __init__(self, path: Path, on_change: Callable[[str], None]) -> None:
        """Reads the file; raises ConfigError where it cannot be used."""
        self._path = path
        self._on_change = on_change
        self._stamp: _Stamp | None = _stamp(path)
        self._looked_at = float("-inf")
        self._credentials = read_credentials(path)

    def current(self, now: float) -> Credentials:
        """Returns the credentials that are in force at a monotonic time."""
        if now - self._looked_at >= LOOK_INTERVAL_S:
            self._looked_at = now
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._read_again()
        return self._credentials

    def _read_again(self) -> None:
        try:
            self._credentials = read_credentials(self._path)
        except ConfigError as error:
            self._on_change(f"the changed file is not used, the one before it stays: {error}")
            return
        found = self._credentials
        counts = f"{len(found.tokens)} tokens and {len(found.certificates)} certificates"
        self._on_change(f"{self._path} was read again: {counts}")


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ctime_ns, found.st_size, found.st_ino


def read_credentials(path: Path) -> Credentials:
    """Returns what the file says; raises ConfigError, also where others may write to it."""
    origin = str(path)
    try:
        with path.open("rb") as file:
            _check_owner(origin, os.fstat(file.fileno()))
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(origin, "file", f"cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(origin, "file", f"is larger than {FILE_BYTES_MAX >> 20} MiB")
    try:
        return parse_credentials(content.decode(), origin)
    except UnicodeDecodeError as error:
        raise ConfigError(origin, "file", "is not UTF-8") from error


def is_readable_by_others(path: Path) -> bool:
    """Whether people beside its owner can read the names, roles and hashes."""
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _check_owner(origin: str, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        reason = f"belongs to user {found.st_uid}, who could let anybody in; chown it to this one"
        raise ConfigError(origin, "file", reason)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(origin, "file", "can be written by others; run: chmod 600 " + origin)


class _LimitTable(msgspec.Struct, forbid_unknown_fields=True):
    calls_per_s: float = 0.0
    concurrent_calls: int = 0
    hits_max: int = 0
    timeout_s: float = 0.0

    def limits(self) -> Limits:
        return Limits(self.calls_per_s, self.concurrent_calls, self.hits_max, self.timeout_s)


class _EntryTable(_LimitTable, forbid_unknown_fields=True, kw_only=True):
    name: str
    roles: list[Role]
    expires: datetime | None = None


class _TokenTable(_EntryTable, forbid_unknown_fields=True, kw_only=True):
    sha256: str


class _CertificateTable(_EntryTable, forbid_unknown_fields=True, kw_only=True):
    subject: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    token: list[_TokenTable] = []
    certificate: list[_CertificateTable] = []
    limits: dict[Role, _LimitTable] = {}


def parse_credentials(text: str, origin: str) -> Credentials:
    """Returns what a file of credentials says; raises ConfigError, which never shows a secret."""
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(origin, "file", f"is no file of credentials: {error}") from error
    tables: list[_TokenTable | _CertificateTable] = [*file.token, *file.certificate]
    if len(tables) > ENTRIES_MAX:
        raise ConfigError(origin, "file", f"{len(tables)} entries, at most {ENTRIES_MAX}")
    defaults = {role: table.limits() for role, table in file.limits.items()}
    for key, limits in [(f"limits.{role}", each) for role, each in defaults.items()]:
        _check_limits(origin, key, limits)
    for table in tables:
        _check_entry(origin, table)
    tokens = tuple(_entry(_hash(origin, each), each, defaults) for each in file.token)
    certificates = tuple(_entry(_subject(origin, e), e, defaults) for e in file.certificate)
    _check_once(origin, "name", [table.name for table in tables])
    _check_once(origin, "sha256", [entry.key for entry in tokens])
    _check_once(origin, "subject", [entry.key for entry in certificates])
    return Credentials(tokens, certificates)


def _entry(key: bytes, table: _EntryTable, defaults: Mapping[Role, Limits]) -> Entry:
    own = table.limits()
    limits = {role: own.over(defaults.get(role, NO_LIMITS)) for role in Role}
    return Entry(key, Identity(table.name, frozenset(table.roles), limits), table.expires)


def _check_entry(origin: str, table: _EntryTable) -> None:
    if not 0 < len(table.name) <= NAME_CHARS_MAX or not table.name.isprintable():
        reason = f"a name must have 1 to {NAME_CHARS_MAX} printable characters"
        raise ConfigError(origin, "name", reason)
    if not table.roles:
        raise ConfigError(origin, table.name, "roles is empty; give read, write or admin")
    if table.expires is not None and table.expires.tzinfo is None:
        reason = "expires has no zone; write it like 2027-01-31T00:00:00Z"
        raise ConfigError(origin, table.name, reason)
    _check_limits(origin, table.name, table.limits())


def _check_limits(origin: str, key: str, limits: Limits) -> None:
    values = (limits.calls_per_s, limits.concurrent_calls, limits.hits_max, limits.timeout_s)
    if not all(0 <= value < float("inf") for value in values):
        raise ConfigError(origin, key, "a limit must be 0 (none) or more")


def _hash(origin: str, table: _TokenTable) -> bytes:
    try:
        key = bytes.fromhex(table.sha256)
    except ValueError:
        key = b""
    if len(key) != hashlib.sha256().digest_size:
        reason = "sha256 is not 64 hexadecimal digits; 'dejalog token new' prints the whole entry"
        raise ConfigError(origin, table.name, reason)
    return key


def _subject(origin: str, table: _CertificateTable) -> bytes:
    if not table.subject:
        raise ConfigError(origin, table.name, "subject is empty; give the certificate's name")
    return table.subject.encode()


def _check_once(origin: str, key: str, values: Sequence[str | bytes]) -> None:
    value, count = Counter(values).most_common(1)[0] if values else ("", 0)
    if count > 1:
        shown = repr(value) if key == "name" else "one"
        raise ConfigError(origin, key, f"{shown} occurs twice")
