"""What the tools print: tables for a person, objects for `-o json` as docs/KAFKA.md says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dejalog.daemon.commands.status import size
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.hit_json import Json
from dejalog.daemon.kafka.lag import Lag, PartitionReach
from dejalog.daemon.kafka.topics import BrokerState, Finding, Made, Plan, Survey, TopicState

#: Wide enough for every table: what reads a pipe is not helped by lines that were broken to fit.
_PIPE_COLUMNS = 500


def print_created(console: Console, plan: Plan, made: Sequence[Made]) -> None:
    """Prints a line for each topic: created, there already, failed or a pattern."""
    partitions = {topic.name: topic.partitions for topic in plan.new}
    for each in made:
        line = Text().append(each.name, "cyan")
        if each.outcome == "created":
            line.append(f"  created, {_counted(partitions[each.name], 'partition')}", "green")
        elif each.outcome == "failed":
            line.append(f"  failed: {each.reason}", "bold red")
        else:
            line.append(f"  {each.outcome}")
        _print(console, line)
    for name in plan.existing:
        _print(
            console, Text().append(name, "cyan").append("  exists already, and is left as it is")
        )
    for pattern in plan.patterns:
        text = "  a pattern names no topic; its topics are made by whoever writes to them"
        _print(console, Text().append(pattern, "cyan").append(text, "dim"))


def created_to_json(plan: Plan, made: Sequence[Made]) -> Iterator[dict[str, Json]]:
    """Yields an object for each topic and pattern."""
    for each in made:
        yield {"topic": each.name, "outcome": each.outcome, "reason": each.reason or None}
    for name in plan.existing:
        yield {"topic": name, "outcome": "exists already", "reason": None}
    for pattern in plan.patterns:
        yield {"pattern": pattern, "outcome": "skipped", "reason": "a pattern names no topic"}


def print_survey(console: Console, found: Survey, findings: Sequence[Finding]) -> None:
    """Prints the broker, the topics and the findings."""
    _print(console, _broker(found.broker))
    if found.topics:
        _print(console, Text())
        _print_table(console, _topics(found.topics))
    for finding in findings:
        _print(console, Text())
        kind, style = ("failure", "bold red") if finding.is_failure else ("warning", "bold yellow")
        head = Text().append(f"{kind}: ", style).append(finding.about, "cyan")
        lines = (
            head.append(f": {finding.text}"),
            Text(finding.reason, "dim"),
            Text(finding.advice),
        )
        for line in lines:
            console.print(line, soft_wrap=not console.is_terminal)
    _print(console, Text())
    _print(console, _verdict(found, findings))


def _broker(broker: BrokerState) -> Text:
    brokers = _counted(broker.brokers, "broker")
    return Text(f"Kafka {broker.version}, {brokers}, cluster {broker.cluster}", "bold")


def _verdict(found: Survey, findings: Sequence[Finding]) -> Text:
    failures = sum(finding.is_failure for finding in findings)
    warnings = len(findings) - failures
    if failures:
        rest = f", {_counted(warnings, 'warning')}" if warnings else ""
        return Text(f"{_counted(failures, 'failure')}{rest}", "bold red")
    if warnings:
        return Text(f"it works; {_counted(warnings, 'warning')}", "yellow")
    return Text(f"{_counted(len(found.topics), 'topic')}, all good", "green")


def _topics(topics: Sequence[TopicState]) -> Table:
    table = _table()
    table.add_column("topic", overflow="fold", min_width=12)
    for name in ("parts", "copies"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("cleanup", no_wrap=True)
    for name in ("kept for", "kept size", "segment", "largest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("time of", no_wrap=True)
    for topic in topics:
        table.add_row(
            topic.name,
            str(topic.partitions),
            str(topic.replication),
            topic.cleanup_policy or "?",
            _kept(topic.retention_ms),
            _bytes(topic.retention_bytes),
            _bytes(topic.segment_bytes),
            _bytes(topic.max_message_bytes),
            {"CreateTime": "producer", "LogAppendTime": "broker"}.get(topic.timestamp_type, "?"),
        )
    return table


def survey_to_json(found: Survey, findings: Sequence[Finding]) -> dict[str, Json]:
    """Returns broker, topics and findings as one object."""
    return {
        "broker": {
            "cluster": found.broker.cluster,
            "version": found.broker.version,
            "brokers": found.broker.brokers,
        },
        "topics": [_topic_to_json(topic) for topic in found.topics],
        "findings": [
            {
                "severity": "failure" if finding.is_failure else "warning",
                "about": finding.about,
                "text": finding.text,
                "reason": finding.reason,
                "advice": finding.advice,
            }
            for finding in findings
        ],
    }


def _topic_to_json(topic: TopicState) -> dict[str, Json]:
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "replication": topic.replication,
        "leaderless_partitions": topic.leaderless,
        "cleanup_policy": topic.cleanup_policy or None,
        "retention_ms": topic.retention_ms,
        "retention_bytes": topic.retention_bytes,
        "segment_bytes": topic.segment_bytes,
        "max_message_bytes": topic.max_message_bytes,
        "timestamp_type": topic.timestamp_type or None,
    }


def print_lag(console: Console, lag: Lag) -> None:
    """Prints a row for each partition, and the sum."""
    if lag.partitions:
        table = _table()
        table.add_column("topic", overflow="fold", min_width=12)
        for name in ("part", "stored", "committed", "begins", "ends", "lag"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("", overflow="fold")
        for each in lag.partitions:
            numbers = (each.stored, each.committed, each.begin, each.end)
            table.add_row(
                each.topic,
                str(each.partition),
                *(_offset(number) for number in numbers),
                Text(_offset(each.lag), "bold yellow" if each.lag else "green"),
                Text(each.note, "dim"),
            )
        _print_table(console, table)
    where = f"{_counted(len(lag.partitions), 'partition')}, group {lag.group}"
    _print(console, Text(f"lag {grouped(lag.total)} in {where}", "bold"))


def reach_to_json(group: str, each: PartitionReach) -> dict[str, Json]:
    """Returns one partition; offsets are strings, as all 64-bit numbers."""
    return {
        "topic": each.topic,
        "partition": each.partition,
        "group": group,
        "stored": _text(each.stored),
        "committed": _text(each.committed),
        "begin": _text(each.begin),
        "end": _text(each.end),
        "lag": each.lag,
        "note": each.note or None,
    }


def _table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))


def _print_table(console: Console, table: Table) -> None:
    width = console.width
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    with console.capture() as captured:
        console.print(table)
    console.width = width
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def _print(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True)


def _offset(number: int | None) -> str:
    return "-" if number is None else grouped(number)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _kept(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "?"
    if milliseconds < 0:
        return "ever"
    hours = milliseconds / 3_600_000
    return f"{hours:g} h" if hours == int(hours) else f"{hours:.2f} h"


def _bytes(number: int | None) -> str:
    if number is None:
        return "?"
    return "no bound" if number < 0 else size(number)


def _counted(count: int, name: str) -> str:
    return f"{grouped(count)} {name}{'' if count == 1 else 's'}"
