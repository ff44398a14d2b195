from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from threading import Thread

import grpc
import pytest

from dejalog.daemon.cli import main
from dejalog.daemon.commands import deadletters
from dejalog.daemon.config import DataSettings, Settings
from dejalog.daemon.interceptor import CallInterceptor
from dejalog.daemon.retrying import DeadLetterRetry
from dejalog.daemon.service_admin import AdminService
from dejalog.indexer.append import Batch
from dejalog.indexer.decode import Decoder, DecodeSettings
from dejalog.indexer.event import DeadLetter, Position, Record
from dejalog.indexer.store.folders import LOCK_NAME, take_lock
from dejalog.proto.v1 import admin_pb2_grpc

HOUR_NS = 3600 * 10**9
NOON_NS = 1_661_169_600 * 10**9  # 2022-08-22T12:00:00Z


def refused(line: bytes, offset: int, source: str = "file") -> DeadLetter:
    """What a source whose lines were to be JSON has made of a line."""
    decoder = Decoder(DecodeSettings(encoding="json", record_bytes_max=80))
    received_ns = NOON_NS + offset * HOUR_NS
    record = Record(source, "1:2", offset, offset + 1, line, received_ns, key=b"P-101")
    (letter,) = decoder.decode(record).dead_letters
    return letter


@pytest.fixture
def maker(make_index):
    """Three lines that were to be JSON, one that is no text, one that was too long."""
    made = make_index()
    lines = (b"pump P-101 tripped", b"\x1b[31mred", b"\xff\xfe", b"valve stuck", b"y" * 81)
    letters = [refused(line, n, "kafka:logs" if n == 3 else "file") for n, line in enumerate(lines)]
    letters[4] = DeadLetter(
        "oversized", "81 bytes", b"y" * 64, 81, NOON_NS + 4 * HOUR_NS, "file", "1:2", 4,
        headers=(("trace", b"\x00\x01"),),
    )  # fmt: skip
    made.appender.append(Batch([], letters, [Position("file", "1:2", 9)]))
    return made


@pytest.fixture
def data(maker) -> str:
    maker.directory.close()
    return str(maker.path)


def call(action: str, data: str, *arguments: str) -> int:
    return main(["deadletters", action, "--timezone", "UTC", *arguments, "--data", data])


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_list_has_the_newest_last_and_counts_by_reason(data, capsys) -> None:
    assert call("list", data) == 0
    said = capsys.readouterr()
    rows = said.out.splitlines()
    assert rows[0].split() == ["number", "received", "reason", "source/partition/offset", "size",
                               "first", "characters"]  # fmt: skip
    assert rows[1].split() == ["0", "2022-08-22", "12:00:00", "bad-json", "file/1:2/0", "18",
                               "bytes", "pump", "P-101", "tripped"]  # fmt: skip
    assert rows[4].split()[3:5] == ["bad-json", "kafka:logs/1:2/3"]
    assert rows[5].split()[3] == "oversized"
    assert said.err == "5 dead letters: 3 bad-json, 1 not-utf8, 1 oversized\n"


def test_nothing_of_a_letter_steers_the_terminal(data, capsys) -> None:
    assert call("list", data) == call("show", data, "1", "2", "4") == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert r"\x1b[31mred" in said.out
    assert r"\xff\xfe" in said.out


def test_a_limit_shows_the_newest_and_counts_all(data, capsys) -> None:
    assert call("list", data, "-n", "2") == 0
    said = capsys.readouterr()
    assert [row.split()[0] for row in said.out.splitlines()[1:]] == ["3", "4"]
    assert said.err.endswith("1 oversized; the newest 2 are shown (--limit)\n")
    assert call("list", data, "-n", "0") == 2
    assert "'export' has no limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        (("--reason", "not-utf8"), [2]),
        (("--source", "kafka:logs"), [3]),
        (("--since", "2022-08-22 14:00", "--until", "2022-08-22 16:00"), [2, 3]),
        (("0", "2-3", "77"), [0, 2, 3]),
        (("1-4", "--reason", "bad-json"), [1, 3]),
    ],
)
def test_filters_are_met_together(data, capsys, flags: tuple[str, ...], numbers) -> None:
    assert call("list", data, "-o", "json", *flags) == 0
    assert [line["number"] for line in lines(capsys)] == numbers


def test_nothing_found_is_exit_code_1(data, capsys) -> None:
    assert call("list", data, "--reason", "empty") == 1
    assert call("export", data, "--reason", "empty") == 1
    assert call("show", data, "99") == 1
    assert call("retry", data, "--reason", "empty") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "there is no such dead letter" in said.err


def test_show_tells_everything(data, capsys) -> None:
    assert call("show", data, "4") == 0
    assert capsys.readouterr().out.splitlines() == [
        "dead letter 4",
        "  reason     oversized",
        "  detail     81 bytes",
        "  received   2022-08-22 16:00:00.000 +00:00",
        "  source     file",
        "  partition  1:2",
        "  offset     4, part 0",
        "  size       81 bytes, of which the first 64 are kept",
        r"  header     trace: " + "\\x00\\x01",
        "",
        "y" * 64,
    ]
    assert call("show", data, "2") == 0
    assert "00000000  ff fe" in capsys.readouterr().out
    assert call("show", data, "0", "--hex") == 0
    assert "70 75 6d 70 20 50 2d 31  30 31" in capsys.readouterr().out
    for number in ("x", "-", "3-1", "1-2-3"):
        assert call("show", data, number) == 2
        assert "write 17, or 3-17" in capsys.readouterr().err


def test_export_gives_the_bytes_back(data, capsys, tmp_path: Path) -> None:
    assert call("export", data) == 0
    exported = lines(capsys)
    assert [base64.b64decode(line["data"]) for line in exported][:3] == [
        b"pump P-101 tripped", b"\x1b[31mred", b"\xff\xfe",
    ]  # fmt: skip
    assert exported[2]["text"] is None
    assert exported[0]["text"] == "pump P-101 tripped"
    assert base64.b64decode(exported[0]["key"]) == b"P-101"
    assert exported[4]["headers"] == [{"name": "trace", "value": "AAE="}]
    assert (exported[4]["is_cut"], exported[4]["size_bytes"]) == (True, 81)
    folder = tmp_path / "raw"
    for _ in range(2):  # Whoever exports again replaces what is there.
        assert call("export", data, "--raw", str(folder)) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "of 1 only the first bytes are kept" in said.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "00000000-bad-json.bin": b"pump P-101 tripped",
        "00000001-bad-json.bin": b"\x1b[31mred",
        "00000002-not-utf8.bin": b"\xff\xfe",
        "00000003-bad-json.bin": b"valve stuck",
        "00000004-oversized.bin": b"y" * 64,
    }


def test_a_reason_is_no_path(make_index, tmp_path: Path) -> None:
    maker = make_index()
    letter = DeadLetter("../../x", "", b"1", 1, 0, "file", "1:2", 0)
    maker.appender.append(Batch([], [letter], []))
    maker.directory.close()
    assert call("export", str(maker.path), "--raw", str(tmp_path / "raw")) == 0
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["00000000-x.bin"]


def test_retried_letters_are_found_by_search_and_left_out_of_lists(data, capsys) -> None:
    assert call("retry", data, "--dry-run", "--all") == 4
    assert "3 dead letters would become 3 events" in capsys.readouterr().err
    assert call("retry", data, "--all", "-o", "json") == 4
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "retried": 3, "events": 3, "new_dead_letters": 0, "still_dead": 1, "cut": 1,
        "resolved": 0, "is_complete": True,
    }  # fmt: skip
    assert said.err.startswith("3 dead letters became 3 events; 1 still cannot be decoded; of 1 ")
    assert call("list", data, "-o", "json") == 0
    assert [line["number"] for line in lines(capsys)] == [2, 4]
    assert call("list", data) == 0
    assert "3 more were dealt with and are left out (--all)" in capsys.readouterr().err
    assert call("list", data, "--all", "-o", "json") == 0
    assert [line["is_resolved"] for line in lines(capsys)] == [True, True, False, True, False]
    assert call("export", data, "--all") == 0
    assert len(lines(capsys)) == 5
    assert call("retry", data, "0", "1", "3") == 0
    assert "3 had been dealt with before" in capsys.readouterr().err
    assert main(["search", "valve stuck", "--data", data, "--mode", "lexical", "-o", "json"]) == 0
    (hit,) = lines(capsys)
    occurrence = hit["occurrences"][0]
    assert (occurrence["source"], occurrence["partition"], occurrence["offset"]) == (
        "kafka:logs", "1:2", 3,
    )  # fmt: skip


def test_a_retry_needs_to_be_told_what_it_is_for(data, capsys) -> None:
    assert call("retry", data) == 2
    assert "or --all for every one" in capsys.readouterr().err
    assert call("retry", data, "--all", "--reason", "bad-json") == 2


def test_beside_a_daemon_it_says_how_to_have_it_done(data, capsys) -> None:
    with take_lock(Path(data), LOCK_NAME):
        assert call("retry", data, "--all") == 3
        assert "add --server 127.0.0.1:7040" in capsys.readouterr().err
        assert call("retry", data, "--all", "--dry-run") == 4
        assert call("list", data) == 0
    assert call("retry", data, "--all") == 4


def test_the_data_directory_may_be_named_before_the_action(data, capsys) -> None:
    assert main(["deadletters", "--data", data, "list", "-o", "json"]) == 0
    assert len(lines(capsys)) == 5
    assert main(["deadletters", "--set", f"data.directory={data}", "show", "2"]) == 0


def test_where_there_is_no_index_none_is_made(tmp_path: Path, capsys) -> None:
    assert call("retry", str(tmp_path / "none"), "--all") == 3
    assert "there is no index" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_damaged_shard_is_named_and_the_others_are_listed(maker, capsys) -> None:
    maker.appender.seal()
    maker.appender.append(Batch([], [refused(b"later", 9)], []))
    path = maker.directory.shards[0].path
    maker.directory.close()
    (path / "data.mdb").unlink()
    assert call("list", str(maker.path), "-o", "json") == 4
    said = capsys.readouterr()
    assert [json.loads(line)["number"] for line in said.out.splitlines()] == [5]
    assert "not read: shard" in said.err


class Daemon:
    """A running AdminService over an index that this process writes."""

    def __init__(self, maker) -> None:
        settings = Settings(data=DataSettings(directory=str(maker.path)))
        self._retry = DeadLetterRetry(settings, maker.directory, maker.appender)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self.address = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> str:
        self._server = grpc.aio.server(interceptors=[CallInterceptor(lambda _: None)])
        service = AdminService(lambda: None, self._retry)  # type: ignore[arg-type, return-value]
        admin_pb2_grpc.add_AdminServiceServicer_to_server(service, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_a_running_daemon_retries_when_it_is_asked(maker, capsys) -> None:
    daemon = Daemon(maker)
    try:
        path = str(maker.path)
        assert call("retry", path, "--server", daemon.address, "--reason", "bad-json") == 0
        assert "3 dead letters became 3 events" in capsys.readouterr().err
        assert call("retry", path, "--server", daemon.address, "--all") == 4
        assert "3 had been dealt with before" in capsys.readouterr().err
        assert call("retry", path, "--server", daemon.address, "--all", "--dry-run") == 2
    finally:
        daemon.stop()
    maker.directory.close()
    assert call("list", path, "-o", "json") == 0
    assert [line["number"] for line in lines(capsys)] == [2, 4]


def test_the_example_names_every_action() -> None:
    for action in ("list", "show", "retry", "export"):
        assert f"dejalog deadletters {action}" in deadletters.EXAMPLE
