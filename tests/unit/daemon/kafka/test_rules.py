from __future__ import annotations

import re

import pytest

from dejalog.daemon.kafka.rules import TopicRules, source_of, topic_of
from dejalog.daemon.kafka.settings import TopicRule
from dejalog.indexer.event import Kind, Record


def record(rules: TopicRules, topic: str = "logs", **changes: object) -> Record:
    given = {
        "topic": topic,
        "partition": 3,
        "offset": 41,
        "key": b"P-101",
        "value": b"pump trips",
        "headers": (("line", b"L4"),),
        "received_at_ns": 7,
    }
    return rules.record(**{**given, **changes})  # type: ignore[arg-type]


def test_a_record_keeps_where_it_stood_and_what_it_said() -> None:
    made = record(TopicRules([TopicRule(name="logs", encoding="text")]))
    assert (made.source, made.partition, made.offset, made.next_offset) == (
        "kafka:logs",
        "3",
        41,
        42,
    )
    assert (made.data, made.key, made.headers) == (b"pump trips", b"P-101", (("line", b"L4"),))
    assert (made.encoding, made.received_at_ns, made.is_void) == ("text", 7, False)


def test_a_record_without_a_value_is_void() -> None:
    made = record(TopicRules([TopicRule(name="logs")]), value=None)
    assert made.is_void
    assert not record(TopicRules([TopicRule(name="logs")]), value=b"").is_void


def test_labels_are_filled_in_from_the_record_and_its_topic() -> None:
    labels = {"site": "plant-7", "asset": "{key}", "line": "{header:line}", "of": "{group:area}"}
    rules = TopicRules([TopicRule(pattern=r"(?P<area>\w+)\.logs", labels=labels)])
    made = record(rules, topic="press.logs")
    assert made.labels == (("asset", "P-101"), ("line", "L4"), ("of", "press"), ("site", "plant-7"))


def test_a_label_whose_placeholder_is_absent_is_left_out() -> None:
    rules = TopicRules([TopicRule(name="logs", labels={"asset": "{key}", "site": "s"})])
    assert record(rules, key=None).labels == (("site", "s"),)
    assert record(rules, key=b"\xff").labels == (("site", "s"),)


def test_constant_labels_differ_by_partition() -> None:
    rules = TopicRules([TopicRule(name="logs", labels={"lane": "{partition}"})])
    assert record(rules).labels == (("lane", "3"),)
    assert record(rules, partition=4).labels == (("lane", "4"),)


def test_the_kind_of_a_topic_overrules_the_record() -> None:
    assert record(TopicRules([TopicRule(name="logs", kind="note")])).kind is Kind.NOTE
    assert record(TopicRules([TopicRule(name="logs")])).kind is None


def test_the_first_rule_that_fits_applies() -> None:
    rules = TopicRules([TopicRule(name="logs", encoding="json"), TopicRule(pattern=".*")])
    assert record(rules).encoding == "json"
    assert record(rules, topic="other").encoding == "auto"


@pytest.mark.parametrize(
    ("topic", "is_read"),
    [
        ("logs", True),
        ("logs.old", False),
        ("xlogs", False),
        ("line4.notes", True),
        ("line4.notesx", False),
    ],
)
def test_the_subscription_names_exactly_the_topics_of_the_rules(topic: str, is_read: bool) -> None:
    given = [TopicRule(name="logs"), TopicRule(pattern=r"line(?P<n>\d+)\.notes|(?P<m>x)y")]
    rules = TopicRules([*given, TopicRule(pattern=r"(?P<n>z)")])
    assert bool(re.match(rules.subscription(), topic)) is is_read
    assert rules.is_read(topic) is is_read


def test_a_name_means_itself_and_is_no_pattern() -> None:
    rules = TopicRules([TopicRule(name="a.b")])
    assert rules.names() == ["a.b"]
    assert not re.match(rules.subscription(), "axb")


def test_sources_and_topics_are_told_from_each_other() -> None:
    assert topic_of(source_of("logs")) == "logs"
    assert topic_of("file") is None
