"""The lines around an event, from a real index."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dejalog.daemon import cli
from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.store.directory import DataDirectory

#: 2022-08-22 05:00:00 UTC.
START_NS = 1_661_144_400 * 10**9
COUNT = 14


def text_of(number: int) -> str:
    if number == 7:
        return "Exception in thread main\n  at Press.run\x1b[2J"
    return f"step {number}" + " filler" * (200 if number == 6 else 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """Events 0, 1 ... alternate between two partitions; their clocks run backwards."""
    folder = tmp_path_factory.mktemp("context") / "data"
    events = [
        Event(
            Kind.LOG,
            START_NS - number * 10**9,
            TimeOrigin.EVENT,
            text_of(number),
            "plc.log",
            "ab"[number % 2],
            number,
            0,
            (("asset", "press-4"),),
        )
        for number in range(COUNT)
    ]
    with DataDirectory.open(folder, is_writable=True) as directory:
        prepared = [PreparedEvent(e, mask_pattern(e.text)[0]) for e in events]
        Appender(directory, encoder).append(Batch(prepared, [], []))
    return folder


def run(data: Path, *arguments: str) -> int:
    zone = ("--timezone", "UTC", "--set", "encoder.threads=1")
    return cli.main(["context", "--data", str(data), *zone, *arguments])


def test_neighbours_are_those_of_the_source_in_its_order(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "7", "-C", "2") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "plc.log, partition b  asset=press-4"
    numbers = [re.match(r"[> ] +(\d+)  2022-08-22 \d\d:", line) for line in lines[1:]]
    assert [match[1] for match in numbers if match] == ["3", "5", "7", "9", "11"]
    assert err == ""


def test_the_event_is_marked_and_whole_and_steers_no_terminal(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "7", "-C", "0") == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first == "> 7  2022-08-22 04:59:53.000 +00:00  Exception in thread main"
    assert second.strip() == "at Press.run\\x1b[2J"


def test_long_neighbours_are_cut_unless_asked_for_in_full(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "8", "-A", "0", "-B", "1") == 0
    cut = capsys.readouterr().out.splitlines()
    assert len(cut) == 3
    assert len(cut[1]) <= 200
    assert run(data, "8", "-A", "0", "-B", "1", "--full") == 0
    assert text_of(6) in capsys.readouterr().out


def test_after_and_before_win_over_both(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "6", "-o", "json", "-C", "3", "-A", "1") == 0
    value = json.loads(capsys.readouterr().out)
    assert [each["event_id"] for each in value["before"]] == ["0", "2", "4"]
    assert [each["event_id"] for each in value["after"]] == ["8"]
    assert run(data, "6", "-o", "json", "-B", "0") == 0
    value = json.loads(capsys.readouterr().out)
    assert value["before"] == []
    assert len(value["after"]) == 3


def test_json_is_one_line_with_the_event_as_it_was_written(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "7", "-o", "json") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "\x1b" not in out
    value = json.loads(out)
    assert set(value) == {"event", "before", "after", "is_complete"}
    assert value["is_complete"] is True
    assert value["event"]["event_id"] == "7"
    assert value["event"]["text"] == text_of(7)
    assert value["event"]["labels"] == {"asset": "press-4"}
    assert err == ""


def test_an_event_that_is_not_there_is_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "99") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "dejalog: event 99 is not in this index, or not any more\n"


@pytest.mark.parametrize(
    "arguments",
    [["-1"], ["x"], [str(2**63)], ["\u0663"], ["7", "-C", "1001"], ["7", "-A", "-1"], []],
)
def test_what_is_no_event_or_no_number_of_lines_is_a_wrong_call(
    data: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(data, *arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
