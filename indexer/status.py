"""What an index holds, in the few numbers that tell whether it keeps up and how far it reaches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far one partition of a broker is stored, and how far its log reaches.

    `lag` counts the records that are still to be stored, `lost` those that the broker's retention
    deleted before they were read.
    """

    source: str
    partition: str
    position: int
    end: int
    lag: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The state of a data directory.

    Times are nanoseconds since 1970 UTC, `ingest_rate` is events per second over the last minute
    (0 where no worker runs), `pattern_hit_ratio` the share of events whose pattern was known.
    `partitions` are those that this process reads from a broker.
    """

    data_directory: str
    version: str
    encoder_fingerprint: str
    events: int
    patterns: int
    tokens: int
    dead_letters: int
    shards: int
    bytes_on_disk: int
    oldest_ns: int | None
    newest_ns: int | None
    lexical_lag_events: int
    ingest_rate: float
    pattern_hit_ratio: float
    partitions: tuple[PartitionLag, ...] = ()
