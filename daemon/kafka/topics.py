"""Make the topics that the configuration names, and look over the ones that are there.

Planning and judging are pure: what is there goes in, what is to be made or to be said comes out. A
topic that exists is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from dejalog.daemon.kafka.rules import TopicRules
from dejalog.daemon.kafka.settings import KafkaSettings

_HOUR_MS = 3600 * 1000
#: What Kafka adds to a record that is alone in its batch: the batch's header is 61 bytes (KIP-98),
#: the record's own fields are rarely more than this.
BATCH_BYTES = 61 + 32
#: What a dead letter's headers may add to the record that it was.
_DEAD_LETTER_BYTES = 64 << 10
#: Dead letters are few, and a person has to come round to reading them: a month, but little disk.
_DEAD_LETTER_HOURS = 30 * 24
_DEAD_LETTER_BYTES_MAX = 64 << 20
_DEAD_LETTER_SEGMENT_BYTES = 16 << 20
#: No segment stays open for longer than this: only a closed one can be deleted for its age.
_SEGMENT_HOURS_MAX = 24

#: The topic settings that `check` reads.
READ_SETTINGS = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "segment.bytes",
    "max.message.bytes",
    "message.timestamp.type",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How topics are made. Bytes count for each partition; docs/KAFKA.md says why each default."""

    partitions: int = 4
    replication: int = 1
    retention_hours: int = 72
    retention_bytes: int = 512 << 20
    segment_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class NewTopic:
    """One topic to be made, with Kafka's own names for its settings."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made, what is there already, and the patterns, which name no topic."""

    new: tuple[NewTopic, ...]
    existing: tuple[str, ...]
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one topic: `created`, `exists already` or `failed`, then with a reason."""

    name: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BrokerState:
    """What a cluster says of itself; `version` is the newest Kafka whose requests it knows."""

    cluster: str
    version: str
    brokers: int


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is; a number is None where its setting may not be read, -1 is no bound.

    `leaderless` counts partitions that nobody can read at present.
    """

    name: str
    partitions: int
    replication: int
    leaderless: int = 0
    cleanup_policy: str = ""
    retention_ms: int | None = None
    retention_bytes: int | None = None
    segment_bytes: int | None = None
    max_message_bytes: int | None = None
    timestamp_type: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to be said of a topic or a pattern: what, what follows from it, what to do.

    With `is_failure` the worker cannot read what the configuration says; else it is a warning.
    """

    about: str
    text: str
    reason: str
    advice: str
    is_failure: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What `check` has read: the broker, the topics that the configuration means, all names."""

    broker: BrokerState
    topics: tuple[TopicState, ...]
    names: frozenset[str]


def named_topics(settings: KafkaSettings) -> tuple[str, ...]:
    """The topics that the configuration has by name, each once and in its order."""
    return tuple(dict.fromkeys(TopicRules(settings.topics).names()))


def read_topics(settings: KafkaSettings, names: Iterable[str]) -> tuple[str, ...]:
    """The topics of a cluster that a worker reads, by name or by pattern, sorted."""
    rules = TopicRules(settings.topics)
    return tuple(sorted(name for name in names if rules.is_read(name)))


def dead_letter_topics(settings: KafkaSettings, names: Iterable[str]) -> tuple[str, ...]:
    """Where the dead letters of named topics, and of those a pattern matches, are to be sent."""
    suffix = settings.dead_letter_suffix
    if not suffix:
        return ()
    read = (*named_topics(settings), *read_topics(settings, names))
    # A pattern that matches dead letters as well is warned of; theirs need no topic.
    topics = dict.fromkeys(name for name in read if not name.endswith(suffix))
    return tuple(f"{name}{suffix}" for name in topics)


def plan_topics(
    settings: KafkaSettings, layout: Layout, names: Set[str], *, record_bytes_max: int
) -> Plan:
    """Returns what `create` does in a cluster that has topics of these names."""
    wanted = [_events_topic(name, layout, record_bytes_max) for name in named_topics(settings)]
    known = {topic.name for topic in wanted}
    wanted += [
        _dead_letter_topic(name, layout, record_bytes_max)
        for name in dead_letter_topics(settings, names)
        if name not in known
    ]
    return Plan(
        new=tuple(topic for topic in wanted if topic.name not in names),
        existing=tuple(topic.name for topic in wanted if topic.name in names),
        patterns=tuple(rule.pattern for rule in settings.topics if rule.pattern),
    )


def _events_topic(name: str, layout: Layout, record_bytes_max: int) -> NewTopic:
    settings = _settings(
        hours=layout.retention_hours,
        retention_bytes=layout.retention_bytes,
        segment_bytes=layout.segment_bytes,
        message_bytes=record_bytes_max + BATCH_BYTES,
    )
    return NewTopic(name, layout.partitions, layout.replication, settings)


def _dead_letter_topic(name: str, layout: Layout, record_bytes_max: int) -> NewTopic:
    settings = _settings(
        hours=max(layout.retention_hours, _DEAD_LETTER_HOURS),
        retention_bytes=_DEAD_LETTER_BYTES_MAX,
        segment_bytes=min(layout.segment_bytes, _DEAD_LETTER_SEGMENT_BYTES),
        message_bytes=record_bytes_max + BATCH_BYTES + _DEAD_LETTER_BYTES,
    )
    return NewTopic(name, 1, layout.replication, settings)


def _settings(
    *, hours: int, retention_bytes: int, segment_bytes: int, message_bytes: int
) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(hours * _HOUR_MS),
        "retention.bytes": str(retention_bytes),
        "segment.bytes": str(segment_bytes),
        "segment.ms": str(min(hours, _SEGMENT_HOURS_MAX) * _HOUR_MS),
        "max.message.bytes": str(message_bytes),
        "message.timestamp.type": "LogAppendTime",
    }


def create_topics(admin: Any, new: Sequence[NewTopic]) -> list[Made]:
    """Makes topics, and says of each what became of it; `admin` is an open KafkaAdminClient."""
    if not new:
        return []
    wanted = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": dict(topic.settings),
        }
        for topic in new
    }
    answers = admin.create_topics(wanted, raise_errors=False)["topics"]
    made = [_made(answer) for answer in answers]
    admin.wait_for_topics([each.name for each in made if each.outcome == "created"])
    return made


def _made(answer: Mapping[str, Any]) -> Made:
    from kafka import errors

    code = answer["error_code"]
    if code == errors.NoError.errno:
        return Made(answer["name"], "created")
    if code == errors.TopicAlreadyExistsError.errno:
        return Made(answer["name"], "exists already")
    kind = errors.for_code(code)
    reason = str(answer.get("error_message") or kind.description or kind.__name__)
    return Made(answer["name"], "failed", reason.strip().rstrip("."))


def survey(admin: Any, settings: KafkaSettings) -> Survey:
    """Reads the broker and the topics that the configuration means."""
    cluster = admin.describe_cluster()
    brokers = cluster["brokers"]
    version = admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version
    names = frozenset(admin.list_topics())
    topics = read_topics(settings, names)
    described = {each["name"]: each for each in admin.describe_topics(list(topics))}
    read = topic_settings(admin, topics)
    return Survey(
        BrokerState(cluster["cluster_id"] or "", ".".join(map(str, version)), len(brokers)),
        tuple(_state(described[name], read.get(name, {})) for name in topics if name in described),
        names,
    )


def topic_settings(admin: Any, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns READ_SETTINGS by topic; none for a topic whose settings may not be read."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not topics:
        return {}
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(READ_SETTINGS))
        for name in topics
    ]
    answer = admin.describe_configs(asked, config_filter="all").get("topic", {})
    return {
        name: {key: each["value"] for key, each in found.items() if each["value"] is not None}
        for name, found in answer.items()
    }


def _state(described: Mapping[str, Any], read: Mapping[str, str]) -> TopicState:
    partitions = described["partitions"]
    return TopicState(
        name=described["name"],
        partitions=len(partitions),
        replication=min((len(each["replica_nodes"]) for each in partitions), default=0),
        leaderless=sum(each["leader_id"] < 0 for each in partitions),
        cleanup_policy=read.get("cleanup.policy", ""),
        retention_ms=_number(read, "retention.ms"),
        retention_bytes=_number(read, "retention.bytes"),
        segment_bytes=_number(read, "segment.bytes"),
        max_message_bytes=_number(read, "max.message.bytes"),
        timestamp_type=read.get("message.timestamp.type", ""),
    )


def _number(read: Mapping[str, str], key: str) -> int | None:
    return int(read[key]) if key in read else None
