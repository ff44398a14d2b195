from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import pytest

from dejalog.daemon.sources import follow
from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.follow import Follower
from dejalog.daemon.sources.opening import Nothing
from dejalog.daemon.sources.readers import PlainReader
from dejalog.daemon.sources.scan import Listing, scan
from dejalog.daemon.sources.tail import TailSettings
from dejalog.daemon.sources.timing import Timing
from dejalog.indexer.event import Record

TIMING = Timing(settle_s=0.0)


class Followed:
    """A follower of one folder whose clock is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now_s = folder, 0.0
        self.ready: deque[Record] = deque()
        self.follower = Follower(
            self.scan, self.scan(), Claims("file", {}), TailSettings(),
            timing=TIMING, clock=lambda: self.now_s,
        )  # fmt: skip

    def scan(self) -> Listing:
        return scan([str(self.folder)])

    def after(self, seconds: float) -> list[bytes]:
        self.now_s += seconds
        while self.follower.step(self.ready):
            pass
        self.follower.step(self.ready)
        lines = [record.data for record in self.ready]
        self.ready.clear()
        return lines


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_new_files_are_found_by_the_next_listing(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    append(tmp_path / "a.log", b"one\ntwo\n")
    assert followed.after(0.5) == []
    assert followed.after(0.6) == [b"one"]
    assert followed.after(TIMING.idle_flush_s) == [b"two"]
    followed.follower.close()


def test_a_line_without_its_end_waits_longer_than_an_event(tmp_path: Path) -> None:
    append(tmp_path / "a.log", b"one\nhal")
    followed = Followed(tmp_path)
    assert followed.after(0) == []
    assert followed.after(TIMING.idle_flush_s) == [b"one"]
    append(tmp_path / "a.log", b"f")
    assert followed.after(TIMING.partial_line_s - 0.1) == []
    assert followed.after(TIMING.partial_line_s) == [b"half"]
    followed.follower.close()


def test_a_renamed_file_keeps_its_partition_and_its_label(tmp_path: Path) -> None:
    append(tmp_path / "a.log", b"one\ntwo\n")
    followed = Followed(tmp_path)
    followed.after(0)
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log.1", b"three\n")
    append(tmp_path / "a.log", b"new\nest\n")
    followed.now_s += 1.1
    while followed.follower.step(followed.ready):
        pass
    labels = {record.data: record.labels[0][1] for record in followed.ready}
    assert labels == {b"two": "a.log", b"new": "a.log"}
    assert len({record.partition for record in followed.ready}) == 2
    followed.follower.close()


def test_an_orphan_is_closed_after_a_silence(tmp_path: Path) -> None:
    append(tmp_path / "a.log", b"one\n")
    followed = Followed(tmp_path)
    followed.after(0)
    with (tmp_path / "a.log").open("ab") as writer:
        (tmp_path / "a.log").unlink()
        followed.after(1.1)
        writer.write(b"two\nthr")
        writer.flush()
        followed.after(0.1)
        assert followed.follower.progress().files_total == 0
        assert followed.after(TIMING.orphan_wait_s) == [b"two", b"thr"]
        writer.write(b"unheard\n")
    assert followed.after(9) == []
    followed.follower.close()


def test_what_was_held_back_of_truncated_content_is_read_if_no_copy_comes(tmp_path: Path) -> None:
    append(tmp_path / "a.log", b"one\nlast before the cut\n")
    followed = Followed(tmp_path)
    assert followed.after(0) == [b"one"]
    os.truncate(tmp_path / "a.log", 0)
    assert followed.after(0.1) == []
    assert followed.after(TIMING.replaced_wait_s + 0.1) == [b"last before the cut"]
    append(tmp_path / "a.log", b"new\n")
    followed.after(1.1)
    followed.now_s += 1.1
    followed.follower.step(followed.ready)
    assert [record.partition[-2:] for record in followed.ready] == ["#2"]
    followed.follower.close()


def test_silent_files_are_closed_beyond_the_limit_and_read_on_when_they_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "OPEN_FILES_MAX", 2)
    for number in range(6):
        append(tmp_path / f"{number}.log", b"%d\n" % number)
    before = open_files()
    followed = Followed(tmp_path)
    lines = []
    for _ in range(9):
        lines += followed.after(1.1)
        assert open_files() <= before + 2
    assert sorted(lines) == [b"%d" % number for number in range(6)]
    for number in range(6):
        append(tmp_path / f"{number}.log", b"more of %d\n" % number)
    more = [line for _ in range(9) for line in followed.after(1.1)]
    assert sorted(more) == [b"more of %d" % number for number in range(6)]
    followed.follower.close()
    assert open_files() == before


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_that_cannot_be_opened_is_a_problem_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Followed(tmp_path)
    append(tmp_path / "a.log", b"one\n")
    real = os.open

    def deny(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", deny)
    followed.after(1.1)
    assert [item.reason for item in followed.follower.failed()] == ["permission denied"]
    monkeypatch.setattr(os, "open", real)
    followed.after(1.1)
    assert followed.follower.failed() == []
    assert followed.after(1.1) == [b"one"]
    followed.follower.close()


def test_a_busy_file_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "READY_MAX", 10)
    (tmp_path / "a.log").write_bytes(b"a\n" * 1_000_000)
    (tmp_path / "b.log").write_bytes(b"b\n" * 100)
    followed = Followed(tmp_path)
    for _ in range(6):
        followed.ready.clear()
        followed.follower.step(followed.ready)
        if b"b" in {record.data for record in followed.ready}:
            break
    assert b"b" in {record.data for record in followed.ready}
    followed.follower.close()


def test_what_is_read_may_be_asked_for_while_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The writing thread asks after each commit. The reading thread opened and put away files
    # meanwhile, and the daemon ended with "dictionary changed size during iteration".
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"one\n")
        (tmp_path / f"{name}.packed").write_bytes(b"PK\x03\x04 and more")
    followed = Followed(tmp_path)
    for _ in range(3):
        followed.after(1.1)
    follower = followed.follower

    def open_another(reader: PlainReader) -> int:
        for item in list(follower._followed.values()):
            follower._followed[f"new {len(follower._followed)}"] = item
        return reader.offset

    def put_away_another(why: Nothing) -> str:
        for item in list(follower._unchanged.values()):
            follower._unchanged[f"new {len(follower._unchanged)}"] = item
        return "a reason"

    with monkeypatch.context() as patch:
        patch.setattr(PlainReader, "raw_offset", property(open_another))
        assert follower.progress().files_total == 4
        patch.setattr(Nothing, "reason", property(put_away_another))
        assert len(follower.refused()) == 2
    for changing in (follower._followed, follower._unchanged):
        for key in [key for key in changing if key.startswith("new")]:
            del changing[key]
    follower.close()
