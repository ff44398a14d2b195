"""The diff command over a real index."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from dejalog.daemon.commands import diff
from dejalog.daemon.flags import add_common_flags
from dejalog.indexer.errors import QueryError

#: 2022-08-22 05:00:00 UTC.
START_NS = 1_661_144_400 * 10**9
SECOND_NS = 10**9
WINDOWS = ("--before", "2022-08-22 05:00..2022-08-22 06:00",
           "--after", "2022-08-22 06:00..2022-08-22 07:00")  # fmt: skip


@pytest.fixture
def data(make_index) -> Path:
    """Two hours: a heartbeat throughout, and a fault that begins with the second one."""
    maker = make_index()
    fault = {"queue full": (3600, 7200), "queue ok": (0, 3600), "heartbeat": (0, 7200)}
    maker.add(*(
        maker.event(text, time_ns=START_NS + second * SECOND_NS, labels=(("host", "gw7"),))
        for text, (first, end) in fault.items()
        for second in range(first, end, 120)
    ))  # fmt: skip
    path: Path = maker.path
    maker.directory.close()
    return path


def run(data: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    diff.add_arguments(parser)
    return diff.run(parser.parse_args(["--data", str(data), "--timezone", "UTC", *arguments]))


def test_what_appeared_and_vanished_is_shown(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, *WINDOWS) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    shown = {lines[at + 1].strip(): lines[at].split()[1] for at in range(0, len(lines), 2)}
    assert shown == {"queue full": "appeared", "queue ok": "vanished"}
    assert "0 -> 30" in out
    assert "2 changes, 3 patterns compared" in err
    assert "before: 2022-08-22 05:00:00 .. 06:00:00 +00:00 with 60 events" in err
    assert run(data, "--at", "2022-08-22 06:00", "--for", "1h", "-q") == 0
    assert capsys.readouterr().out == out


def test_json_has_every_field_of_the_contract(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, *WINDOWS, "-o", "json", "-n", "1", '"full"') == 0
    line = json.loads(capsys.readouterr().out)
    assert set(line) == {
        "rank", "pattern_id", "pattern", "change", "count_before", "count_after", "rate_ratio",
        "p_value", "first_ever", "first_ever_unix_nano", "example",
    }  # fmt: skip
    assert (line["change"], line["rate_ratio"]) == ("appeared", None)
    assert line["first_ever"] == "2022-08-22T06:00:00.000000000Z"
    assert 0 < line["p_value"] < 1e-6


def test_no_change_says_why(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, *WINDOWS, '"heartbeat"') == 1
    assert "no pattern's rate differs by more than chance" in capsys.readouterr().err
    assert run(data, "--at", "2022-08-22 06:00", "--for", "3m", '"full"') == 1
    assert "no pattern has enough events to compare" in capsys.readouterr().err
    assert run(data, *WINDOWS, "host=none") == 1
    assert "0 of 120 events passed the filters: host=none" in capsys.readouterr().err


def test_questions_without_windows_are_refused(data: Path) -> None:
    with pytest.raises(QueryError, match="say what to compare"):
        run(data)
    with pytest.raises(QueryError, match="give the windows"):
        run(data, *WINDOWS, "since:2h")
    with pytest.raises(SystemExit):
        run(data, *WINDOWS, "--false-share", "2")
