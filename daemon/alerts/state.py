"""What alerts know across restarts: one small SQLite file in the data directory.

How far events were looked at, which patterns are quiet, and the alerts that wait to be delivered
change in one transaction. So after kill -9 the same events are looked at again that had no effect
yet, and none that had one. An alert that was delivered is removed afterwards: a crash in between
delivers it once more, under the same id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from dejalog.daemon.alerts.gate import Gate, QuietPattern, Window
from dejalog.daemon.alerts.settings import AlertRule
from dejalog.indexer.errors import StorageError

STATE_NAME: Final = "alerts.sqlite"
_VERSION: Final = 1
#: Readers and the worker wait for each other so long; both are done in milliseconds.
_BUSY_S: Final = 10.0

_SCHEMA = """
create table position (only_one integer primary key check (only_one = 0), event integer not null);
create table rules (
    name text primary key, since integer not null, window_ns integer not null default 0,
    sent integer not null default 0, held_back integer not null default 0,
    alerts integer not null default 0, last_ns integer, lost integer not null default 0);
create table patterns (
    rule text not null, pattern text not null, alerted_ns integer not null,
    repeats integer not null, primary key (rule, pattern)) without rowid;
create table waiting (
    number integer primary key autoincrement, id text not null unique, rule text not null,
    target text not null, body blob not null, created_ns integer not null,
    attempts integer not null default 0, next_ns integer not null default 0,
    reason text not null default '');
create index waiting_by_target on waiting (target, number);
create table targets (
    target text primary key, reason text not null, down_since_ns integer not null);
"""


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert to be delivered to a target; `body` is JSON."""

    alert_id: str
    rule: str
    target: str
    body: bytes
    created_ns: int


@dataclass(frozen=True, slots=True)
class WaitingAlert:
    """An alert that is not delivered yet; `reason` is why the last attempt failed."""

    number: int
    alert_id: str
    rule: str
    target: str
    body: bytes
    created_ns: int
    attempts: int
    next_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class RuleState:
    """What became of a rule so far: alerts made, of which `lost` were dropped undelivered.

    `since` is the event behind which it began; `waiting` alerts are not delivered yet.
    """

    name: str
    since: int
    alerts: int
    last_ns: int | None
    lost: int
    held_back: int
    waiting: int


@dataclass(frozen=True, slots=True)
class DownTarget:
    """A target that takes nothing at present."""

    target: str
    reason: str
    down_since_ns: int


class AlertState:
    """The file, open; may be used by several threads. Raises StorageError."""

    def __init__(self, path: Path, *, is_writable: bool = True) -> None:
        self._path = path
        self._lock = Lock()
        with self._errors():
            self._database = _connect(path, is_writable=is_writable)

    @classmethod
    def open_existing(cls, folder: Path) -> AlertState | None:
        """Opens the state of a data directory for reading; None if there never was one."""
        path = folder / STATE_NAME
        return cls(path, is_writable=False) if path.is_file() else None

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()

    def adopt(self, rules: Sequence[AlertRule], newest: int) -> tuple[int, int]:
        """Takes on the configured rules.

        Returns the event behind which to go on, and how many waiting alerts were dropped with the
        rules that are gone. A rule that is new begins behind the event `newest`.
        """
        names, dropped = {rule.name for rule in rules}, 0
        with self._write() as database:
            known = {name for (name,) in database.execute("select name from rules")}
            for name in known - names:
                query = "select count(*) from waiting where rule = ?"
                dropped += database.execute(query, (name,)).fetchone()[0]
                database.execute("delete from rules where name = ?", (name,))
                database.execute("delete from patterns where rule = ?", (name,))
                database.execute("delete from waiting where rule = ?", (name,))
            for rule in rules:
                if rule.name not in known:
                    values = (rule.name, newest)
                    database.execute("insert into rules (name, since) values (?, ?)", values)
                # A target that was corrected is meant for what waits, too.
                moved = (rule.target, rule.name)
                database.execute("update waiting set target = ? where rule = ?", moved)
            found = database.execute("select event from position").fetchone()
            position = newest if found is None or not known & names else int(found[0])
            # An index that was restored from a copy may be younger than this file.
            position = min(position, newest)
            database.execute("insert or replace into position values (0, ?)", (position,))
            database.execute("update rules set since = min(since, ?)", (newest,))
            database.execute("delete from targets")
        return position, dropped

    def gate(self, rule: AlertRule) -> tuple[Gate, int]:
        """Returns a rule's gate as it was stored, and the event behind which the rule began."""
        with self._read() as database:
            query = "select window_ns, sent, held_back, since from rules where name = ?"
            start_ns, sent, held_back, since = database.execute(query, (rule.name,)).fetchone()
            query = "select pattern, alerted_ns, repeats from patterns where rule = ?"
            patterns = [QuietPattern(*row) for row in database.execute(query, (rule.name,))]
        return Gate(rule, Window(start_ns, sent, held_back), patterns), since

    def commit(
        self,
        position: int,
        gates: Mapping[str, Gate],
        alerts: Sequence[NewAlert],
        *,
        waiting_max: int,
    ) -> int:
        """Stores how far events were looked at and all that came of it; returns alerts dropped."""
        with self._write() as database:
            database.execute("update position set event = ?", (position,))
            for name, gate in gates.items():
                _store_gate(database, name, gate)
            for alert in alerts:
                _add(database, alert)
            dropped = sum(
                _drop_oldest(database, target, waiting_max)
                for target in {alert.target for alert in alerts}
            )
        for gate in gates.values():
            gate.stored()
        return dropped

    def due(self, target: str, now_ns: int, limit: int) -> list[WaitingAlert]:
        """Returns the oldest alerts of a target whose time has come."""
        query = "select * from waiting where target = ? and next_ns <= ? order by number limit ?"
        with self._read() as database:
            return [WaitingAlert(*row) for row in database.execute(query, (target, now_ns, limit))]

    def next_ns(self, target: str) -> int | None:
        """Returns when the next alert of a target is due, or None if none waits."""
        with self._read() as database:
            query = "select min(next_ns) from waiting where target = ?"
            found: tuple[int | None] = database.execute(query, (target,)).fetchone()
        return found[0]

    def delivered(self, number: int) -> None:
        """Removes an alert that has arrived."""
        with self._write() as database:
            database.execute("delete from waiting where number = ?", (number,))

    def failed(self, number: int, next_ns: int, reason: str) -> None:
        """Notes why an alert was not delivered, and when to try again."""
        with self._write() as database:
            database.execute(
                "update waiting set attempts = attempts + 1, next_ns = ?, reason = ? "
                "where number = ?",
                (next_ns, reason, number),
            )

    def expire(self, target: str, before_ns: int) -> int:
        """Drops a target's alerts that were made before this time; returns how many."""
        with self._write() as database:
            query = "select number from waiting where target = ? and created_ns < ?"
            numbers = [number for (number,) in database.execute(query, (target, before_ns))]
            _drop(database, numbers)
        return len(numbers)

    def set_down(self, target: str, reason: str, now_ns: int) -> None:
        """Notes that a target takes nothing."""
        with self._write() as database:
            query = (
                "insert into targets values (?, ?, ?) "
                "on conflict (target) do update set reason = excluded.reason"
            )
            database.execute(query, (target, reason, now_ns))

    def set_up(self, target: str) -> None:
        """Notes that a target takes alerts again."""
        with self._write() as database:
            database.execute("delete from targets where target = ?", (target,))

    def position(self) -> int | None:
        """Returns the last event that was looked at, None before the first time."""
        with self._read() as database:
            found = database.execute("select event from position").fetchone()
        return None if found is None else int(found[0])

    def rules(self) -> list[RuleState]:
        """Returns what became of each rule."""
        query = (
            "select name, since, alerts, last_ns, lost, held_back, "
            "(select count(*) from waiting where rule = name) from rules order by name"
        )
        with self._read() as database:
            return [RuleState(*row) for row in database.execute(query)]

    def waiting(self, limit: int) -> list[WaitingAlert]:
        """Returns the oldest alerts that are not delivered yet."""
        query = "select * from waiting order by number limit ?"
        with self._read() as database:
            return [WaitingAlert(*row) for row in database.execute(query, (limit,))]

    def down(self) -> list[DownTarget]:
        """Returns the targets that take nothing at present."""
        with self._read() as database:
            return [DownTarget(*row) for row in database.execute("select * from targets")]

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self._database

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            self._database.execute("begin immediate")
            try:
                yield self._database
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"{self._path}: {error}; free some space or mend its rights. If it is damaged, "
                "remove it: alerts that wait are lost, and rules begin with what comes next"
            ) from error


def _connect(path: Path, *, is_writable: bool) -> sqlite3.Connection:
    mode = "mode=rwc" if is_writable else "mode=ro"
    if not is_writable and not path.with_name(f"{path.name}-wal").exists():
        mode = "immutable=1"  # Nobody has it open; whoever reads need not be allowed to write.
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if is_writable:
            # Power that fails takes the last moments along, all of them together: events are
            # looked at again, and what was delivered meanwhile is delivered once more.
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = normal")
        (version,) = database.execute("pragma user_version").fetchone()
        if version == 0 and is_writable:
            database.executescript(f"begin;{_SCHEMA}pragma user_version = {_VERSION};commit;")
        elif version > _VERSION:
            raise sqlite3.DatabaseError(f"version {version} was written by a newer dejalog")
    except BaseException:
        database.close()
        raise
    return database


def _store_gate(database: sqlite3.Connection, name: str, gate: Gate) -> None:
    window = gate.window
    database.execute(
        "update rules set window_ns = ?, sent = ?, held_back = ? where name = ?",
        (window.start_ns, window.sent, window.held_back, name),
    )
    database.executemany(
        "insert or replace into patterns values (?, ?, ?, ?)",
        [(name, each.pattern_id, each.alerted_ns, each.repeats) for each in gate.changed.values()],
    )
    database.executemany(
        "delete from patterns where rule = ? and pattern = ?",
        [(name, pattern_id) for pattern_id in gate.forgotten],
    )


def _add(database: sqlite3.Connection, alert: NewAlert) -> None:
    database.execute(
        "insert or ignore into waiting (id, rule, target, body, created_ns) values (?, ?, ?, ?, ?)",
        (alert.alert_id, alert.rule, alert.target, alert.body, alert.created_ns),
    )
    database.execute(
        "update rules set alerts = alerts + 1, last_ns = ? where name = ?",
        (alert.created_ns, alert.rule),
    )


def _drop_oldest(database: sqlite3.Connection, target: str, waiting_max: int) -> int:
    query = "select number from waiting where target = ? order by number desc limit -1 offset ?"
    numbers = [number for (number,) in database.execute(query, (target, waiting_max))]
    _drop(database, numbers)
    return len(numbers)


def _drop(database: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Removes alerts that were never delivered, and counts them with their rules."""
    for number in numbers:
        database.execute(
            "update rules set lost = lost + 1 "
            "where name = (select rule from waiting where number = ?)",
            (number,),
        )
        database.execute("delete from waiting where number = ?", (number,))
