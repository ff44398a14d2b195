"""The command over a real index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dejalog.daemon.cli import main

TEXTS = (
    "connection from 10.0.0.7:443 refused",
    "hydraulic hose leaking at the boom",
    "oil drips from a pipe of the boom",
    "connection from 10.0.0.9:443 refused",
)


@pytest.fixture
def data(make_index) -> Path:
    maker = make_index()
    maker.add(*(maker.event(text, labels=(("site", "kyiv"),)) for text in TEXTS))
    maker.directory.close()
    return Path(maker.path)


def run(data: Path, *arguments: str) -> int:
    return main(["similar", "--data", str(data), "--timezone", "UTC", *arguments])


def test_hits_are_those_of_search_with_the_own_pattern_first(data, capsys) -> None:
    assert run(data, "0", "-o", "json", "-n", "2") == 0
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert (first["rank"], first["count"]) == (1, 2)
    assert [each["event_id"] for each in first["occurrences"]] == ["0", "3"]
    assert "connection" in {each["query"] for each in first["evidence"]}
    assert second["rank"] == 2
    assert "like event 0, 1970-01-01 00:00:01.000 +00:00: connection from 10.0.0.7:443" in err


def test_meaning_finds_other_words(data, capsys) -> None:
    assert run(data, "1", "-q") == 0
    out, err = capsys.readouterr()
    assert out.index(TEXTS[1]) < out.index(TEXTS[2]) < out.index("10.0.0.")
    assert err == ""


def test_filters_that_nothing_passes_leave_no_hit(data, capsys) -> None:
    assert run(data, "0", "--where", "site=lodz") == 1
    assert "no event that is like it passed the filters" in capsys.readouterr().err


def test_an_event_that_is_not_there_is_a_wrong_call(data, capsys) -> None:
    assert run(data, "77") == 2
    assert "event 77 is not in this index, or not any more" in capsys.readouterr().err


def test_what_is_no_number_is_no_event(data) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(data, "seven")
