"""Which records are taken: per assigned partition the next offset, and an epoch over all of them.

Pure state, used on one thread.

1. The epoch changes whenever what was fetched before may no longer be what comes next: partitions
   taken away, or positions sought. A fetch that began in another epoch is dropped whole, and the
   seek that follows every such change has it fetched again.
2. Within an epoch a fetch is taken only if it begins exactly where the one before it ended. A
   hole between two fetches is a fetch whose answer went missing, or a log whose beginning has moved
   on; both are answered by seeking again. A hole inside a fetch is compaction's, or the markers of
   transactions, and means nothing; one at its start only if the log begins before it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from dejalog.daemon.kafka.places import Key, PartitionNames, TopicPartition
from dejalog.daemon.kafka.rules import TopicRules
from dejalog.daemon.kafka.starts import Start
from dejalog.indexer.errors import SourceError
from dejalog.indexer.event import Record

#: The reason of a dead letter that stands for records which the broker deleted before they were
#: read.
GAP = "gap"
#: A producer's clock may be wrong in either direction; a day ahead is as far as zones reach.
_AHEAD_NS_MAX = 86_400 * 10**9


class ConsumerRecord(Protocol):
    """What is used of a consumer's record."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102
    @property
    def timestamp(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Fetch:
    """One partition's part of a fetch: all that the log has from `start` to `end`."""

    start: int
    end: int
    records: Sequence[ConsumerRecord]

    @property
    def is_anything(self) -> bool:
        """Whether it gave records, or went on without."""
        return bool(self.records) or self.end != self.start

    @property
    def goes_back(self) -> bool:
        """Whether it has what lies before its start: aiokafka has gone to another place."""
        return self.end < self.start or any(r.offset < self.start for r in self.records[:1])

    @property
    def begins_with_a_hole(self) -> bool:
        """Whether there is no record at its start: by compaction, a marker, or retention."""
        return self.end > self.start and (not self.records or self.records[0].offset > self.start)


class OutOfStepError(Exception):
    """A fetch does not begin where the one before it ended: the position has to be sought again."""


class Tracking:
    """The partitions of the present assignment, and what is expected of each.

    `lost` tells how many records of each partition retention has taken so far.
    """

    def __init__(
        self, rules: TopicRules, names: PartitionNames, lost: Mapping[Key, int] | None = None
    ) -> None:
        self._rules = rules
        self._names = names
        self._lost = dict(lost or {})
        self._told: dict[Key, int] = {}
        self._expected: dict[TopicPartition, int] = {}
        self.epoch = 0

    def revoke(self) -> None:
        """Ends an epoch: nothing is expected until `begin`."""
        self.epoch += 1
        self._expected = {}

    def begin(self, starts: Mapping[TopicPartition, Start]) -> list[Record]:
        """Begins an epoch at the starts; returns the gaps before them, as records.

        What is queued of a partition that is sought again stays: it ends at the start.

        Raises SourceError for a start with a fault.
        """
        self.revoke()
        gaps: list[Record] = []
        for partition, start in starts.items():
            if start.fault:
                raise SourceError(_made_anew(partition, start.fault))
            if start.offset > start.expected:
                gaps.append(self._gap(partition, start.expected, start.offset))
            self._expected[partition] = start.offset
        return gaps

    def next_offsets(self) -> dict[TopicPartition, int]:
        """What is expected of each partition."""
        return dict(self._expected)

    def lost(self) -> dict[Key, int]:
        """Records lost to retention, by partition."""
        return dict(self._lost)

    def accept(self, fetched: Mapping[TopicPartition, Fetch], now_ns: int) -> list[Record]:
        """Returns the records of a fetch, and a void one for what gives no records at its end.

        Raises OutOfStepError, and has then taken nothing.
        """
        for partition, fetch in fetched.items():
            if fetch.goes_back or fetch.start != self._expected.get(partition):
                raise OutOfStepError
        taken: list[Record] = []
        for partition, fetch in fetched.items():
            taken += [self._record(partition, record, now_ns) for record in fetch.records]
            reached = fetch.records[-1].offset + 1 if fetch.records else fetch.start
            if fetch.end > reached:
                taken.append(self._between(partition, reached, fetch.end, is_void=True))
            self._expected[partition] = max(reached, fetch.end)
        return taken

    def _record(self, partition: TopicPartition, record: ConsumerRecord, now_ns: int) -> Record:
        made = self._rules.record(
            topic=partition.topic,
            partition=partition.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers,
            received_at_ns=_received_at_ns(record.timestamp, now_ns),
        )
        name, state = self._names.key(partition)[1], self._state(partition)
        if name == made.partition and not state:
            return made
        return replace(made, partition=name, state=state)

    def _gap(self, partition: TopicPartition, expected: int, beginning: int) -> Record:
        count = beginning - expected
        key = self._names.key(partition)
        # The same gap is met again where its record was dropped before it was stored.
        untold = beginning - max(expected, self._told.get(key, expected))
        self._lost[key] = self._lost.get(key, 0) + max(0, untold)
        self._told[key] = max(beginning, self._told.get(key, 0))
        detail = (
            f"the broker's retention deleted {count} records, offsets {expected} to "
            f"{beginning - 1} of {partition.topic}/{partition.partition}, before they were read"
        )
        return self._between(partition, expected, beginning, fault=GAP, fault_detail=detail)

    def _between(
        self, partition: TopicPartition, offset: int, next_offset: int, **rest: object
    ) -> Record:
        source, name = self._names.key(partition)
        return Record(
            source=source,
            partition=name,
            offset=offset,
            next_offset=next_offset,
            data=b"",
            received_at_ns=time.time_ns(),
            state=self._state(partition),
            **rest,  # type: ignore[arg-type]
        )

    def _state(self, partition: TopicPartition) -> str:
        lost = self._lost.get(self._names.key(partition), 0)
        return json.dumps({"lost": lost}) if lost else ""


def lost_of(state: str) -> int:
    """Returns how many lost records a position's state counts."""
    if not state:
        return 0
    return int(json.loads(state).get("lost", 0))


def _received_at_ns(timestamp_ms: int | None, now_ns: int) -> int:
    """Kafka's time of a record, unless it has none or it cannot be right."""
    if timestamp_ms is None or timestamp_ms <= 0:
        return now_ns
    time_ns = timestamp_ms * 1_000_000
    return time_ns if time_ns <= now_ns + _AHEAD_NS_MAX else now_ns


def _made_anew(partition: TopicPartition, fault: str) -> str:
    return (
        f"kafka: {partition.topic}/{partition.partition}: {fault}: the topic was made anew, or "
        "the broker lost its data. Nothing is read until a person decides: 'dejalog kafka reset "
        f"{partition.topic}' forgets the position, so that the topic is read from its beginning"
    )
