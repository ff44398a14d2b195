from __future__ import annotations

from dataclasses import replace

import pytest

from dejalog.daemon.kafka.judge import judge
from dejalog.daemon.kafka.settings import KafkaSettings, TopicRule
from dejalog.daemon.kafka.topics import BATCH_BYTES, BrokerState, Finding, Survey, TopicState

MIB = 1 << 20
HOUR_MS = 3_600_000
GOOD = TopicState(
    name="logs",
    partitions=4,
    replication=1,
    cleanup_policy="delete",
    retention_ms=72 * HOUR_MS,
    retention_bytes=512 * MIB,
    segment_bytes=64 * MIB,
    max_message_bytes=MIB + BATCH_BYTES,
    timestamp_type="CreateTime",
)
LOGS = KafkaSettings(topics=(TopicRule(name="logs"),))


def found(*topics: TopicState, more: tuple[str, ...] = ()) -> Survey:
    names = frozenset({*(topic.name for topic in topics), *more})
    return Survey(BrokerState("x", "4.1", 1), topics, names)


def say(survey: Survey, settings: KafkaSettings = LOGS) -> tuple[Finding, ...]:
    return judge(settings, survey, record_bytes_max=MIB)


def test_a_topic_as_create_makes_it_is_good() -> None:
    assert say(found(GOOD)) == ()


def test_a_topic_as_kafka_makes_it_by_default_is_good_but_for_its_single_partition() -> None:
    default = replace(
        GOOD,
        partitions=1,
        retention_ms=168 * HOUR_MS,
        retention_bytes=-1,
        segment_bytes=1 << 30,
        max_message_bytes=1_048_588,
    )
    assert [each.text for each in say(found(default))] == ["the topic has a single partition"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"partitions": 1}, "the topic has a single partition"),
        ({"retention_ms": 23 * HOUR_MS}, "records are kept for 23 hours only"),
        ({"retention_ms": 60_000}, "records are kept for 1 minutes only"),
        ({"retention_ms": -1, "retention_bytes": -1}, "nothing is ever deleted from the topic"),
        ({"retention_bytes": MIB}, "retention.bytes (1 048 576) is less than segment.bytes"),
        ({"cleanup_policy": "compact"}, "the topic is compacted and never deleted from"),
        ({"max_message_bytes": 2 * MIB}, "max.message.bytes (2 097 152) lets through records"),
    ],
)
def test_a_setting_that_loses_records_is_warned_of(change, text: str) -> None:
    (finding,) = say(found(replace(GOOD, **change)))
    assert finding.text.startswith(text)
    assert (finding.about, finding.is_failure) == ("logs", False)
    assert finding.reason
    assert finding.advice


@pytest.mark.parametrize(
    "change",
    [
        {"retention_ms": 24 * HOUR_MS},
        {"retention_ms": -1},
        {"cleanup_policy": "compact,delete"},
        {"max_message_bytes": MIB},
        {"timestamp_type": "LogAppendTime"},
    ],
)
def test_what_does_no_harm_is_not_warned_of(change) -> None:
    assert say(found(replace(GOOD, **change))) == ()


def test_settings_that_may_not_be_read_are_not_guessed_at() -> None:
    assert say(found(TopicState("logs", partitions=4, replication=1))) == ()


def test_a_named_topic_that_is_missing_is_a_failure_that_comes_first() -> None:
    settings = KafkaSettings(topics=(TopicRule(name="logs"), TopicRule(name="notes")))
    first, second = say(found(replace(GOOD, partitions=1)), settings)
    assert (first.about, first.text, first.is_failure) == ("notes", "there is no such topic", True)
    assert "dejalog kafka topics create" in first.advice
    assert second.about == "logs"


def test_a_partition_without_a_leader_is_a_failure() -> None:
    (finding,) = say(found(replace(GOOD, leaderless=2)))
    assert finding.text == "2 of 4 partitions have no leader"
    assert finding.is_failure


def test_a_missing_dead_letter_topic_is_warned_of() -> None:
    settings = replace(LOGS, dead_letter_suffix=".dlq")
    (finding,) = say(found(GOOD), settings)
    assert (finding.about, finding.is_failure) == ("logs.dlq", False)
    assert say(found(GOOD, more=("logs.dlq",)), settings) == ()
    (missing,) = say(found(), settings)
    assert missing.about == "logs"


def test_a_pattern_that_matches_nothing_is_warned_of() -> None:
    settings = KafkaSettings(topics=(TopicRule(pattern="plant-.*"),))
    (finding,) = say(found(GOOD), settings)
    assert (finding.about, finding.is_failure) == ("plant-.*", False)
    assert say(found(replace(GOOD, name="plant-7")), settings) == ()


def test_a_pattern_that_would_read_dead_letters_again_is_warned_of() -> None:
    settings = KafkaSettings(topics=(TopicRule(pattern="plant-.*"),), dead_letter_suffix=".dlq")
    topics = found(replace(GOOD, name="plant-7"), more=("plant-7.dlq", "other"))
    (finding,) = say(topics, settings)
    assert "dead letters would be read again as events" in finding.reason
    better = TopicRule(pattern="plant-.*" + finding.advice.rpartition(" ")[2])
    assert say(topics, replace(settings, topics=(better,))) == ()


def test_no_topics_at_all_is_a_failure() -> None:
    (finding,) = say(found(), KafkaSettings())
    assert (finding.about, finding.is_failure) == ("kafka.topics", True)
