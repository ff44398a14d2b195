"""The histogram command over a real index."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from dejalog.daemon.commands import histogram
from dejalog.daemon.flags import add_common_flags
from dejalog.indexer.errors import QueryError

#: 2022-08-22 05:00:00 UTC.
START_NS = 1_661_144_400 * 10**9
MINUTE_NS = 60 * 10**9


@pytest.fixture
def data(make_index) -> Path:
    """Six events a minute apart."""
    maker = make_index()
    for number, host in enumerate("aabaac"):
        maker.add(maker.event("state reached", time_ns=START_NS + number * MINUTE_NS,
                              labels=(("host", host),)))  # fmt: skip
    path: Path = maker.path
    maker.directory.close()
    return path


def run(data: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    histogram.add_arguments(parser)
    return histogram.run(parser.parse_args(["--data", str(data), "--timezone", "UTC", *arguments]))


def test_each_part_of_the_time_has_a_bar(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = ("--since", "2022-08-22 05:00", "--until", "2022-08-22 05:09", "--buckets", "3")
    assert run(data, *times) == 0
    out, err = capsys.readouterr()
    assert [line.split("  ")[:2] for line in out.splitlines()] == [
        ["2022-08-22 05:00:00 +00:00", "3"],
        ["2022-08-22 05:03:00 +00:00", "3"],
        ["2022-08-22 05:06:00 +00:00", "0"],
    ]
    assert "2022-08-22 05:00:00 .. 05:09:00 +00:00, a part is 3 min, 6 events counted in" in err


def test_values_of_a_label_have_rows_and_the_others_are_one(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "--by", "host", "--values", "1", "--buckets", "2", "-q") == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[-2] for line in out] == ["4", "2"]
    assert out[0].startswith("a ")
    assert out[1].startswith("(others, or none)")


def test_json_has_a_line_for_each_series(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "--by", "host", "--values", "2", "--buckets", "2", "-o", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["value"], line["is_rest"], line["count"]) for line in lines] == [
        ("a", False, 4), ("b", False, 1), (None, True, 1),
    ]  # fmt: skip
    assert [line["buckets"]["counts"] for line in lines] == [[2, 2], [1, 0], [0, 1]]
    assert run(data, "-o", "json", "--buckets", "1") == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["by"], line["value"], line["count"]) == (None, None, 6)
    assert line["buckets"]["start_unix_nano"] == str(START_NS)


def test_nothing_and_unknown_labels_say_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "host=none") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "0 of 6 events passed the filters: host=none" in err
    with pytest.raises(QueryError, match="no event has a label 'hots' to count by"):
        run(data, "--by", "hots")
