"""How far the index is behind each partition: stored position, committed offset and log's ends.

A worker goes on at the further of both (starts.py): the stored position is what this index has, and
the group is ahead of it only where another worker had the partition meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dejalog.daemon.kafka.broker import retry_while_starting
from dejalog.daemon.kafka.places import PartitionNames, place_of
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.topics import named_topics, read_topics
from dejalog.indexer.event import Position

#: A topic and the number of one of its partitions.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class PartitionReach:
    """One partition: offsets, each None where there is none, or where it cannot be asked for.

    `end` is where a reader of committed records comes to a stop (the last stable offset). `note`
    says what is wrong, or is empty.
    """

    topic: str
    partition: int
    stored: int | None = None
    committed: int | None = None
    begin: int | None = None
    end: int | None = None
    note: str = ""

    @property
    def lag(self) -> int | None:
        """Offsets up to the end of the log; of these, markers and compacted ones hold no record."""
        if self.end is None:
            return None
        reached = [each for each in (self.stored, self.committed, self.begin) if each is not None]
        # What retention has deleted cannot be read any more, so the log's beginning counts too.
        return max(0, self.end - max(reached, default=0))


@dataclass(frozen=True, slots=True)
class Lag:
    """Every partition by topic and number, and the topics by name that are not there."""

    group: str
    partitions: tuple[PartitionReach, ...]
    missing: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The sum over all partitions whose lag is known."""
        return sum(each.lag or 0 for each in self.partitions)


def stored_offsets(positions: Iterable[Position]) -> dict[Place, int]:
    """Returns the next offset to read by topic and partition; of several stores the furthest.

    Positions from before a reset count no more (places.py).
    """
    positions = list(positions)
    names = PartitionNames((each.source, each.partition) for each in positions)
    furthest: dict[Place, int] = {}
    for position in positions:
        key = (position.source, position.partition)
        place = place_of(key)
        if place is not None and names.key(place) == key:
            furthest[place] = max(position.offset, furthest.get(place, 0))
    return furthest


def read_lag(admin: Any, settings: KafkaSettings, positions: Iterable[Position]) -> Lag:
    """Asks the broker how far it is, and puts that beside the stored positions.

    Covers the topics of the configuration and those of the positions. `admin` is an open
    KafkaAdminClient (broker.open_admin), whose errors are raised as they are.
    """
    stored = stored_offsets(positions)
    names = frozenset(admin.list_topics())
    topics = {*read_topics(settings, names), *(topic for topic, _ in stored)} & names
    leaders = _leaders(admin, sorted(topics))
    readable = [place for place, has_leader in leaders.items() if has_leader]
    begins = _offsets(admin, readable, "EARLIEST")
    ends = _offsets(admin, readable, "LATEST")
    committed = _committed(admin, settings.group, list(leaders))
    partitions = tuple(
        _judged(
            PartitionReach(
                *place,
                stored.get(place),
                committed.get(place),
                begins.get(place),
                ends.get(place),
            ),
            leaders,
        )
        for place in sorted({*leaders, *stored})
    )
    missing = [name for name in named_topics(settings) if name not in names]
    return Lag(settings.group, partitions, tuple(missing))


def _judged(found: PartitionReach, leaders: Mapping[Place, bool]) -> PartitionReach:
    note = note_of(found, leaders.get((found.topic, found.partition)))
    return PartitionReach(
        found.topic,
        found.partition,
        found.stored,
        found.committed,
        found.begin,
        found.end,
        note,
    )


def note_of(found: PartitionReach, has_leader: bool | None) -> str:
    """Returns what is wrong with a partition; `has_leader` is None where it is not there."""
    if has_leader is None:
        return "the partition is gone"
    if not has_leader:
        return "no leader at present"
    begin, end, stored = found.begin or 0, found.end or 0, found.stored
    if stored is None:
        return "never read" if found.committed is None else "no position here"
    if stored > end:
        return "the position is beyond the end: the topic was made anew"
    if stored < begin:
        return f"{begin - stored} deleted by retention before they were read"
    return ""


def _leaders(admin: Any, topics: Sequence[str]) -> dict[Place, bool]:
    """All partitions of these topics, and whether each can be asked."""
    if not topics:
        return {}
    return {
        (topic["name"], each["partition_index"]): each["leader_id"] >= 0
        for topic in admin.describe_topics(list(topics))
        for each in topic["partitions"]
    }


def _offsets(admin: Any, places: Sequence[Place], spec: str) -> dict[Place, int]:
    from kafka import IsolationLevel, TopicPartition
    from kafka.admin import OffsetSpec

    if not places:
        return {}
    answer = admin.list_partition_offsets(
        {TopicPartition(*place): OffsetSpec[spec] for place in places},
        isolation_level=IsolationLevel.READ_COMMITTED,
    )
    return {(each.topic, each.partition): found.offset for each, found in answer.items()}


def _committed(admin: Any, group: str, places: Sequence[Place]) -> dict[Place, int]:
    from kafka import TopicPartition

    if not places or not group:
        return {}
    asked = {group: [TopicPartition(*place) for place in places]}
    answer = retry_while_starting(lambda: admin.list_group_offsets(asked))[group]
    return {
        (each.topic, each.partition): found.offset
        for each, found in answer.items()
        if found.offset >= 0
    }
