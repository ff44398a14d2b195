"""The search command over a real index, and over a real gRPC server with a stand-in searcher."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dejalog.daemon.answers import IndexAnswers
from dejalog.daemon.commands import search
from dejalog.daemon.flags import add_common_flags
from dejalog.daemon.server import Server, ServerSettings
from dejalog.indexer.append import Appender, Batch, PreparedEvent, ShardLimits
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import ConfigError, DataDirectoryError, DejalogError, QueryError
from dejalog.indexer.event import Event, Kind, Labels, TimeOrigin
from dejalog.indexer.hit import Hit, Occurrence, Scores, SearchResult
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.status import IndexStatus
from dejalog.indexer.store.directory import DataDirectory

#: 2022-08-22 05:00:00 UTC.
START_NS = 1_661_144_400 * 10**9
HOUR_NS = 3600 * 10**9

LINES = (
    ("a", "conveyor belt started", "info"),
    ("b", "job 17 queued", "info"),
    ("a", "hydraulic pressure low, E-1034", "error"),
    ("b", "job 18 queued", "info"),
    ("a", "conveyor belt stopped after jam", "error"),
    ("a", "\x1b[2Joperator pressed reset \x07", "info"),
)


def event(number: int, partition: str, text: str, labels: Labels, kind: Kind = Kind.LOG) -> Event:
    time_ns = START_NS + number * HOUR_NS
    return Event(kind, time_ns, TimeOrigin.EVENT, text, "file", partition, number, 0, labels)


def events() -> list[Event]:
    lines = [
        event(n, partition, text, (("host", "gw7"), ("severity", severity)))
        for n, (partition, text, severity) in enumerate(LINES)
    ]
    note = "replaced pump seal, oil pressure is good again"
    return [*lines, event(9, "notes", note, (("asset", "P-101"),), Kind.NOTE)]


def build(folder: Path, encoder: Encoder, stored: list[Event], *, per_shard: int = 100) -> None:
    with DataDirectory.open(folder, is_writable=True) as directory:
        appender = Appender(directory, encoder, limits=ShardLimits(events_max=per_shard))
        for start in range(0, len(stored), per_shard):
            part = stored[start : start + per_shard]
            prepared = [PreparedEvent(e, mask_pattern(e.text)[0]) for e in part]
            appender.append(Batch(prepared, [], []))
        for shard in directory.shards:
            index = LexicalIndex.open(lexical_folder(shard), writable=True)
            while catch_up(shard, index):
                pass
            index.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    folder = tmp_path_factory.mktemp("search") / "data"
    build(folder, encoder, events(), per_shard=4)
    return folder


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    search.add_arguments(parser)
    return parser.parse_args(arguments)


def run(*arguments: str) -> int:
    return search.run(parse("--timezone", "UTC", *arguments))


def test_a_question_in_words_finds_the_event(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", str(data), "belt", "jammed", "-n", "1") == 0
    out, err = capsys.readouterr()
    assert "conveyor belt stopped after jam" in out
    assert "2022-08-22 09:00:00.000 +00:00" in out
    assert "1 of 7 patterns, 7 events searched in" in err


def test_a_code_finds_its_line_and_a_quoted_string_must_occur(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", str(data), "E-1034", "-n", "1", "-q") == 0
    out, err = capsys.readouterr()
    assert "hydraulic pressure low, E-1034" in out
    assert err == ""
    assert run("--data", str(data), 'belt "pressure"', "-o", "json") == 0
    texts = [json.loads(line)["occurrences"][0]["text"] for line in json_lines(capsys)]
    assert sorted(texts) == ["hydraulic pressure low, E-1034", events()[-1].text]


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_json_is_one_object_a_line_and_nothing_else(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", str(data), "conveyor", "-o", "json", "-n", "4") == 0
    out, err = capsys.readouterr()
    hits = [json.loads(line) for line in out.splitlines()]
    assert [each["rank"] for each in hits] == [1, 2, 3, 4]
    assert hits[0]["occurrences"][0]["source"] == "file"
    assert "4 of 7 patterns" in err


def test_control_characters_are_kept_in_json_and_spelled_out_as_text(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", str(data), "operator reset", "-n", "1") == 0
    out = capsys.readouterr().out
    assert "\\x1b[2Joperator pressed reset \\x07" in out
    assert "\x1b" not in out
    assert run("--data", str(data), "operator reset", "-n", "1", "-o", "json") == 0
    line = json_lines(capsys)[0]
    assert "\x1b" not in line
    assert json.loads(line)["occurrences"][0]["text"] == LINES[5][1]


def test_filters_decide_what_counts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def found(*arguments: str) -> list[str]:
        run("--data", str(data), "-o", "json", *arguments)
        return sorted(json.loads(x)["occurrences"][0]["event_id"] for x in json_lines(capsys))

    assert found("pressure", "--kind", "note") == ["6"]
    assert found("belt", "--where", "severity>=error") == ["2", "4"]
    assert found("belt", "--since", "2022-08-22 08:00", "--until", "2022-08-22 10:00") == ["3", "4"]
    assert found("--since", "2022-08-22 09:30") == ["5", "6"]
    assert found("belt", "--until", "2022-08-22", "--where", "severity=error") == ["2", "4"]


def test_exclusions_and_times_stand_in_the_text_too(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(*arguments: str) -> list[str]:
        run("--data", str(data), "-o", "json", *arguments)
        return sorted(json.loads(x)["occurrences"][0]["event_id"] for x in json_lines(capsys))

    assert found("belt -conveyor -queued") == ["2", "5", "6"]
    assert found('belt -"conveyor belt" severity=error') == ["2"]
    assert found("belt -severity>=info") == ["6"]
    assert found("belt", 'since:"2022-08-22 08:00"', "until:2022-08-22T10:00Z") == ["3", "4"]
    assert found("since:2022-08-22T09:30Z -reset") == ["6"]
    assert found('"since:2022-08-22T09:30Z"') == []


def test_an_exclusion_outside_of_quotes_is_a_usage_error_and_never_misread() -> None:
    for word in ("-heartbeat", "-lodz", "-connection", "-oil", "-Alarm"):
        with pytest.raises((SystemExit, QueryError)):
            run("belt", word)


def test_filters_in_a_pasted_line_are_words_and_that_is_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "2022-08-22 05:00:00 conveyor host=gw9 -belt"
    assert run("--data", str(data), line, "-n", "1") == 0
    out, err = capsys.readouterr()
    assert "conveyor belt" in out
    assert "host=gw9, -belt: read as words" in err
    assert "filters go into --where" in err


def test_a_misspelt_word_is_read_as_what_was_meant_and_that_is_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", str(data), "hidraulic presure", "-n", "1", "-v") == 0
    out, err = capsys.readouterr()
    assert "hydraulic pressure low, E-1034" in out
    assert "hidraulic -> hydraulic" in out
    said = "read hidraulic as hydraulic, presure as pressure: no event has the word as typed"
    assert said in err
    assert run("--data", str(data), '"hidraulic" presure', "-n", "1") == 1
    assert "hidraulic as" not in capsys.readouterr().err


def test_a_filter_by_a_label_that_no_event_has_is_words_and_that_is_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", str(data), "belt severty=error host=gw7", "-n", "1") == 0
    err = capsys.readouterr().err
    assert "severty=error: read as words, because no event has such a label and value; did" in err


def test_nothing_found_says_how_many_passed_and_shows_the_nearest(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--data", str(data), 'belt "stopped"', "--where", "hst=gw8")
    assert run(*arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no event has a label 'hst'; did you mean host?" in err
    assert '0 of 7 events passed the filters: "stopped", hst=gw8\n' in err
    assert "the nearest hit without them is:" in err
    assert "conveyor belt stopped after jam" in err
    assert "0 of 7 events passed the filters" in err


def test_what_is_excluded_is_shown_as_the_nearest_hit(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("hydraulic -pressure", '"E-1034"', "since:2022-08-22")
    assert run("--data", str(data), *arguments) == 1
    err = capsys.readouterr().err
    assert (
        '0 of 7 events passed the filters: "E-1034", -pressure, '
        "since 2022-08-22 00:00:00.000 +00:00\n"
    ) in err
    nearest = err.split("the nearest hit without them is:")[1]
    assert "hydraulic pressure low, E-1034" in nearest


def test_the_nearest_hit_is_looked_for_by_words_only(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of `"severity=fatal"` the quotes were gone, and it filtered the nearest hit, too."""
    assert run("--data", str(data), 'belt "severity=fatal"') == 1
    assert "conveyor belt" in capsys.readouterr().err


def test_verbose_has_a_line_for_each_pair_of_words(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", str(data), "oil pressure host!=gw7", "-v", "-n", "1") == 0
    out = capsys.readouterr().out
    assert re.search(r"words: oil      -> oil       =+\.* \S+  adds \.\d\d\n", out)
    assert re.search(r"       pressure -> pressure  =+\.* \S+  adds \.\d\d\n", out)
    assert "host" not in out.split("words:")[1].split("event:")[0]


def test_words_that_nothing_has_say_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", str(data), "zebra", "--mode", "lexical") == 1
    assert "no event has any of these words" in capsys.readouterr().err


def test_an_empty_index_says_so(
    tmp_path: Path, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path / "empty", encoder, [])
    assert run("--data", str(tmp_path / "empty"), "pump") == 1
    assert "the index holds no events yet" in capsys.readouterr().err


def test_lines_around_a_hit_are_of_its_source_and_cross_shards(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--data", str(data), "belt stopped after jam", "-n", "1")
    assert run(*flags, "-C", "1", "-A", "2", "-o", "json") == 0
    context = json.loads(json_lines(capsys)[0])["context"]
    assert [each["event_id"] for each in context["before"]] == ["2"]
    assert [each["event_id"] for each in context["after"]] == ["5"]
    assert run(*flags, "-B", "2") == 0
    lines = [line for line in json_lines(capsys) if line.startswith("    ")]
    assert [line.split("  ")[-1] for line in lines[1:4]] == [
        "conveyor belt started",
        "hydraulic pressure low, E-1034",
        "conveyor belt stopped after jam",
    ]


def test_the_question_can_come_from_standard_input(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hydraulic pressure low, E-1034\n"))
    assert run("--data", str(data), "-", "-n", "1") == 0
    assert "E-1034" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), QueryError),
        (("   ",), QueryError),
        (("x", "--since", "soon"), QueryError),
        (("x", "--since", "2022-08-23", "--until", "2022-08-22"), QueryError),
        (("x", "--where", "host"), QueryError),
        (("x", "--timezone", "Nowhere/City"), QueryError),
        (("x", "since:soon"), QueryError),
        (("x", "since:2022-08-23", "until:2022-08-22"), QueryError),
        (("x", "--server", "127.0.0.1:1"), DejalogError),
        (("x", "--tls-ca", "ca.pem"), ConfigError),
        (("x", "--set", "nothing"), ConfigError),
    ],
)
def test_a_wrong_call_is_an_error(
    data: Path, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        run("--data", str(data), *arguments)


@pytest.mark.parametrize(
    "arguments",
    [("x", "-n", "0"), ("x", "-n", "1001"), ("x", "-C", "-1"), ("x", "--timeout", "0"),
     ("x", "--timeout", "nan"), ("x", "--mode", "best"), ("x", "-o", "xml")],
)  # fmt: skip
def test_values_out_of_bounds_are_usage_errors(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(*arguments)
    assert stopped.value.code == 2


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="there is no index"):
        run("--data", str(tmp_path / "none"), "pump")


def test_no_time_at_all_is_an_error_and_not_an_empty_answer(data: Path) -> None:
    with pytest.raises(DejalogError, match="raise --timeout"):
        run("--data", str(data), "pump", "--timeout", "1e-9")


class RemoteSearcher:
    """Answers every request with one hit, and remembers the request."""

    def __init__(self) -> None:
        self.requests: list[SearchRequest] = []

    def search(self, request: SearchRequest, patience: Patience) -> SearchResult:
        self.requests.append(request)
        stored = event(1, "a", "pump tripped", (("host", "gw7"),))
        found = Hit(
            "00", "pump tripped", Scores(1.0, 1.0, 1.0, 0.0, 0.0), 1, stored.time_ns,
            stored.time_ns, (Occurrence(7, stored),), (),
        )  # fmt: skip
        return SearchResult((found,), 10, 5, 3, 1, 0.01, is_partial=True)


@contextmanager
def serving(answers: object) -> Iterator[str]:
    """The address of a real server over a socket."""
    status = IndexStatus("/data", "1", "f", 1, 1, 1, 0, 1, 1, None, None, 0, 0.0, 0.0)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(
        ServerSettings(listen="127.0.0.1:0", otlp_listen=""),
        answers=answers,
        push_source=None,
        status=lambda: status,
        on_fault=lambda _: None,
    )
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    yield server.address
    asyncio.run_coroutine_threadsafe(server.stop(1.0), loop).result(30)
    asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def remote() -> Iterator[tuple[str, RemoteSearcher]]:
    searcher = RemoteSearcher()
    with serving(searcher) as address:
        yield address, searcher


def test_a_daemon_sends_the_lines_around_a_hit(
    data: Path, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the first version they could be had in the data directory itself only."""
    flags = ("belt stopped after jam", "-n", "1", "-C", "1", "-A", "2", "-o", "json")
    assert run("--data", str(data), *flags) == 0
    local = json.loads(json_lines(capsys)[0])
    with (
        DataDirectory.open(data, is_writable=False) as directory,
        closing(Searcher(directory, encoder)) as searcher,
        serving(IndexAnswers(searcher)) as address,
    ):
        assert run("--server", address, *flags) == 0
        assert json.loads(json_lines(capsys)[0])["context"] == local["context"]
        assert run("--server", address, "belt -conveyor host=gw7", "-o", "json") == 0
        texts = [json.loads(line)["occurrences"][0]["text"] for line in json_lines(capsys)]
        assert texts
        assert not any("conveyor" in text for text in texts)
        assert run("--server", address, "belt host=gw9", "-v") == 1
        err = capsys.readouterr().err
        assert "0 of 7 events passed the filters: host=gw9" in err
        assert "conveyor belt" in err


def test_a_daemons_partial_answer_is_shown_and_told(
    remote: tuple[str, RemoteSearcher], capsys: pytest.CaptureFixture[str]
) -> None:
    address, searcher = remote
    code = run("pump", "--server", address, "--where", "host=gw7", "--kind", "log", "-n", "5")
    out, err = capsys.readouterr()
    assert code == 4
    assert "pump tripped" in out
    assert "partial, not everything was searched: 1 of 3 patterns, 5 of 10 events passed" in err
    assert searcher.requests[0].where == ("host=gw7", "kind=log")
    assert searcher.requests[0].limit >= 5
