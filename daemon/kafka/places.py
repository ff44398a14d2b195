"""What topics and partitions are called in the index.

A topic `logs` is the source `kafka:logs`; its partition 3 is the partition `3`, and after a reset
(reset.py) `3+1`, then `3+2`: its offsets have another meaning from then on, so that no two records
share a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

#: Sources of Kafka records and positions carry this prefix before the topic's name.
SOURCE_PREFIX = "kafka:"

#: A partition as records and positions name it: source and partition.
Key = tuple[str, str]


class TopicPartition(NamedTuple):
    """Equal to the tuples of the same meaning in Faust and aiokafka."""

    topic: str
    partition: int


def source_of(topic: str) -> str:
    """Returns the source that a topic's records and positions are stored under."""
    return SOURCE_PREFIX + topic


def topic_of(source: str) -> str | None:
    """Returns the topic of a source, or None if it is none of Kafka's."""
    return source.removeprefix(SOURCE_PREFIX) if source.startswith(SOURCE_PREFIX) else None


def place_of(key: Key) -> TopicPartition | None:
    """Returns the topic and partition that a stored name stands for, or None if for none."""
    topic, number = topic_of(key[0]), key[1].partition("+")[0]
    return TopicPartition(topic, int(number)) if topic and number.isdecimal() else None


class PartitionNames:
    """The present name of every partition: of those that are stored, the newest."""

    def __init__(self, stored: Iterable[Key] = ()) -> None:
        self._resets: dict[TopicPartition, int] = {}
        for key in stored:
            place = place_of(key)
            if place is not None:
                resets = int(key[1].partition("+")[2] or 0)
                self._resets[place] = max(resets, self._resets.get(place, 0))

    def key(self, place: TopicPartition) -> Key:
        """Returns what the partition's records and positions are stored under."""
        resets = self._resets.get(place, 0)
        name = f"{place.partition}+{resets}" if resets else str(place.partition)
        return source_of(place.topic), name

    def reset(self, place: TopicPartition) -> Key:
        """Gives the partition its next name, and returns it."""
        self._resets[place] = self._resets.get(place, 0) + 1
        return self.key(place)
