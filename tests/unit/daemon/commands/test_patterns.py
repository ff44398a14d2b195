"""The patterns command over a real index."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from dejalog.daemon.commands import patterns
from dejalog.daemon.flags import add_common_flags
from dejalog.indexer.append import ShardLimits
from dejalog.indexer.errors import QueryError

#: 2022-08-22 05:00:00 UTC.
START_NS = 1_661_144_400 * 10**9
MINUTE_NS = 60 * 10**9


@pytest.fixture
def data(make_index) -> Path:
    """Twelve events a minute apart over three shards; the alarm begins with the eighth."""
    maker = make_index(ShardLimits(events_max=5))
    for number in range(12):
        text = f"job {1_000_000 + number} done" if number < 7 or number % 2 else "alarm: low oil"
        labels = (("host", "ab"[number % 2]), ("severity", "error" if "oil" in text else "info"))
        maker.add(maker.event(text, time_ns=START_NS + number * MINUTE_NS, labels=labels))
    path: Path = maker.path
    maker.directory.close()
    return path


def run(data: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    patterns.add_arguments(parser)
    return patterns.run(parser.parse_args(["--data", str(data), "--timezone", "UTC", *arguments]))


def test_patterns_are_listed_with_counts_and_times(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "--buckets", "3") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        " 1  x10  \u2588\u2588\u2584  2022-08-22 05:00:00 .. 05:11:00 +00:00  info",
        "    job <num> done",
        " 2  x2  \u00b7\u00b7\u2588  2022-08-22 05:08:00 .. 05:10:00 +00:00  error",
        "    alarm: low oil",
    ]
    assert "2 patterns, a mark is 3.67 min, 12 events counted in" in err


def test_new_patterns_are_those_that_were_not_there_before(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "--new", "--since", "2022-08-22 05:07", "-o", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["pattern"] for line in lines] == ["alarm: low oil"]
    assert lines[0]["example"]["labels"]["severity"] == "error"
    assert run(data, "--new", "--since", "2022-08-22 05:11") == 1
    assert "all were seen before 2022-08-22 05:11" in capsys.readouterr().err
    with pytest.raises(QueryError, match="--new needs --since"):
        run(data, "--new")


def test_json_has_every_field_of_the_contract(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "-o", "json", "-n", "1", "--buckets", "2", "since:2022-08-22") == 0
    out, err = capsys.readouterr()
    line = json.loads(out)
    assert line["count"] == 10
    assert sum(line["buckets"]["counts"]) == 10
    assert line["buckets"]["start"] == "2022-08-22T00:00:00.000000000Z"
    assert set(line) == {
        "rank", "pattern_id", "pattern", "count", "first_seen", "first_seen_unix_nano",
        "last_seen", "last_seen_unix_nano", "first_ever", "first_ever_unix_nano", "buckets",
        "example",
    }  # fmt: skip
    assert "showing 1 of 2 patterns" in err


def test_filters_in_the_text_and_an_order(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, '"low oil"', "-q") == 0
    assert "job" not in capsys.readouterr().out
    assert run(data, "host=a", "--order", "first", "-o", "json", "-q") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["count"] for line in out.splitlines()] == [2, 4]
    assert err == ""
    with pytest.raises(QueryError):
        run(data, "free", "words")


def test_an_empty_answer_explains_itself(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "--where", "hots=a", "--since", "2022-08-22") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no event has a label 'hots'; did you mean host?" in err
    assert "0 of 12 events passed the filters: hots=a, since 2022-08-22 00:00:00.000 +00:00" in err
