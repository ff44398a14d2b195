"""`dejalog kafka` as a person calls it, against a real broker."""

from __future__ import annotations

import gc
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType

from dejalog.daemon import cli
from dejalog.daemon.commands import kafka
from dejalog.daemon.kafka import replay
from dejalog.indexer.append import Batch
from dejalog.indexer.event import Position

from .broker import PASSWORD, USER, Broker
from .endpoint import Endpoint, wait_for
from .worker import Worker

pytestmark = [
    # kafka-python reads its own files through a function that Python 3.11 to 3.12 calls deprecated,
    pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning"),
    # and leaves the sockets of connections that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


Tool = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _sockets_are_collected_here() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def tool(
    broker: Endpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tool:
    """Runs `dejalog kafka WORDS`; further settings are those of [kafka]."""
    monkeypatch.setattr(cli, "COMMANDS", (kafka,))

    def run(
        words: list[str],
        *,
        at: str = broker.bootstrap,
        data: Path = tmp_path / "index",
        **settings: object,
    ) -> Ran:
        flags = ["--data", str(data)]
        for key, value in {"bootstrap_servers": at, **settings}.items():
            text = value if isinstance(value, str) else json.dumps(value)
            flags += ["--set", f"kafka.{key}={text}"]
        capsys.readouterr()
        code = cli.main(["kafka", *words, *flags])
        return Ran(code, *capsys.readouterr())

    return run


def settings_of(broker: Endpoint, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    found = broker._admin().describe_configs([resource])[resource].result(30)
    return {name: entry.value for name, entry in found.items()}


def test_topics_are_made_once_and_never_changed(broker: Endpoint, tool: Tool, topic: str) -> None:
    given = {"topics": [{"name": topic}, {"pattern": f"{topic}-x.*"}], "dead_letter_suffix": ".dlq"}
    ran = tool(["topics", "create", "--partitions", "3", "--retention-hours", "24"], **given)
    assert (ran.code, ran.err) == (0, "")
    assert f"{topic}  created, 3 partitions\n{topic}.dlq  created, 1 partition\n" in ran.out
    assert f"{topic}-x.*  a pattern names no topic" in ran.out
    assert len(broker.partitions(topic)) == 3
    made = settings_of(broker, topic)
    assert made["retention.ms"] == "86400000"
    assert made["retention.bytes"] == str(512 << 20)
    assert made["segment.bytes"] == str(64 << 20)
    assert made["cleanup.policy"] == "delete"
    again = tool(["topics", "create", "--partitions", "9", "-o", "json"], **given)
    assert again.code == 0
    assert [row["outcome"] for row in again.rows()] == ["exists already"] * 2 + ["skipped"]
    assert len(broker.partitions(topic)) == 3
    assert settings_of(broker, topic) == made


def test_a_topic_that_cannot_be_made_says_why(tool: Tool, topic: str) -> None:
    ran = tool(["topics", "create", "--replication", "3"], topics=[{"name": topic}])
    assert ran.code == 3
    assert ran.out.startswith(f"{topic}  failed: ")
    assert "replication factor" in ran.out.lower()


def test_topics_as_they_are_made_pass_the_check(tool: Tool, topic: str) -> None:
    given = {"topics": [{"name": topic}], "dead_letter_suffix": ".dlq"}
    assert tool(["topics", "create"], **given).code == 0
    ran = tool(["topics", "check"], **given)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "1 topic, all good"
    assert ran.out.startswith("Kafka 4.")


def test_the_check_tells_failures_from_warnings(broker: Endpoint, tool: Tool, topic: str) -> None:
    broker.create_topic(topic, 1, retention_ms=3_600_000, max_message_bytes=4 << 20)
    given = {"topics": [{"name": topic}, {"pattern": f"{topic}-none"}]}
    warned = tool(["topics", "check", "-o", "json"], **given)
    assert warned.code == 0
    (report,) = warned.rows()
    assert report["topics"][0]["retention_ms"] == 3_600_000
    assert Counter(each["about"] for each in report["findings"]) == {topic: 3, f"{topic}-none": 1}
    given["topics"].append({"name": f"{topic}-missing"})
    failed = tool(["topics", "check", "-o", "json"], **given)
    assert failed.code == 3
    assert failed.rows()[0]["findings"][0]["about"] == f"{topic}-missing"


def test_lag_counts_from_what_is_stored_or_committed_or_there(
    broker: Endpoint, tool: Tool, topic: str, make_index
) -> None:
    broker.create_topic(topic, 5)
    for partition in range(5):
        broker.produce(topic, [b"x"] * 10, partition=partition)
    broker.commit(topic, topic, {0: 2, 1: 3, 2: 9})
    broker.delete_records(topic, 3, 6)
    stored = {(topic, "0"): 4, (topic, "3"): 5, (topic, "4"): 99, (f"{topic}-gone", "0"): 7}
    positions = [Position(f"kafka:{name}", number, at) for (name, number), at in stored.items()]
    made = make_index()
    made.appender.append(Batch([], [], positions))
    made.directory.close()
    given = {"topics": [{"name": topic}], "group": topic}
    ran = tool(["lag", "-o", "json"], data=made.path, **given)
    assert (ran.code, ran.err) == (0, "")
    rows = {(row["topic"], row["partition"]): row for row in ran.rows()}
    fields = ("stored", "committed", "begin", "end", "lag")
    assert {place: tuple(row[name] for name in fields) for place, row in rows.items()} == {
        (topic, 0): ("4", "2", "0", "10", 6),
        (topic, 1): (None, "3", "0", "10", 7),
        (topic, 2): (None, "9", "0", "10", 1),
        (topic, 3): ("5", None, "6", "10", 4),
        (topic, 4): ("99", None, "0", "10", 0),
        (f"{topic}-gone", 0): ("7", None, None, None, None),
    }
    assert rows[topic, 3]["note"] == "1 deleted by retention before they were read"
    assert "beyond the end" in rows[topic, 4]["note"]
    assert rows[f"{topic}-gone", 0]["note"] == "the partition is gone"


def test_the_end_is_where_a_reader_of_committed_records_stops(
    broker: Endpoint, tool: Tool, topic: str
) -> None:
    broker.create_topic(topic, 1)
    broker.produce_transaction(topic, [b"a", b"b"], commit=False)
    ran = tool(["lag"], topics=[{"name": topic}, {"name": f"{topic}-missing"}], group=topic)
    # Two records and the marker that ends their transaction.
    assert ran.out.splitlines()[1].split() == [topic, "0", "-", "-", "0", "3", "3", "never", "read"]
    assert ran.code == 3
    assert ran.err == f"dejalog: there is no topic {topic}-missing\n"


def records_in(broker: Endpoint, topic: str) -> int:
    """How many records a topic has, as far as its partitions have a leader yet."""
    try:
        return sum(broker.end_offsets(topic).values())
    except KafkaException:
        return 0


def test_a_worker_that_has_read_everything_leaves_no_lag(
    broker: Endpoint, tool: Tool, topic: str, logs: Path, make_worker: Callable[..., Worker]
) -> None:
    broker.create_topic(topic, 3)
    assert tool(["replay", str(logs), "--topic", topic]).code == 0
    worker = make_worker(broker)
    worker.start()
    worker.wait_until_at_end(broker, topic)
    ran = tool(["lag"], topics=[{"name": topic}], group=topic, data=worker.data)
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == f"lag 0 in 3 partitions, group {topic}"
    stored = [int(row.split()[2]) for row in ran.out.splitlines()[1:-1]]
    assert sum(stored) == 103
    worker.stop()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with a log that has a stack trace, another one as .gz, and notes."""
    folder = tmp_path / "logs"
    folder.mkdir()
    lines = [f"2024-03-05 10:00:{n:02d} INFO pump {n}" for n in range(60)]
    lines.insert(
        30, "2024-03-05 10:00:30 ERROR it broke\n\tat Pump.run(Pump.java:7)\n\tat Main.a(M:1)"
    )
    (folder / "pump.log").write_text("\n".join(lines) + "\n")
    with gzip.open(folder / "valve.log.gz", "wt") as file:
        file.writelines(f"valve {n}\n" for n in range(40))
    (folder / "notes.jsonl").write_text('{"text": "\u00e4 bearing"}\n\n{"text": "b"}\n')
    return folder


def test_every_event_of_the_files_is_one_record(
    broker: Endpoint, tool: Tool, topic: str, logs: Path
) -> None:
    broker.create_topic(topic, 4)
    ran = tool(["replay", str(logs), "--topic", topic, "--compression", "gzip"])
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("103 records (")
    assert ran.err.count("\n") == 1
    read = broker.read(topic)
    values = Counter(message.value() for message in read)
    trace = b"2024-03-05 10:00:30 ERROR it broke\n\tat Pump.run(Pump.java:7)\n\tat Main.a(M:1)"
    assert values[trace] == 1
    assert values['{"text": "\u00e4 bearing"}'.encode()] == 1
    assert sum(values[b"valve %d" % n] for n in range(40)) == 40
    assert sum(values.values()) == 103
    counts = Counter(message.partition() for message in read)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_file_stays_in_order_where_its_name_is_the_key(
    broker: Endpoint, tool: Tool, topic: str, logs: Path
) -> None:
    broker.create_topic(topic, 3)
    assert tool(["replay", str(logs), "--topic", topic, "--key-by", "file"]).code == 0
    read = broker.read(topic)
    assert {message.key() for message in read} == {b"pump.log", b"valve.log.gz", b"notes.jsonl"}
    valves = [message for message in read if message.key() == b"valve.log.gz"]
    assert len({message.partition() for message in valves}) == 1
    in_order = sorted(valves, key=lambda message: message.offset())
    assert [message.value() for message in in_order] == [b"valve %d" % n for n in range(40)]


def test_a_limit_a_rate_and_one_key_for_all(
    broker: Endpoint, tool: Tool, topic: str, logs: Path
) -> None:
    broker.create_topic(topic, 3)
    flags = ["--limit", "7", "--rate", "1000", "--key", "P-101"]
    ran = tool(["replay", str(logs / "valve.log.gz"), "--topic", topic, *flags])
    assert ran.code == 0
    read = broker.read(topic)
    assert [message.value() for message in read] == [b"valve %d" % n for n in range(7)]
    assert {message.key() for message in read} == {b"P-101"}


def test_standard_input_is_sent_to_its_end(
    broker: Endpoint, tool: Tool, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.create_topic(topic)
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nthree")
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        assert tool(["replay", "-", "--topic", topic]).code == 0
    assert [message.value() for message in broker.read(topic)] == [b"one", b"two", b"three"]


def test_a_record_that_the_topic_does_not_take_is_left_out_and_counted(
    broker: Endpoint, tool: Tool, topic: str, tmp_path: Path
) -> None:
    broker.create_topic(topic, 1, max_message_bytes=2000)
    lines = [b"a" * 1900, b"b" * 1908, b"c" * 5000, b"d" * 200_000, b"e"]
    (tmp_path / "x.log").write_bytes(b"\n".join(lines) + b"\n")
    ran = tool(["replay", str(tmp_path / "x.log"), "--topic", topic])
    assert ran.code == 4
    assert "; 3 were not sent: larger than the topic takes" in ran.err
    assert [message.value() for message in broker.read(topic)] == [lines[0], lines[4]]


def test_a_topic_that_is_missing_is_not_made_by_the_way(
    broker: Endpoint, tool: Tool, topic: str, logs: Path
) -> None:
    ran = tool(["replay", str(logs), "--topic", topic])
    assert (ran.code, ran.out) == (3, "")
    advice = "name it in kafka.topics and run 'dejalog kafka topics create'"
    assert ran.err == f"dejalog: the broker at {broker.bootstrap} has no topic {topic}; {advice}\n"
    assert broker.partitions(topic) == []


def beside(run: Callable[[], Ran], act: Callable[[], None]) -> Ran:
    """Returns what a tool did while something happened to its broker.

    The tool has the other thread: a broker ends with the thread that started it.
    """
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(run)
        act()
        return ran.result()


def test_a_topic_that_is_deleted_meanwhile_ends_it(
    broker: Endpoint, tool: Tool, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_DELIVERY_S", 4.0)
    broker.create_topic(topic, 3)
    (tmp_path / "x.log").write_text("".join(f"line {n}\n" for n in range(30_000)))

    def delete() -> None:
        wait_for(lambda: records_in(broker, topic) > 200, "records come")
        broker.delete_topic(topic)

    words = ["replay", str(tmp_path / "x.log"), "--topic", topic, "--rate", "600"]
    timing = {"request_timeout_s": "3", "session_timeout_s": "3"}
    ran = beside(lambda: tool(words, **timing), delete)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"dejalog: topic {topic}: sending failed, ")
    assert ran.err.count("\n") == 1


def test_ctrl_c_ends_it_with_what_was_sent(broker: Endpoint, topic: str, tmp_path: Path) -> None:
    broker.create_topic(topic, 2)
    (tmp_path / "x.log").write_text("".join(f"line {n}\n" for n in range(100_000)))
    program = (
        "import sys; from dejalog.daemon import cli; from dejalog.daemon.commands import kafka; "
        "cli.COMMANDS = (kafka,); sys.exit(cli.main())"
    )
    words = ["kafka", "replay", str(tmp_path / "x.log"), "--topic", topic, "--rate", "500"]
    words += ["--set", f"kafka.bootstrap_servers={broker.bootstrap}"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: records_in(broker, topic) > 100, "records come")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert err.count("\n") == 1
    sent = int(err.partition(" records")[0].replace("\u202f", "").replace(" ", ""))
    assert sent == records_in(broker, topic)


SECURE = {
    "SASL": {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": USER, "sasl_password": PASSWORD},
    "TLS": {"tls": True},
    "MUTUAL": {"tls": True},
    "SASLTLS": {
        "tls": True,
        "sasl_mechanism": "PLAIN",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    },
}


def secure(broker: Broker, listener: str) -> dict[str, object]:
    given = dict(SECURE[listener])
    certificates = broker.certificates
    assert certificates is not None
    if given.get("tls"):
        given["tls_ca"] = str(certificates.authority)
    if listener == "MUTUAL":
        given |= {"tls_cert": str(certificates.client), "tls_key": str(certificates.client_key)}
    return given


@pytest.mark.parametrize("listener", SECURE)
def test_every_kind_of_listener_is_reached(
    secure_broker: Broker, tool: Tool, topic: str, logs: Path, listener: str
) -> None:
    given = {"topics": [{"name": topic}], "at": secure_broker.listener(listener)}
    given |= secure(secure_broker, listener)
    assert tool(["topics", "create"], **given).code == 0
    assert tool(["replay", str(logs), "--topic", topic], **given).code == 0
    assert "lag 103 in 4 partitions" in tool(["lag"], **given).out


@dataclass(frozen=True, slots=True)
class Refusal:
    """A listener that is called with settings (None: none at all), and what is said then."""

    listener: str
    change: dict[str, object] | None
    said: str


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal("SASL", {"sasl_password": "wrong"}, f"refused the user '{USER}'"),
        Refusal("TLS", {"tls_ca": "other"}, "is not trusted ("),
        Refusal("SASL", None, "ends the connection at once"),
        Refusal("TLS", None, "ends the connection at once"),
        Refusal("PLAIN", {"tls": True}, "no TLS connection to the broker at"),
        Refusal("PLAIN", SECURE["SASL"], "takes no user"),
    ],
    ids=lambda refusal: f"{refusal.listener}-{refusal.said}",
)
def test_a_connection_that_is_refused_is_one_line_with_what_to_do(
    secure_broker: Broker, tool: Tool, topic: str, refusal: Refusal
) -> None:
    given: dict[str, object] = {"topics": [{"name": topic}]}
    if refusal.change is not None:
        usual = secure(secure_broker, refusal.listener) if refusal.listener in SECURE else {}
        given |= {**usual, **refusal.change}
    if given.get("tls_ca") == "other":
        assert secure_broker.certificates is not None
        given["tls_ca"] = str(secure_broker.certificates.other_authority)
    ran = tool(["topics", "check"], at=secure_broker.listener(refusal.listener), **given)
    assert (ran.code, ran.out) == (3, "")
    assert refusal.said in ran.err
    assert ran.err.count("\n") == 1
    assert PASSWORD not in ran.err


def test_a_broker_that_restarts_gets_every_record_once(
    own_broker: Broker, tool: Tool, topic: str, tmp_path: Path
) -> None:
    own_broker.create_topic(topic, 3)
    lines = [f"line {n}" for n in range(3000)]
    (tmp_path / "x.log").write_text("\n".join(lines))

    def restart() -> None:
        wait_for(lambda: records_in(own_broker, topic) > 200, "records come")
        own_broker.kill()
        own_broker.restart()

    words = ["replay", str(tmp_path / "x.log"), "--topic", topic, "--rate", "600"]
    ran = beside(lambda: tool(words, at=own_broker.bootstrap), restart)
    assert ran.code == 0, ran.err
    read = Counter(message.value().decode() for message in own_broker.read(topic))
    assert read == Counter(lines)


def test_a_broker_that_stays_away_ends_it_with_what_was_acknowledged(
    own_broker: Broker, tool: Tool, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_DELIVERY_S", 4.0)
    own_broker.create_topic(topic, 3)
    (tmp_path / "x.log").write_text("".join(f"line {n}\n" for n in range(30_000)))

    def kill() -> None:
        wait_for(lambda: records_in(own_broker, topic) > 200, "records come")
        own_broker.kill()

    words = ["replay", str(tmp_path / "x.log"), "--topic", topic, "--rate", "600"]
    timing = {"request_timeout_s": "3", "session_timeout_s": "3"}
    ran = beside(lambda: tool(words, at=own_broker.bootstrap, **timing), kill)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("\n") == 1
    assert ran.err.startswith(f"dejalog: topic {topic}: sending failed, ")
    assert "(connection refused)" in ran.err
    said = ran.err.partition("failed, ")[2].partition(" records")[0]
    own_broker.restart()
    there = len(own_broker.read(topic))
    # A record may be there though its answer was lost with the broker.
    assert 200 < int(said.replace(" ", "")) <= there
