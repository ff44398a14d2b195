from __future__ import annotations

import errno
import os
from collections import deque
from pathlib import Path

import pytest

from dejalog.daemon.sources.batch import Batch
from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.scan import scan
from dejalog.daemon.sources.tail import PIECE_BYTES, Tail, TailSettings
from dejalog.indexer.event import Record


def batch_of(folder: Path) -> Batch:
    return Batch(scan([str(folder)]), Claims("file", {}), TailSettings())


def test_files_are_read_in_order_of_path_each_to_its_end(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        (tmp_path / name).write_bytes(f"{name}1\n{name}2".encode())
    batch, ready = batch_of(tmp_path), deque[Record]()
    while batch.step(ready):
        pass
    assert batch.is_done
    assert [record.data for record in ready] == [b"a1", b"a2", b"b1", b"b2", b"c1", b"c2"]


def test_a_file_that_is_gone_when_its_turn_comes_is_named_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"line\n")
    batch, ready = batch_of(tmp_path), deque[Record]()
    (tmp_path / "a").unlink()
    while batch.step(ready):
        pass
    assert [(item.path, item.reason) for item in batch.failed()] == [
        (str(tmp_path / "a"), "no such file or directory")
    ]
    assert len(ready) == 1
    assert batch.progress().files_done == 2


def test_closing_ends_reading(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"line\n")
    batch, ready = batch_of(tmp_path), deque[Record]()
    batch.step(ready)
    batch.close()
    assert not batch.step(ready)
    assert not ready


def test_a_file_that_fails_while_it_is_read_is_named_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A bad sector (or a network folder that went away) under one file of thousands ended the run.
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"line\n" * 100_000)
    batch, ready = batch_of(tmp_path), deque[Record]()
    read, before = os.pread, len(os.listdir("/proc/self/fd"))

    def fail_within_a(fd: int, size: int, offset: int) -> bytes:
        if offset >= PIECE_BYTES and os.readlink(f"/proc/self/fd/{fd}").endswith("/a"):
            raise OSError(errno.EIO, "Input/output error")
        return read(fd, size, offset)

    monkeypatch.setattr(os, "pread", fail_within_a)
    while batch.step(ready):
        pass
    assert [(item.path, item.reason) for item in batch.failed()] == [
        (str(tmp_path / "a"), "input/output error")
    ]
    assert 100_000 < len(ready) < 200_000
    assert batch.is_done
    assert batch.progress().files_done == 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_progress_may_be_asked_for_while_the_reading_thread_closes_a_file(tmp_path: Path) -> None:
    # The writing thread asks after each commit. The file was open when it looked, and was none
    # when it asked for its offset: the run ended with an AttributeError.
    (tmp_path / "a").write_bytes(b"line\n")

    class ClosedMeanwhile(Batch):
        looks = 0

        @property
        def _tail(self) -> Tail | None:
            self.looks += 1
            return self.__dict__["tail"] if self.looks == 1 else None

        @_tail.setter
        def _tail(self, tail: Tail | None) -> None:
            self.__dict__["tail"], self.looks = tail, 0

    batch = ClosedMeanwhile(scan([str(tmp_path)]), Claims("file", {}), TailSettings())
    batch.step(deque())
    assert batch.progress().files_total == 1
    batch.__dict__["tail"].close()
