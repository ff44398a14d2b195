"""`-o json` of every command, run on a real index, is what docs/cli_json.schema.json says.

A command that learns `-o json` fails here until it has a schema, an example below and its fields in
docs/CLI_JSON.md. The commands that ask a Kafka broker are represented by what prints their objects.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dejalog.daemon import cli
from dejalog.daemon.alerts.settings import AlertRule
from dejalog.daemon.alerts.state import STATE_NAME, AlertState, NewAlert
from dejalog.daemon.hit_json import Json, status_to_json, to_line
from dejalog.daemon.kafka import tables
from dejalog.daemon.kafka.lag import PartitionReach
from dejalog.daemon.kafka.topics import BrokerState, Finding, Made, Plan, Survey, TopicState
from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.status import IndexStatus, PartitionLag
from dejalog.indexer.store.directory import DataDirectory

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "cli_json.schema.json").read_text(encoding="ascii"))
PARTS = SCHEMA["$defs"]
COMMAND = re.compile(r"A line of `dejalog ([a-z ]+?)(?: -o json)?`: ")
COMMANDS = sorted(
    name for name, part in PARTS.items() if COMMAND.match(part.get("description", ""))
)

#: 2022-08-22 05:00:00 UTC.
START_NS = 1_661_144_400 * 10**9
HOUR_NS = 3_600 * 10**9
FAULT = ("hydraulic pressure low, E-1034", "pump P-101 tripped", "valve \x1b[31mV-7\u202e stuck")

Print = Callable[[Path], Iterator[list[str]]]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name in COMMANDS:
        found = COMMAND.match(PARTS[name]["description"])
        assert found is not None
        assert found[1].replace(" ", "-") == name


def with_json(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all commands that know `-o json`, as in the schema."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, sub in action.choices.items():
                yield from with_json(sub, (*words, word))
        elif action.dest == "output" and "json" in (action.choices or ()):
            yield "-".join(words)


def test_every_command_with_json_has_a_schema_and_an_example_here() -> None:
    known = {*with_json(cli._parser()), "deadletters-export"}
    assert known == set(COMMANDS) == {name.replace("_", "-") for name in EXAMPLES}


def events() -> list[Event]:
    """Two days of a press, with the same fault on both and a note after each."""
    labels = (("asset", "press-4"), ("severity", "error"))
    found = []
    for day in range(2):
        start_ns = START_NS + day * 24 * HOUR_NS
        lines = [(n, f"cycle {n} done") for n in range(20)]
        lines += [(20 + n, text) for n, text in enumerate(FAULT)]
        # A line that did not occur on the first day, every five minutes of the second.
        lines += [(300 * n, "filter clogged") for n in range(1, 200 * day)]
        for n, (second, text) in enumerate(lines):
            given = labels if text in FAULT else labels[:1]
            place = (TimeOrigin.EVENT, text, "plc.log", "1:1", day * 1_000 + n, 0)
            time_ns = start_ns + second * 10**9
            found.append(Event(Kind.LOG, time_ns, *place, given, (("line", str(n)),)))
        note = f"replaced the pump seal, pressure is good ({day})"
        origin = (TimeOrigin.EVENT, note, "notes", "1", day, 0)
        found.append(Event(Kind.NOTE, start_ns + HOUR_NS, *origin, labels[:1]))
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    folder = tmp_path_factory.mktemp("contract")
    with DataDirectory.open(folder / "data", is_writable=True) as directory:
        appender = Appender(directory, encoder)
        prepared = [PreparedEvent(each, mask_pattern(each.text)[0]) for each in events()]
        appender.append(Batch(prepared, [], []))
        for shard in directory.shards:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                while catch_up(shard, index):
                    pass
    (folder / "bad.log").write_bytes(b"fine\n\xff\xfe not UTF-8\nalso fine\n")
    run(folder / "data", "index", str(folder / "bad.log"))
    return folder / "data"


def run(data: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> list[str]:
    """Runs a command in this process, and returns the lines of its standard output."""
    settings = ["--data", str(data), "--set", "encoder.threads=1"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([*arguments, *settings])
    assert code in codes, err.getvalue()
    return out.getvalue().splitlines()


def ran(*arguments: str, codes: tuple[int, ...] = (0,)) -> Print:
    return lambda data: iter([run(data, *arguments, "-o", "json", codes=codes)])


def shown(*values: dict[str, Json]) -> Iterator[list[str]]:
    yield [to_line(value) for value in values]


def _status(data: Path) -> Iterator[list[str]]:
    yield run(data, "status", "-o", "json")
    yield run(data, "status", "-o", "json", "--set", f"data.directory={data}")
    lag = PartitionLag("kafka:logs", "0", 5, 9, 4)
    full = IndexStatus("/data", "0.1", "ab", 9, 3, 40, 1, 2, 4_096, 5, 9, 0, 12.5, 0.9, (lag,))
    empty = IndexStatus("/data", "0.1", "", 0, 0, 0, 0, 0, 0, None, None, 0, 0.0, 0.0)
    yield from shown(*(status_to_json(each, is_daemon=True) for each in (full, empty)))


def _compact(data: Path) -> Iterator[list[str]]:
    copy = _copied(data)
    yield run(copy, "compact", "--seal", "-o", "json")
    old = ("--set", "retain.age_max_s=1")
    yield run(copy, "compact", "--dry-run", "-o", "json", *old)
    yield run(copy, "compact", "-o", "json", *old)


def _shards(data: Path) -> Iterator[list[str]]:
    yield run(data, "shards", "-o", "json")
    copy = _copied(data)
    run(copy, "compact", "--seal")
    yield run(copy, "shards", "-o", "json")


def _retry(data: Path) -> Iterator[list[str]]:
    retry = ("deadletters", "retry", "--all", "-o", "json")
    copy = _copied(data)
    yield run(copy, *retry, "--dry-run", codes=(4,))
    yield run(copy, *retry, codes=(4,))


def _show(data: Path) -> Iterator[list[str]]:
    number = json.loads(run(data, "deadletters", "list", "-o", "json")[0])["number"]
    yield run(data, "deadletters", "show", str(number), "-o", "json")


def _copied(data: Path) -> Path:
    copy = data.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    return copy


def _tail(data: Path) -> Iterator[list[str]]:
    """The real process: it ends by Ctrl-C only."""
    main = [sys.executable, "-m", "dejalog.daemon", "tail", "pressure", "-n", "2", "-o", "json"]
    process = subprocess.Popen([*main, "--data", str(data)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    yield [*lines, *rest.splitlines()]


def _token(data: Path) -> Iterator[list[str]]:
    entries = []
    for name, days in (("panel-7", []), ("agent", ["--expires-days", "30"])):
        entries += run(data, "token", "new", "--name", name, "--role", "read", *days)
    path = data.parent / "tokens.toml"
    path.write_text("\n".join(entries), encoding="utf-8")
    path.chmod(0o600)
    yield run(data, "token", "list", "-o", "json", "--set", f"server.tokens_file={path}")


def _eval(data: Path) -> Iterator[list[str]]:
    task = data.parent / "task"
    task.mkdir(exist_ok=True)
    documents = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(FAULT)]
    (task / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)) + "\n")
    (task / "queries.jsonl").write_text('{"_id": "q1", "text": "pump trips"}\n')
    (task / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    yield run(data, "eval", str(task), "-o", "json", "--mode", "hybrid", "--mode", "lexical")


def _alerts(data: Path, action: str, *more: str) -> list[str]:
    """Of two queries, one of which has had an alert that was tried in vain."""
    config = data.parent / "alerts.toml"
    config.write_text(
        '[alerts]\n[[alerts.queries]]\nname = "low"\nquery = "pressure"\ncommand = ["true"]\n'
        '[[alerts.queries]]\nname = "all"\nwhere = ["kind=note"]\ncommand = ["true"]\n'
    )
    copy = _copied(data)
    rules = [
        AlertRule(name="low", query="pressure", command=("true",)),
        AlertRule(name="all", where=("kind=note",), command=("true",)),
    ]
    state = AlertState(copy / STATE_NAME)
    state.adopt(rules, 3)
    gate, _ = state.gate(rules[0])
    gate.admit("p", 1, START_NS)
    waiting = NewAlert("0a", "low", rules[0].target, b"{}", START_NS)
    state.commit(5, {"low": gate}, [waiting], waiting_max=5)
    (tried,) = state.waiting(1)
    state.failed(tried.number, START_NS, "exit 1\x1b")
    state.close()
    return run(copy, "alerts", action, *more, "-o", "json", "--config", str(config))


def _topics_create(_: Path) -> Iterator[list[str]]:
    plan = Plan((), ("logs",), ("plant-.*",))
    made = (Made("notes", "created"), Made("other", "failed", "no broker"))
    yield from shown(*tables.created_to_json(plan, made))


def _topics_check(_: Path) -> Iterator[list[str]]:
    topics = (TopicState("logs", 4, 1), TopicState("a", 4, 1, 1, "delete", 5, -1, 7, 8, "x"))
    findings = [Finding("logs", "is compacted", "loses", "change it", is_failure=True)]
    found = Survey(BrokerState("c", "3.9", 1), topics, frozenset({"logs"}))
    yield from shown(tables.survey_to_json(found, findings))


def _lag(_: Path) -> Iterator[list[str]]:
    reaches = (PartitionReach("logs", 0), PartitionReach("logs", 1, 2**53 + 1, 5, 0, 2**60, "far"))
    yield from shown(*(tables.reach_to_json("dejalog", each) for each in reaches))


EXAMPLES: dict[str, Print] = {
    "search": lambda data: iter(
        [
            run(data, "search", "hydraulic pressure", "-o", "json", "-C", "2"),
            run(data, "search", "E-1034", "-o", "json", "--mode", "lexical"),
            run(data, "search", '"E-1034"', "-o", "json", "--occurrences", "0"),
        ]
    ),
    "similar": ran("similar", "20"),
    "precedents": ran("precedents", "hydraulic pressure low", codes=(0,)),
    "context": ran("context", "20", "-C", "2"),
    "patterns": ran("patterns"),
    "diff": ran("diff", "--before", "2022-08-22", "--after", "2022-08-23", "--timezone", "UTC"),
    "histogram": lambda data: iter(
        [run(data, "histogram", "-o", "json"), run(data, "histogram", "--by", "kind", "-o", "json")]
    ),
    "tail": _tail,
    "status": _status,
    "shards": _shards,
    "compact": _compact,
    "token": _token,
    "deadletters_list": ran("deadletters", "list"),
    "deadletters_show": _show,
    "deadletters_export": lambda data: iter([run(data, "deadletters", "export")]),
    "deadletters_retry": _retry,
    "alerts_list": lambda data: iter([_alerts(data, "list")]),
    "alerts_pending": lambda data: iter([_alerts(data, "pending")]),
    "alerts_test": lambda data: iter([_alerts(data, "test", "low")]),
    "kafka_topics_create": _topics_create,
    "kafka_topics_check": _topics_check,
    "kafka_lag": _lag,
    "eval": _eval,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_line_is_as_the_schema_says(name: str, data: Path) -> None:
    schema = {"$ref": f"#/$defs/{name.replace('_', '-')}", "$defs": PARTS}
    validator = jsonschema.Draft202012Validator(schema)
    count = 0
    for lines in EXAMPLES[name](data):
        for line in lines:
            validator.validate(json.loads(line))
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", line.rstrip("\n"))
            count += 1
    assert count


def properties(part: dict[str, Any]) -> set[str]:
    """The fields of an object, whichever of its forms it has."""
    forms = part.get("oneOf", [part])
    return {name for form in forms for name in form.get("properties", {})}


def section(command: str) -> str:
    """What the documents say of a command, and of those to whose fields they refer."""
    text = (DOCS / "CLI_JSON.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    mine = "\n".join(each for each in parts if is_about(each.split("\n", 1)[0], command))
    for other in re.findall(r"\bas (?:of|by|in) `dejalog ([a-z ]+?)(?: -o json)?`", mine):
        if other != command:
            mine += section(other)
    if command.startswith("kafka"):
        mine += (DOCS / "KAFKA.md").read_text(encoding="utf-8")
    return mine


def is_about(heading: str, command: str) -> bool:
    quoted = re.findall(r"`dejalog ([^`]+)`", heading)
    return any(each == command or each.startswith(f"{command} ") for each in quoted)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_field_of_a_command_is_in_its_section(name: str) -> None:
    text = section(name.replace("-", " "))
    assert text, "docs/CLI_JSON.md has no section"
    assert not {field for field in properties(PARTS[name]) if f"`{field}`" not in text}


@pytest.mark.parametrize("name", sorted(set(PARTS) - set(COMMANDS)))
def test_every_field_of_a_part_is_in_the_documents(name: str) -> None:
    names = ("CLI_JSON.md", "KAFKA.md")
    text = "".join((DOCS / each).read_text(encoding="utf-8") for each in names)
    assert not {field for field in properties(PARTS[name]) if f"`{field}`" not in text}


def test_no_field_is_documented_that_is_not_in_the_schema() -> None:
    known = {field for part in PARTS.values() for field in properties(part)}
    text = (DOCS / "CLI_JSON.md").read_text(encoding="utf-8")
    tables_of_fields = re.findall(r"^\| field \|.*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)
    assert len(tables_of_fields) > 8
    for table in tables_of_fields:
        for row in table.splitlines()[2:]:
            fields = set(re.findall(r"`([^`]+)`", row.split(" | ")[0]))
            assert fields <= known, row
