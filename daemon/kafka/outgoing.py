"""A dead letter as a record of its topic of dead letters.

The headers are those that Kafka Connect gives to its dead letter queues, so that its tools read
them: numbers as decimal text, all in UTF-8 (KIP-298, DeadLetterQueueReporter).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dejalog.daemon.kafka.places import place_of, topic_of
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.tracking import GAP
from dejalog.indexer.dead_letters import is_cut
from dejalog.indexer.event import DeadLetter

#: Of a letter that the broker finds too large, so much is published in a second try.
_LESSER_BYTES: Final = 16 << 10

_CONNECT: Final = "__connect.errors."


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A dead letter as it is produced; without a timestamp it gets the time of producing."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int | None


def is_published(letter: DeadLetter, suffix: str) -> bool:
    """Whether a letter goes to a topic of dead letters.

    Not where it came from one: it would go round for ever. A gap stands for records that are lost,
    of which there is nothing to publish.
    """
    topic = topic_of(letter.source)
    return topic is not None and not topic.endswith(suffix) and letter.reason != GAP


def outgoing(number: int, letter: DeadLetter, settings: KafkaSettings) -> Outgoing:
    """Returns what is produced for a letter that is to be published."""
    topic = topic_of(letter.source) or ""
    place = place_of((letter.source, letter.partition))
    about = {
        f"{_CONNECT}topic": topic,
        f"{_CONNECT}partition": str(place.partition) if place else letter.partition,
        f"{_CONNECT}offset": str(letter.offset),
        f"{_CONNECT}connector.name": settings.group,
        f"{_CONNECT}stage": "VALUE_CONVERTER",
        f"{_CONNECT}class.name": "dejalog.indexer.decode.Decoder",
        f"{_CONNECT}exception.class.name": f"dejalog.{letter.reason}",
        f"{_CONNECT}exception.message": letter.detail,
        "dejalog.dead_letter": str(number),
        "dejalog.sub": str(letter.sub),
    }
    if is_cut(letter):
        about["dejalog.value.cut"] = str(letter.size_bytes)
    added = tuple((name, text.encode(errors="replace")) for name, text in about.items())
    timestamp_ms = letter.received_at_ns // 1_000_000
    return Outgoing(
        topic=topic + settings.dead_letter_suffix,
        partition=place.partition if place else None,
        key=letter.key,
        value=letter.data,
        headers=(*letter.headers, *added),
        timestamp_ms=timestamp_ms if timestamp_ms > 0 else None,
    )


def lesser(number: int, letter: DeadLetter, settings: KafkaSettings) -> Outgoing:
    """Returns what is produced where the broker finds the record too large, or its time wrong."""
    short = replace(
        letter, headers=(), detail=letter.detail[:512], data=letter.data[:_LESSER_BYTES]
    )
    if letter.key is not None and len(letter.key) > _LESSER_BYTES:
        short = replace(short, key=None)
    return replace(outgoing(number, short, settings), timestamp_ms=None)
