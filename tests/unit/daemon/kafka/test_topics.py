from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.kafka.settings import KafkaSettings, TopicRule
from dejalog.daemon.kafka.topics import (
    BATCH_BYTES,
    Layout,
    Plan,
    named_topics,
    plan_topics,
    read_topics,
)

MIB = 1 << 20
LOGS, NOTES = TopicRule(name="logs"), TopicRule(name="notes")
PLANTS = TopicRule(pattern=r"plant-\d+")


def settings(*rules: TopicRule, suffix: str = "") -> KafkaSettings:
    return KafkaSettings(topics=rules, dead_letter_suffix=suffix)


DEFAULT = Layout()


def plan(given: KafkaSettings, *existing: str, layout: Layout = DEFAULT) -> Plan:
    return plan_topics(given, layout, frozenset(existing), record_bytes_max=MIB)


def test_what_is_named_is_made_and_what_exists_is_left_alone() -> None:
    planned = plan(settings(LOGS, NOTES), "notes", "other")
    assert [topic.name for topic in planned.new] == ["logs"]
    assert planned.existing == ("notes",)


def test_a_pattern_is_said_to_name_no_topic() -> None:
    planned = plan(settings(PLANTS, LOGS), "plant-7")
    assert planned.patterns == (r"plant-\d+",)
    assert [topic.name for topic in planned.new] == ["logs"]
    assert planned.existing == ()


def test_each_named_topic_gets_a_topic_for_its_dead_letters() -> None:
    planned = plan(settings(LOGS, PLANTS, NOTES, suffix=".dlq"), "notes.dlq")
    assert [topic.name for topic in planned.new] == ["logs", "notes", "logs.dlq"]
    assert planned.existing == ("notes.dlq",)


def test_a_dead_letter_topic_that_is_itself_configured_is_made_as_configured() -> None:
    planned = plan(settings(LOGS, TopicRule(name="logs.dlq"), suffix=".dlq"))
    by_name = {topic.name: topic for topic in planned.new}
    assert by_name["logs.dlq"].partitions == by_name["logs"].partitions
    assert len(planned.new) == 2


def test_topics_that_a_pattern_matches_get_one_too_and_dead_letters_none() -> None:
    given_settings = settings(TopicRule(pattern="plant-.*"), suffix=".dlq")
    planned = plan(given_settings, "plant-7", "plant-8", "plant-8.dlq", "other")
    assert [topic.name for topic in planned.new] == ["plant-7.dlq"]
    assert planned.existing == ("plant-8.dlq",)


def test_a_topic_is_made_as_the_flags_say() -> None:
    layout = Layout(8, 3, retention_hours=168, retention_bytes=10 * MIB, segment_bytes=2 * MIB)
    (topic,) = plan(settings(LOGS), layout=layout).new
    assert (topic.partitions, topic.replication) == (8, 3)
    assert topic.settings == {
        "cleanup.policy": "delete",
        "retention.ms": str(168 * 3600 * 1000),
        "retention.bytes": str(10 * MIB),
        "segment.bytes": str(2 * MIB),
        "segment.ms": str(24 * 3600 * 1000),
        "max.message.bytes": str(MIB + BATCH_BYTES),
        "message.timestamp.type": "LogAppendTime",
    }


def test_dead_letters_are_kept_longer_in_one_partition_of_little_disk() -> None:
    logs, dead = plan(settings(LOGS, suffix=".dlq")).new
    assert dead.partitions == 1
    for setting, is_more in (("retention.ms", True), ("max.message.bytes", True)):
        assert (int(dead.settings[setting]) > int(logs.settings[setting])) is is_more
    for setting in ("retention.bytes", "segment.bytes"):
        assert int(dead.settings[setting]) < int(logs.settings[setting])


@given(st.integers(1, 1000))
def test_no_segment_outlives_its_retention(hours: int) -> None:
    for topic in plan(settings(LOGS, suffix=".dlq"), layout=Layout(retention_hours=hours)).new:
        assert int(topic.settings["segment.ms"]) <= int(topic.settings["retention.ms"])


@given(st.sets(st.sampled_from(["logs", "notes", "logs.dlq", "notes.dlq", "x"])))
def test_a_second_run_makes_nothing(existing: set[str]) -> None:
    given_settings = settings(LOGS, NOTES, suffix=".dlq")
    first = plan(given_settings, *existing)
    made = {topic.name for topic in first.new}
    assert not made & existing
    second = plan(given_settings, *existing, *made)
    assert second.new == ()
    assert set(second.existing) == {"logs", "notes", "logs.dlq", "notes.dlq"}


def test_a_name_that_is_given_twice_counts_once() -> None:
    assert named_topics(settings(LOGS, PLANTS, LOGS, NOTES)) == ("logs", "notes")


def test_a_worker_reads_what_is_named_and_what_a_pattern_matches_whole() -> None:
    names = ("plant-7", "plant-77", "my-plant-7", "plant-x", "logs", "logs.dlq")
    assert read_topics(settings(LOGS, PLANTS), names) == ("logs", "plant-7", "plant-77")


def test_the_defaults_delete_in_small_steps() -> None:
    layout = Layout()
    assert layout.retention_bytes // layout.segment_bytes >= 8
    assert layout.retention_hours >= 24
