from __future__ import annotations

import gzip
import os
from collections import deque
from pathlib import Path

from dejalog.daemon.sources.batch import Batch
from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.opening import (
    Later,
    Nothing,
    Opened,
    Surroundings,
    open_file,
    read_head,
)
from dejalog.daemon.sources.readers import GzipReader
from dejalog.daemon.sources.scan import Found, scan
from dejalog.daemon.sources.source import Positions
from dejalog.daemon.sources.tail import Tail, TailSettings
from dejalog.indexer.event import Position, Record

TEXT = b"".join(b"line %d of the log\n" % number for number in range(200))


def positions_after_reading(path: Path, count: int = 1 << 30) -> Positions:
    batch, ready = Batch(scan([str(path)]), Claims("file", {}), TailSettings()), deque[Record]()
    while batch.step(ready):
        pass
    record = list(ready)[:count][-1]
    key = ("file", record.partition)
    return {key: Position(*key, record.next_offset, record.state)}


def open_path(
    path: Path,
    positions: Positions,
    *,
    settle_s: float | None = None,
    tails: tuple[Tail, ...] = (),
    is_sibling: bool = False,
) -> Opened:
    (found,) = scan([str(path)]).found.values()
    found = Found(found.path, found.inode, found.size_bytes, 0, 0, is_sibling)
    listed = scan([str(path.parent)]).found
    paths = {inode: item.path for inode, item in listed.items()}
    around = Surroundings(Claims("file", positions), lambda: tails, paths.get)
    steps = open_file(found, around, TailSettings(), settle_s=settle_s)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            opened = stop.value
            assert isinstance(opened, Tail | Later | Nothing)
            return opened


def start_of(opened: Opened) -> tuple[str, int]:
    assert isinstance(opened, Tail)
    opened.close()
    return opened.partition, opened.reader.offset


def test_a_file_in_place_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    positions = positions_after_reading(path, 50)
    ((_, partition), position), *_ = positions.items()
    assert start_of(open_path(path, positions)) == (partition, position.offset)


def test_moved_content_goes_on_under_its_old_partition_plain_and_compressed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    positions = positions_after_reading(path, 100)
    ((_, partition), position), *_ = positions.items()
    (tmp_path / "copy").write_bytes(TEXT)
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(TEXT))
    assert start_of(open_path(tmp_path / "copy", positions))[1] == 0
    path.unlink()
    for name in ("copy", "a.log.1.gz"):
        assert start_of(open_path(tmp_path / name, positions)) == (partition, position.offset)


def test_content_that_differs_in_one_byte_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    positions = positions_after_reading(path)
    other = tmp_path / "a.log.1"
    other.write_bytes(TEXT[:2000] + b"X" + TEXT[2001:] + b"more\n")
    path.unlink()
    assert start_of(open_path(other, positions))[1] == 0


def test_a_compressed_file_that_was_read_to_its_end_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    positions = positions_after_reading(path)
    rotated = tmp_path / "a.log.1.gz"
    rotated.write_bytes(gzip.compress(TEXT))
    path.unlink()
    opened = open_path(rotated, positions)
    assert isinstance(opened, Nothing)
    assert opened.known is not None
    rotated.write_bytes(gzip.compress(os.urandom(100_000)))
    assert start_of(open_path(rotated, positions))[1] == 0


def test_siblings_are_opened_only_for_content_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.log.1"
    path.write_bytes(TEXT)
    assert open_path(path, {}, is_sibling=True) == Nothing()
    positions = positions_after_reading(path, 50)
    assert isinstance(open_path(path, positions, is_sibling=True), Tail)


def test_while_following_a_copy_or_a_compression_in_progress_waits(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.log", tmp_path / "a.log.1"
    path.write_bytes(TEXT)
    original = open_path(path, {})
    assert isinstance(original, Tail)
    copy.write_bytes(TEXT[:1500])
    tails = (original,)
    assert open_path(copy, {}, settle_s=60, tails=tails) == Later()
    copy.write_bytes(TEXT[:1500] + b"something else\n")
    assert isinstance(open_path(copy, {}, settle_s=60, tails=tails), Tail)
    copy.write_bytes(TEXT)
    assert isinstance(open_path(copy, {}, settle_s=0, tails=tails), Tail)
    copy.write_bytes(gzip.compress(TEXT))
    assert open_path(copy, {}, settle_s=60) == Later()
    original.close()


def test_an_unreadable_form_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"BZh91AY...")
    assert open_path(tmp_path / "a.log", {}) == Nothing("bzip2 cannot be read, unpack it first")


def test_a_head_is_read_over_several_small_members(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"".join(gzip.compress(b"ab") for _ in range(600)))
    reader = GzipReader(os.open(tmp_path / "a.gz", os.O_RDONLY))
    assert read_head(reader) == b"ab" * 512
    reader.close()
