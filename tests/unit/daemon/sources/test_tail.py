from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dejalog.daemon.sources.identity import FileState, Known, digest_head, known_from
from dejalog.daemon.sources.readers import GzipReader, PlainReader
from dejalog.daemon.sources.tail import PIECE_BYTES, PrefixCrc, Tail, TailSettings, is_text
from dejalog.indexer.event import Position, Record

PLAIN = TailSettings()
NOW = 1_700_000_000_000_000_000


def open_tail(path: Path, settings: TailSettings = PLAIN, offset: int = 0) -> Tail:
    fd = os.open(path, os.O_RDONLY)
    head = os.pread(fd, 1024, 0)
    is_gzip = head.startswith(b"\x1f\x8b")
    crc = zlib.crc32(os.pread(fd, offset, 0))
    state = FileState(str(path), "1:2", digest_head(head), (offset, crc, offset, crc), is_gzip)
    reader = GzipReader(fd) if is_gzip else PlainReader(fd, offset)
    return Tail(reader, head, Known("1:2", offset, state), settings, path=str(path))


def read_all(tail: Tail) -> list[Record]:
    records = []
    while not tail.is_at_end:
        records += tail.read(NOW)
    return records + tail.finish(NOW)


def known_of(record: Record) -> Known:
    known = known_from(Position("file", record.partition, record.next_offset, record.state))
    assert known is not None
    return known


def test_records_tile_the_file_and_carry_the_crc_up_to_their_ends(tmp_path: Path) -> None:
    text = b"first\n\n\nsecond\r\n  more of it\nthird without an end"
    (tmp_path / 'a "b".log').write_bytes(text)
    tail = open_tail(tmp_path / 'a "b".log', TailSettings(labels=(("site", "north"),)))
    records = read_all(tail)
    assert records[0].data == b"first"
    end = 0
    for record in records:
        assert record.offset == end
        start, start_crc, end, end_crc = known_of(record).state.crc
        assert (start, end) == (record.offset, record.next_offset)
        assert (start_crc, end_crc) == (zlib.crc32(text[:start]), zlib.crc32(text[:end]))
        assert record.labels == (("file", 'a "b".log'), ("site", "north"))
    assert end == len(text)
    assert known_of(records[-1]) == tail.known()
    tail.close()


def test_a_record_too_long_to_keep_leaves_the_next_position_exact(tmp_path: Path) -> None:
    text = b"first\n" + b"x" * 3_000_000 + b"\nlast\n"
    path = tmp_path / "a.log"
    path.write_bytes(text)
    tail = open_tail(path, TailSettings(record_bytes_max=10_000))
    records = read_all(tail)
    assert [record.fault for record in records] == ["", "oversized", ""]
    assert records[1].size_bytes == 3_000_000
    for record in records:
        _, _, end, end_crc = known_of(record).state.crc
        assert end <= record.next_offset
        assert end_crc == zlib.crc32(text[:end])
    assert known_of(records[2]).state.crc[2] == len(text)
    tail.close()


@pytest.mark.parametrize(
    ("damage", "fault"), [(lambda body: body[:-4], "truncated-gzip"), (None, "corrupt-gzip")]
)
def test_a_broken_gzip_ends_in_one_faulty_record_that_comes_once(
    tmp_path: Path, damage: object, fault: str
) -> None:
    body = gzip.compress(b"one\ntwo\n")
    path = tmp_path / "a.gz"
    path.write_bytes(damage(body) if callable(damage) else body + b"garbage")
    tail = open_tail(path)
    records = read_all(tail)
    assert [(r.data, r.fault) for r in records] == [(b"one", ""), (b"two", ""), (b"", fault)]
    assert (records[2].offset, records[2].next_offset) == (8, 8)
    status = os.stat(path)
    assert known_of(records[2]).state.final == (status.st_size, status.st_mtime_ns)
    tail.close()
    again = open_tail(path)
    again.reader.read(8)
    known = known_of(records[2])
    resumed = Tail(again.reader, again.head, known, TailSettings(), path=str(path))
    assert read_all(resumed) == []
    resumed.close()


def test_a_whole_gzip_marks_its_last_record_as_final(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntwo\nthree\n"))
    tail = open_tail(tmp_path / "a.gz")
    records = read_all(tail)
    assert [known_of(r).state.final == (0, 0) for r in records] == [True, True, False]
    tail.close()


@pytest.mark.parametrize("content", [b"", b"one\nTWO\nthree\n", b"longer than before, and other\n"])
def test_replaced_content_is_never_read_on(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntwo\n")
    tail = open_tail(path)
    tail.read(NOW)
    tail.read(NOW)
    tail.flush(NOW, is_end=False)
    path.write_bytes(content)
    assert tail.read(NOW) == []
    assert tail.is_replaced
    tail.close()


def test_appended_content_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"")
    tail = open_tail(path)
    assert tail.read(NOW) == []
    with path.open("ab") as file:
        file.write(b"one\ntw")
    assert tail.read(NOW) == []
    assert (tail.has_pending, tail.has_partial) == (True, True)
    assert [r.data for r in tail.flush(NOW, is_end=False)] == [b"one"]
    assert (tail.has_pending, tail.has_partial) == (False, True)
    with path.open("ab") as file:
        file.write(b"o\n")
    tail.read(NOW)
    records = tail.flush(NOW)
    assert [(r.data, r.offset, r.next_offset) for r in records] == [(b"two", 4, 8)]
    assert known_of(records[0]).state.head == digest_head(b"one\ntwo\n")
    assert replace(tail.known(), state=known_of(records[0]).state) == tail.known()
    tail.close()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"2024-05-01 started\n", True),
        (b'\n {"message": "a"}\n{"message": "b"}\n', False),
        (b'\xef\xbb\xbf{"message": "a"}\n', False),
        (b'{\n  "message": "a"\n}\n', True),
        (b"", True),
    ],
)
def test_json_lines_stay_apart_and_pretty_json_together(head: bytes, expected: bool) -> None:
    assert is_text(head) is expected


def test_a_prefix_crc_knows_every_end_it_still_keeps() -> None:
    prefix = PrefixCrc(0, 0, 100)
    prefix.feed(b"abcdef")
    assert prefix.advance(2) == zlib.crc32(b"ab")
    prefix.feed(b"ghi")
    assert prefix.advance(2) == zlib.crc32(b"ab")
    assert prefix.advance(8) == zlib.crc32(b"abcdefgh")
    prefix.feed(bytes(10 * PIECE_BYTES))
    assert prefix.advance(9) == -1
    whole = b"abcdefghi" + bytes(10 * PIECE_BYTES)
    assert prefix.advance(len(whole)) == zlib.crc32(whole)


def test_the_state_is_the_json_of_its_type(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"one\n")
    tail = open_tail(tmp_path / "a.log")
    record = read_all(tail)[0]
    assert msgspec.json.decode(record.state, type=FileState) == tail.known().state
    tail.close()
