from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dejalog.daemon.alerts.settings import AlertRule
from dejalog.daemon.alerts.state import STATE_NAME, AlertState, NewAlert
from dejalog.daemon.commands import status
from dejalog.daemon.commands.status import size
from dejalog.daemon.flags import add_common_flags
from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.event import DeadLetter, Event, Kind, TimeOrigin
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.status import IndexStatus, PartitionLag
from dejalog.indexer.store.directory import DataDirectory


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    status.add_arguments(parser)
    return parser.parse_args(["--timezone", "UTC", *arguments])


@pytest.fixture
def data(tmp_path: Path, encoder: Encoder) -> Path:
    """1,200 events of two patterns and a dead letter, not in the word index yet."""
    folder = tmp_path / "data"
    with DataDirectory.open(folder, is_writable=True) as directory:
        events = [
            Event(
                Kind.LOG, 1_661_145_496_000_000_000 + n, TimeOrigin.EVENT,
                "pump tripped" if n % 2 else "pump started", "file", "a", n,
            )
            for n in range(1200)
        ]  # fmt: skip
        prepared = [PreparedEvent(e, mask_pattern(e.text)[0]) for e in events]
        letter = DeadLetter("not-utf8", "byte 3", b"\xff", 1, 1, "file", "a", 1200)
        Appender(directory, encoder).append(Batch(prepared, [letter], []))
    return folder


def test_the_report_is_a_few_numbers_in_words(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.run(parse("--data", str(data))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"dejalog {importlib.metadata.version('dejalog')}, index in {data}"
    assert lines[1].startswith("1 200 events are 2 patterns (")
    assert lines[1].endswith(" token vectors) in 1 shard; 1 dead letter")
    names = [line[2:18].strip() for line in lines[2:]]
    assert names == [
        "lag", "ingest rate", "known patterns", "on disk", "oldest event", "newest event",
    ]  # fmt: skip
    assert "1 200 events stored and found by meaning, but not yet by words" in lines[2]
    assert "only the daemon knows" in lines[3]
    assert "99.8 % of events needed no encoding" in lines[4]
    assert " bytes an event; " in lines[5]
    assert "ingest stops at 256.0 MiB" in lines[5]
    assert "2022-08-22 05:18:16.000 +00:00, " in lines[6]


WRITER = """
import sys
from pathlib import Path
from dejalog.indexer.store.directory import DataDirectory
with DataDirectory.open(Path(sys.argv[1]), is_writable=True):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_it_works_while_another_process_writes(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WRITER, str(data)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        assert status.run(parse("--data", str(data), "-o", "json")) == 0
        writer.communicate("")
    value = json.loads(capsys.readouterr().out)
    assert (value["events"], value["patterns"], value["dead_letters"]) == (1200, 2, 1)
    assert value["ingest_rate"] is None
    assert value["oldest"] == "2022-08-22T05:18:16.000000000Z"


def test_an_empty_index_has_no_times(
    tmp_path: Path, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    with DataDirectory.open(tmp_path / "e", is_writable=True) as directory:
        Appender(directory, encoder)
    assert status.run(parse("--data", str(tmp_path / "e"))) == 0
    assert capsys.readouterr().out.count("no events yet") == 3


def test_a_missing_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError):
        status.run(parse("--data", str(tmp_path / "none")))


class Daemon:
    """What a connection to a daemon gives."""

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def status(self) -> IndexStatus:
        far = 9_000_000_000 * 10**9
        return IndexStatus(
            "/d\x1b[2J", "9", "f", 2_000_000, 3, 9, 0, 2, 5 << 30, 1, far, 0, 1234.5, 0.5
        )


def test_a_daemon_is_asked_for_its_rate_and_trusted_with_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "open_client", lambda _: Daemon())
    assert status.run(parse("--server", "x:1")) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "1 234.5 events/s over the last minute" in out
    assert "none: every stored event can be found by its words" in out
    assert "5.0 GiB" in out
    assert out.rstrip().endswith(": a clock is ahead")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_are_in_the_largest_unit(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("partitions", "told"),
    [
        ([PartitionLag("kafka:logs", "0", 9, 9, 0)], "1 partition read here, up to date"),
        (
            [
                PartitionLag("kafka:logs", "0", 9, 19, 10),
                PartitionLag("kafka:logs", "1", 0, 1190, 1190),
            ],
            "2 partitions read here, 1 200 records behind (most in kafka:logs 1)",
        ),
        (
            [PartitionLag("kafka:logs", "0", 9, 9, 0, lost=1)],
            "1 partition read here, up to date; 1 record deleted by the broker before being read",
        ),
    ],
)
def test_how_far_a_broker_is_ahead_is_told_in_one_line(
    partitions: list[PartitionLag], told: str
) -> None:
    assert status._kafka(partitions) == told


def test_alerts_that_wait_and_targets_that_are_not_reached_are_told(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = AlertRule(name="hot", query="overheated", deliver="http://panel/hook")
    state = AlertState(data / STATE_NAME)
    state.adopt([rule], 1200)
    state.commit(1200, {}, [NewAlert("id1", rule.name, rule.target, b"{}", 1)], waiting_max=5)
    state.set_down(rule.target, "connection refused", 7)
    state.close()
    assert status.run(parse("--data", str(data))) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("  alerts ")]
    # A URL's path may be all that its secret is.
    told = " ".join(line.split()[1:])
    assert told == "1 waiting, 0 dropped; not reached: http://panel/(set)"
