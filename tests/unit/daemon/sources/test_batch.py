from __future__ import annotations

from collections import deque
from pathlib import Path

from dejalog.daemon.sources.batch import Batch
from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.scan import scan
from dejalog.daemon.sources.tail import TailSettings
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
