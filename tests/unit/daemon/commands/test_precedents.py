"""The command over a real index."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dejalog.daemon.cli import main
from dejalog.indexer.event import Kind

HOUR = 3_600 * 10**9
PUMP = (("asset", "P-101"),)


@pytest.fixture
def data(make_index) -> Path:
    """Event 0 to 9 are everyday, 10 is the fault, 11 the note, 12 the same fault elsewhere."""
    maker = make_index()
    for hour in range(10):
        maker.add(maker.event("heartbeat", time_ns=hour * HOUR, labels=PUMP), is_indexed=False)
    for text, hour, labels, kind in (
        ("motor overload, pump tripped", 5, PUMP, Kind.LOG),
        ("pump trips\nAction taken: bearing replaced", 8, PUMP, Kind.NOTE),
        ("motor overload, pump tripped", 50, (("asset", "P-102"),), Kind.LOG),
        ("4711", 60, (("asset", "P-103"),), Kind.LOG),
    ):
        event = maker.event(text, time_ns=hour * HOUR, labels=labels, kind=kind)
        maker.add(event, is_indexed=False)
    maker.index_words()
    maker.directory.close()
    return Path(maker.path)


def run(data: Path, *arguments: str) -> int:
    return main(["precedents", "--data", str(data), "--timezone", "UTC", *arguments])


def test_words_find_what_happened_and_what_fixed_it(data, capsys) -> None:
    assert run(data, "pump", "tripped by overload") == 0
    out, err = capsys.readouterr()
    assert "asset=P-101" in out
    assert "then, 3 h later: 1970-01-01 08:00" in out
    assert "action taken: bearing replaced" in out
    assert "of 2 incidents, 14 events searched in" in err


def test_an_event_asks_with_its_text_and_is_no_precedent_itself(data, capsys) -> None:
    for arguments in (("--event", "12"), ("12",)):
        assert run(data, *arguments, "-o", "json") == 0
        out, err = capsys.readouterr()
        (found,) = map(json.loads, out.splitlines())
        assert found["asset"] == "P-101"
        assert found["notes"][0]["after_s"] == 3 * 3600
        assert "asked with event 12" in err


def test_a_number_that_is_no_event_is_a_code(data, capsys) -> None:
    assert run(data, "4711", "-o", "json", "-n", "1") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["hits"][0]["pattern"] == "4711"
    assert "asked with event" not in err


def test_an_event_that_is_not_there_is_a_wrong_call(data, capsys) -> None:
    assert run(data, "--event", "4711") == 2
    assert "event 4711 is not in this index" in capsys.readouterr().err


def test_a_question_is_a_text_or_an_event(data, capsys) -> None:
    assert run(data) == 2
    assert run(data, "overload", "--event", "12") == 2
    assert "say what happened" in capsys.readouterr().err


def test_lines_come_from_standard_input(data, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("heartbeat\nmotor overload, pump tripped\n"))
    assert run(data, "-", "-o", "json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["asset"] for each in found} == {"P-101", "P-102"}


def test_filters_and_times_say_which_events_may_be_hits(data, capsys) -> None:
    assert run(data, "overload", "--where", "asset=P-102", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["asset"] == "P-102"
    assert run(data, "overload", "until:1970-01-01", "-o", "json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {json.loads(line)["asset"] for line in lines} == {"P-101"}


def test_what_an_incident_is_can_be_said(data, capsys) -> None:
    assert run(data, "overload", "--horizon", "60", "--kind", "log", "-o", "json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["notes"] for line in lines] == [[], []]
    with pytest.raises(SystemExit, match="2"):
        run(data, "overload", "--gap", "-5")


def test_nothing_like_it_is_said_so(make_index, capsys) -> None:
    empty, lonely = make_index(), make_index()
    lonely.add(lonely.event("only once", labels=PUMP))
    empty.directory.close()
    lonely.directory.close()
    assert run(Path(empty.path), "overload") == 1
    assert "the index holds no events yet" in capsys.readouterr().err
    assert run(Path(lonely.path), "--event", "0") == 1
    assert "no earlier incident is like it" in capsys.readouterr().err


def test_bytes_that_are_no_text_and_endless_numbers_do_no_harm(data) -> None:
    assert run(data, "overload \udcff") == 0
    assert run(data, "7" * 5000) in {0, 1}


def test_incidents_without_an_asset_say_how_to_give_one(make_index, capsys) -> None:
    maker = make_index()
    for hour in range(3):
        maker.add(maker.event("motor overload", time_ns=hour * HOUR, labels=(("line", "3"),)))
    maker.directory.close()
    data = Path(maker.path)
    advice = "give it with 'dejalog index PATH --label asset=NAME' (docs/INGEST.md)"
    assert run(data, "overload") == 0
    assert capsys.readouterr().err.count(advice) == 1
    for arguments in (("-o", "json"), ("--notes", "0"), ("--asset-label", "line")):
        assert run(data, "overload", *arguments) == 0
        assert "--label" not in capsys.readouterr().err
