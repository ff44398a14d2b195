"""What is to be said of the topics that the configuration means: failures first, then warnings.

Pure: the same survey, the same findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dejalog.daemon.excerpt import grouped
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.topics import (
    BATCH_BYTES,
    Finding,
    Survey,
    TopicState,
    dead_letter_topics,
    named_topics,
)

_DAY_MS = 24 * 3600 * 1000


def judge(settings: KafkaSettings, found: Survey, *, record_bytes_max: int) -> tuple[Finding, ...]:
    """Returns the findings, each with its reason and what to do."""
    findings = [
        *_of_configuration(settings),
        *_of_missing(settings, found),
        *_of_patterns(settings, found),
        *(each for topic in found.topics for each in _of_topic(topic, record_bytes_max)),
    ]
    return tuple(sorted(findings, key=lambda finding: not finding.is_failure))


def _of_configuration(settings: KafkaSettings) -> Iterator[Finding]:
    if not settings.topics:
        yield Finding(
            "kafka.topics",
            "no topic is configured",
            "the worker would have nothing to read",
            'add [[kafka.topics]] with a name, or --set kafka.topics=\'[{"name": "logs"}]\'',
            is_failure=True,
        )


def _of_missing(settings: KafkaSettings, found: Survey) -> Iterator[Finding]:
    for name in named_topics(settings):
        if name not in found.names:
            yield Finding(
                name,
                "there is no such topic",
                "nothing can be read from it, or written to it",
                "run 'dejalog kafka topics create', or correct the name in kafka.topics",
                is_failure=True,
            )
    for name in dead_letter_topics(settings, found.names):
        if (
            name not in found.names
            and name.removesuffix(settings.dead_letter_suffix) in found.names
        ):
            yield Finding(
                name,
                "there is no such topic",
                "kafka.dead_letter_suffix is set, so dead letters are to be sent there",
                "run 'dejalog kafka topics create'",
            )


def _of_patterns(settings: KafkaSettings, found: Survey) -> Iterator[Finding]:
    suffix = settings.dead_letter_suffix
    for rule in (rule for rule in settings.topics if rule.pattern):
        matching = [name for name in found.names if re.fullmatch(rule.pattern, name)]
        if not matching:
            yield Finding(
                rule.pattern,
                "no topic matches this pattern",
                "nothing is read for it until a topic of such a name is made",
                "make the topic, or correct the pattern in kafka.topics",
            )
        if suffix and any(name.endswith(suffix) for name in matching):
            yield Finding(
                rule.pattern,
                f"this pattern matches topics that end in {suffix}",
                "dead letters would be read again as events",
                f"end the pattern with (?<!{re.escape(suffix)})",
            )


def _of_topic(topic: TopicState, record_bytes_max: int) -> Iterator[Finding]:
    if topic.leaderless:
        yield Finding(
            topic.name,
            f"{topic.leaderless} of {topic.partitions} partitions have no leader",
            "they can neither be read nor written until their broker is back",
            "start the brokers that hold them, and look at their logs",
            is_failure=True,
        )
    if topic.partitions == 1:
        yield Finding(
            topic.name,
            "the topic has a single partition",
            "only one worker can read it; most often the broker made it by itself, as its "
            "producer came first, with the broker's defaults for retention and segments too",
            "add partitions with Kafka's own tool if a second worker is to share it, and set "
            "auto.create.topics.enable=false",
        )
    yield from _of_retention(topic)
    yield from _of_size(topic, record_bytes_max)


def _of_retention(topic: TopicState) -> Iterator[Finding]:
    if "delete" not in topic.cleanup_policy:
        if topic.cleanup_policy:
            yield Finding(
                topic.name,
                "the topic is compacted and never deleted from",
                "of the records with one key only the newest stays, so earlier events are lost to "
                "a worker that comes late; records without a key are refused",
                "set cleanup.policy=delete for logs and notes",
            )
        return
    retention_ms = topic.retention_ms
    if retention_ms is not None and 0 <= retention_ms < _DAY_MS:
        yield Finding(
            topic.name,
            f"records are kept for {_hours(retention_ms)} only",
            "what a worker has not read within that time is lost, and shown as a gap",
            "set retention.ms to what a weekend without a worker needs (259200000 is 72 hours)",
        )
    if retention_ms == -1 and topic.retention_bytes == -1:
        yield Finding(
            topic.name,
            "nothing is ever deleted from the topic",
            "it grows until the disk is full, and then the broker stops",
            "set retention.ms or retention.bytes",
        )
    bound, segment = topic.retention_bytes, topic.segment_bytes
    if bound is not None and segment is not None and 0 <= bound < segment:
        yield Finding(
            topic.name,
            f"retention.bytes ({grouped(bound)}) is less than segment.bytes ({grouped(segment)})",
            "only whole segments are deleted, so each partition takes up to a segment more",
            "set segment.bytes to an eighth of retention.bytes",
        )


def _of_size(topic: TopicState, record_bytes_max: int) -> Iterator[Finding]:
    largest = topic.max_message_bytes
    if largest is not None and largest - BATCH_BYTES > record_bytes_max:
        yield Finding(
            topic.name,
            f"max.message.bytes ({grouped(largest)}) lets through records of more than "
            f"decode.record_bytes_max ({grouped(record_bytes_max)})",
            "they become dead letters with the reason oversized",
            "lower max.message.bytes, so that the producer is told, or raise "
            "decode.record_bytes_max",
        )


def _hours(milliseconds: int) -> str:
    hours = milliseconds / 3_600_000
    return f"{hours:.0f} hours" if hours >= 2 else f"{milliseconds / 60_000:.0f} minutes"
