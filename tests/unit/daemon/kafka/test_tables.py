from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from rich.console import Console

from dejalog.daemon.hit_json import to_line
from dejalog.daemon.kafka import tables
from dejalog.daemon.kafka.lag import Lag, PartitionReach
from dejalog.daemon.kafka.topics import (
    BrokerState,
    Finding,
    Made,
    NewTopic,
    Plan,
    Survey,
    TopicState,
)
from dejalog.daemon.terminal import open_console

LONG = "plant-7.line-12.hydraulics.press.logs.of-the-second-shift"
BIG = 10**15
TOPIC = TopicState(
    name=LONG,
    partitions=128,
    replication=3,
    cleanup_policy="compact,delete",
    retention_ms=72 * 3_600_000,
    retention_bytes=512 << 20,
    segment_bytes=64 << 20,
    max_message_bytes=1_048_588,
    timestamp_type="LogAppendTime",
)
FINDINGS = (
    Finding("notes", "there is no such topic", "nothing can be read", "create it", True),
    Finding(LONG, "a single partition", "one worker" * 12, "add partitions" * 9),
)
SURVEY = Survey(BrokerState("abc", "4.1", 1), (TOPIC,), frozenset({LONG}))
LAG = Lag(
    "dejalog",
    (
        PartitionReach(LONG, 0, 12_345_678, 12_345_600, 1_000, 12_345_690),
        PartitionReach(LONG, 1, None, None, 0, 5, "never read"),
        PartitionReach("gone", 0, 7, None, None, None, "the partition is gone"),
    ),
)
PLAN = Plan((NewTopic("logs", 4, 1, {}), NewTopic("notes", 1, 3, {})), ("old",), (r"plant-\d+",))
MADE = (Made("logs", "created"), Made("notes", "failed", "only 1 broker"))

Printing = Callable[[Console], None]
PRINTINGS: dict[str, Printing] = {
    "created": lambda console: tables.print_created(console, PLAN, MADE),
    "survey": lambda console: tables.print_survey(console, SURVEY, FINDINGS),
    "lag": lambda console: tables.print_lag(console, LAG),
}


def piped(printing: Printing) -> list[str]:
    stream = io.StringIO()
    printing(open_console(stream))
    return stream.getvalue().splitlines()


def on_terminal(printing: Printing, width: int) -> list[str]:
    stream = io.StringIO()
    printing(Console(file=stream, force_terminal=True, width=width, color_system=None))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("name", PRINTINGS)
def test_a_terminal_of_100_columns_is_wide_enough(name: str) -> None:
    lines = on_terminal(PRINTINGS[name], 100)
    assert max(map(len, lines)) <= 100
    for word in ("...", "\u2026"):
        assert word not in "\n".join(lines)


@pytest.mark.parametrize("name", PRINTINGS)
def test_a_pipe_gets_whole_names_and_no_blanks_at_the_end(name: str) -> None:
    lines = piped(PRINTINGS[name])
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in "".join(lines)
    if name != "created":
        assert any(LONG in line for line in lines)


def test_each_topic_says_what_became_of_it() -> None:
    assert piped(PRINTINGS["created"]) == [
        "logs  created, 4 partitions",
        "notes  failed: only 1 broker",
        "old  exists already, and is left as it is",
        r"plant-\d+  a pattern names no topic; its topics are made by whoever writes to them",
    ]
    rows = [json.loads(to_line(row)) for row in tables.created_to_json(PLAN, MADE)]
    assert rows[0] == {"topic": "logs", "outcome": "created", "reason": None}
    assert rows[1] == {"topic": "notes", "outcome": "failed", "reason": "only 1 broker"}
    assert rows[2]["outcome"] == "exists already"
    assert rows[3]["pattern"] == r"plant-\d+"


def test_a_survey_ends_with_its_verdict() -> None:
    lines = piped(PRINTINGS["survey"])
    assert lines[0] == "Kafka 4.1, 1 broker, cluster abc"
    row = "128 3 compact,delete 72 h 512.0 MiB 64.0 MiB 1.0 MiB broker"
    assert lines[3].split()[1:] == row.split()
    assert "failure: notes: there is no such topic" in lines
    assert lines[-1] == "1 failure, 1 warning"
    warned = piped(lambda console: tables.print_survey(console, SURVEY, FINDINGS[1:]))
    assert warned[-1] == "it works; 1 warning"
    good = piped(lambda console: tables.print_survey(console, SURVEY, ()))
    assert good[-1] == "1 topic, all good"


def test_what_could_not_be_read_is_a_question_mark_and_null() -> None:
    unknown = Survey(SURVEY.broker, (TopicState("logs", 4, 1),), frozenset({"logs"}))
    row = piped(lambda console: tables.print_survey(console, unknown, ()))[3]
    assert row.split() == ["logs", "4", "1", "?", "?", "?", "?", "?", "?"]
    (topic,) = json.loads(to_line(tables.survey_to_json(unknown, ())))["topics"]
    assert topic["retention_ms"] is None
    assert topic["timestamp_type"] is None


def test_no_bound_is_told_from_a_number() -> None:
    unbound = TopicState("logs", 4, 1, retention_ms=-1, retention_bytes=-1)
    survey = Survey(SURVEY.broker, (unbound,), frozenset({"logs"}))
    row = piped(lambda console: tables.print_survey(console, survey, ()))[3]
    assert row.split()[4:7] == ["ever", "no", "bound"]


def test_json_of_a_survey_has_findings_by_severity() -> None:
    value = json.loads(to_line(tables.survey_to_json(SURVEY, FINDINGS)))
    assert value["broker"] == {"cluster": "abc", "version": "4.1", "brokers": 1}
    assert [each["severity"] for each in value["findings"]] == ["failure", "warning"]
    assert value["topics"][0]["retention_ms"] == 72 * 3_600_000


def test_the_lag_has_a_row_for_each_partition_and_a_sum() -> None:
    lines = piped(PRINTINGS["lag"])
    assert lines[0].split() == ["topic", "part", "stored", "committed", "begins", "ends", "lag"]
    assert lines[2].split() == [LONG, "1", "-", "-", "0", "5", "5", "never", "read"]
    assert lines[-1] == "lag 17 in 3 partitions, group dejalog"


def test_offsets_in_json_are_strings() -> None:
    reach = PartitionReach("logs", 3, BIG, None, 0, BIG + 2)
    assert json.loads(to_line(tables.reach_to_json("g", reach))) == {
        "topic": "logs",
        "partition": 3,
        "group": "g",
        "stored": str(BIG),
        "committed": None,
        "begin": "0",
        "end": str(BIG + 2),
        "lag": 2,
        "note": None,
    }
