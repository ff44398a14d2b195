"""What travels between the stages: records, events, dead letters and positions.

A source yields records; decoding turns each record into events or dead letters; appending stores
them together with the positions up to which their sources have been read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

#: Severity label values from least to most severe (the six ranges of the OpenTelemetry log model).
SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")

#: Name and value pairs, sorted by name, each name once.
Labels = tuple[tuple[str, str], ...]


class Kind(IntEnum):
    """What an event is: a line that a machine logged, or a note that a person wrote."""

    LOG = 1
    NOTE = 2


class TimeOrigin(IntEnum):
    """Where an event's time was taken from."""

    EVENT = 1  # written in the event itself
    RECEIVED = 2  # the event names none (or an impossible one): when the source received it


@dataclass(frozen=True, slots=True)
class Position:
    """How far one partition of one source has been read.

    `offset` is where to go on reading. `state` is the source's own note to itself (JSON, may be
    empty), for example the fingerprint that tells a rotated file from a new one.
    """

    source: str
    partition: str
    offset: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One unit read from a source, not yet decoded.

    The record starts at `offset`; reading resumes at `next_offset` once it is stored. `encoding`
    is "auto" or a name that `decode` knows; `kind` overrules what the record says of itself.
    `size_bytes` is the full length where `data` had to be cut; `fault` is then set, and the record
    becomes a dead letter with that reason (and `fault_detail`, a sentence). A void record has
    nothing to index, but its position counts: a tombstone of a compacted Kafka topic.
    """

    source: str
    partition: str
    offset: int
    next_offset: int
    data: bytes
    received_at_ns: int
    encoding: str = "auto"
    headers: tuple[tuple[str, bytes], ...] = ()
    labels: Labels = ()
    state: str = ""
    size_bytes: int = -1
    fault: str = ""
    fault_detail: str = ""
    kind: Kind | None = None
    key: bytes | None = None
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One log line or maintenance note.

    `text` is the raw text as it was written. `labels` name what the event is about (site, asset,
    unit, severity ...) and can be filtered on; `attributes` are the record's other fields, kept to
    be shown. Times are nanoseconds since 1970 UTC. (`source`, `partition`, `offset`, `sub`) names
    the event's record, and `sub` the event within it.
    """

    kind: Kind
    time_ns: int
    time_origin: TimeOrigin
    text: str
    source: str
    partition: str
    offset: int
    sub: int = 0
    labels: Labels = ()
    attributes: Labels = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, or a part of one, that could not become an event.

    `reason` is a short stable word (`not-utf8`, `oversized`, `bad-json` ...), `detail` a sentence.
    `data` holds the first bytes of what was refused and `size_bytes` its full length. `key` and
    `headers` are the record's, as far as its source has them.
    """

    reason: str
    detail: str
    data: bytes
    size_bytes: int
    received_at_ns: int
    source: str
    partition: str
    offset: int
    sub: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one record became: events, dead letters, or both."""

    events: tuple[Event, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
