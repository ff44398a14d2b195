from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
from pathlib import Path

import pytest

from dejalog.daemon import cli
from dejalog.daemon.commands import kafka
from dejalog.daemon.flags import add_common_flags
from dejalog.daemon.kafka import broker
from dejalog.daemon.kafka.replay import Sent
from dejalog.daemon.sources.source import Progress

# See tests/unit/daemon/kafka/test_broker.py.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

WORDS = (["topics", "create"], ["topics", "check"], ["lag"], ["replay", "x.log", "--topic", "logs"])
TOPICS = ["--set", 'kafka.topics=[{"name":"logs"}]']


@pytest.fixture(autouse=True)
def _command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", (kafka,))


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    kafka.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_without_a_broker_in_the_configuration_the_call_is_wrong(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["kafka", *words, *TOPICS]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dejalog: kafka: bootstrap_servers: names no broker; ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_broker_that_is_not_there_is_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "CONNECT_S", (0.1,))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{held.getsockname()[1]}"
        code = cli.main(["kafka", *words, *TOPICS, "--set", f"kafka.bootstrap_servers={at}"])
    gc.collect()
    out, err = capsys.readouterr()
    assert (code, out) == (3, "")
    assert err.startswith(f"dejalog: no broker can be reached at {at} (connection refused); ")
    assert err.count("\n") == 1


def test_topics_have_to_be_configured_to_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kafka", "topics", "create"]) == 2
    assert "kafka: topics: names no topic" in capsys.readouterr().err


@pytest.mark.parametrize("words", [*WORDS, ["topics"], []], ids=" ".join)
def test_every_word_has_help_that_fits_a_terminal(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        cli.main(["kafka", *words, "--help"])
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert max(map(len, out.splitlines())) <= 100
    if words not in ([], ["topics"]):
        assert "example: dejalog kafka" in out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["topics"],
        ["topics", "create", "--partitions", "0"],
        ["topics", "create", "--retention-bytes", "-1"],
        ["replay", "x.log"],
        ["replay", "x.log", "--topic", "t", "--rate", "0"],
        ["replay", "x.log", "--topic", "t", "--rate", "nan"],
        ["replay", "x.log", "--topic", "t", "--key", "a", "--key-by", "file"],
    ],
    ids=" ".join,
)
def test_a_call_that_cannot_be_meant_is_wrong(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["kafka", *words])
    assert caught.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_settings_count_before_and_behind_the_words() -> None:
    before = parse("--data", "d", "--set", "a.b=1", "lag")
    behind = parse("lag", "--data", "d", "--set", "a.b=1")
    for parsed in (before, behind):
        assert (parsed.data, parsed.set, parsed.config) == ("d", ["a.b=1"], None)
    assert parse("lag").set == []


def test_the_flags_of_create_are_the_layout_that_is_made() -> None:
    parsed = parse("topics", "create", "--partitions", "8", "--retention-hours", "24")
    assert (parsed.partitions, parsed.retention_hours) == (8, 24)
    assert (parsed.replication, parsed.segment_bytes) == (1, 64 << 20)


def test_an_index_that_is_not_there_yet_has_stored_nothing(tmp_path: Path) -> None:
    assert kafka._positions(tmp_path / "none") == []


def test_positions_are_those_of_the_index(make_index) -> None:
    made = make_index()
    made.add("pump on")
    made.directory.close()
    (position,) = kafka._positions(made.path)
    assert (position.source, position.partition, position.offset) == ("file", "1:1", 1)


def test_standard_input_and_files_cannot_be_mixed() -> None:
    with pytest.raises(kafka.ConfigError, match="FILE: -: standard input cannot be read together"):
        kafka._source(["a.log", "-"], 1000)


def test_the_summary_is_one_sentence_and_names_what_was_left_out() -> None:
    assert kafka.summary(Sent(12_000, 3 << 20), "logs", 2.0) == (
        "12 000 records (3.0 MiB) are in topic logs, sent in 2.0 s (6 000/s)"
    )
    assert kafka.summary(Sent(1, 5, 2), "logs", 0.0).endswith("; 2 were not sent: larger than the "
        "topic takes, or cut off")  # fmt: skip


def test_the_first_signal_asks_for_the_end_and_the_second_is_the_systems() -> None:
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    with kafka._ended_by_signals(lambda: asked.append(1)):
        os.kill(os.getpid(), signal.SIGINT)
        assert asked == [1]
        assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_counts_records() -> None:
    line = kafka._SendingLine()
    with line:
        line.show(Sent(1234, 10), Progress(5, 10))
        (task,) = line._progress.tasks
        assert (task.completed, task.total) == (5, 10)
        assert task.fields["counts"].startswith("1 234 records")
