"""Forget how far a topic was read: after it was made anew, or to read it once more.

The index's stored positions and the group's offsets are both moved, since the worker goes on at
the further of them. What is indexed already stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dejalog.daemon.kafka.broker import connect, one_line_errors, open_admin, tool_arguments
from dejalog.daemon.kafka.places import PartitionNames, TopicPartition
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.append import Appender, Batch
from dejalog.indexer.errors import SourceError
from dejalog.indexer.event import Position

#: Where a partition may be set to.
TARGETS = ("earliest", "latest")


def target_offsets(
    settings: KafkaSettings, topic: str, partition: int | None, target: str
) -> dict[int, int]:
    """Returns the offset of each partition that is meant; raises SourceError for an unknown one."""
    import kafka

    with one_line_errors(settings):
        consumer = connect(settings, kafka.KafkaConsumer, tool_arguments(settings, "reset"))
        try:
            numbers = sorted(consumer.partitions_for_topic(topic) or ())
            if partition is not None:
                numbers = [number for number in numbers if number == partition]
            if not numbers:
                which = topic if partition is None else f"{topic}/{partition}"
                raise SourceError(f"kafka: the broker has no {which}")
            places = [kafka.TopicPartition(topic, number) for number in numbers]
            ask = consumer.beginning_offsets if target == "earliest" else consumer.end_offsets
            return {place.partition: offset for place, offset in ask(places).items()}
        finally:
            consumer.close()


def reset_group(settings: KafkaSettings, topic: str, offsets: Mapping[int, int]) -> None:
    """Moves the group's offsets; raises SourceError while a member is active."""
    from kafka.errors import NoError
    from kafka.structs import OffsetAndMetadata

    wanted = {
        TopicPartition(topic, n): OffsetAndMetadata(at, "", None) for n, at in offsets.items()
    }
    with open_admin(settings, "reset") as admin:
        answers: Mapping[Any, Any] = admin.alter_group_offsets(settings.group, wanted)
    refused = {place: error for place, error in answers.items() if error is not NoError}
    if refused:
        place, error = next(iter(refused.items()))
        raise SourceError(
            f"kafka: the offset of {place.topic}/{place.partition} for the group {settings.group} "
            f"cannot be moved ({error.__name__}); stop every worker of the group, wait until its "
            f"session has ended ({settings.session_timeout_s:g} s), and try again"
        )


def reset_stored(appender: Appender, topic: str, offsets: Mapping[int, int]) -> None:
    """Sets the index's positions, in one transaction; partitions get their next names."""
    names = PartitionNames((p.source, p.partition) for p in appender.positions())
    keys = {names.reset(TopicPartition(topic, number)): at for number, at in offsets.items()}
    appender.append(Batch([], [], [Position(*key, offset) for key, offset in keys.items()]))
