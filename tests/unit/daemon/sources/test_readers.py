from __future__ import annotations

import gzip
import os
import random
import zlib
from pathlib import Path

import pytest

from dejalog.daemon.sources.readers import (
    CORRUPT,
    TRUNCATED,
    GzipReader,
    PlainReader,
    Reader,
    gzip_trailer,
    is_gzip,
)

TEXT = b"".join(b"%06d a line of some length\n" % number for number in range(20_000))


def open_bytes(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    return os.open(path, os.O_RDONLY)


def read_all(reader: Reader, bytes_max: int = 1 << 16) -> bytes:
    parts = []
    while data := reader.read(bytes_max):
        assert len(data) <= bytes_max
        parts.append(data)
    reader.close()
    return b"".join(parts)


def test_a_plain_reader_starts_anywhere_and_sees_what_is_appended(tmp_path: Path) -> None:
    reader = PlainReader(open_bytes(tmp_path / "a", b"abcdef"), 2)
    assert (reader.read(3), reader.read(3), reader.read(3)) == (b"cde", b"f", b"")
    with (tmp_path / "a").open("ab") as file:
        file.write(b"gh")
    assert (reader.read(9), reader.offset, reader.raw_offset) == (b"gh", 8, 8)
    reader.close()


@pytest.mark.parametrize("bytes_max", [1, 1000, 1 << 20])
def test_gzip_members_follow_each_other_and_zero_padding_is_no_fault(
    tmp_path: Path, bytes_max: int
) -> None:
    text = TEXT[:5000]
    body = (
        gzip.compress(text) + bytes(20) + gzip.compress(b"") + gzip.compress(b"second") + bytes(9)
    )
    reader = GzipReader(open_bytes(tmp_path / "a.gz", body))
    assert read_all(reader, bytes_max) == text + b"second"
    assert (reader.fault, reader.offset, reader.raw_offset) == ("", len(text) + 6, len(body))


def test_a_gzip_file_that_compressed_well_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    body = gzip.compress(bytes(50_000_000))
    assert len(body) < 1 << 16
    assert read_all(GzipReader(open_bytes(tmp_path / "a.gz", body)), 1 << 20) == bytes(50_000_000)


@pytest.mark.parametrize("cut", [2, 9, 100, 5000, -9, -1])
def test_a_truncated_gzip_keeps_what_came_before(tmp_path: Path, cut: int) -> None:
    body = gzip.compress(TEXT)[:cut]
    reader = GzipReader(open_bytes(tmp_path / "a.gz", body))
    assert read_all(reader) == zlib.decompressobj(31).decompress(body)
    assert reader.fault == TRUNCATED


def test_a_truncated_gzip_goes_on_when_the_rest_is_written(tmp_path: Path) -> None:
    body = gzip.compress(TEXT)
    reader = GzipReader(open_bytes(tmp_path / "a.gz", body[:5000]))
    first = b"".join(iter(lambda: reader.read(1 << 16), b""))
    assert reader.fault == TRUNCATED
    with (tmp_path / "a.gz").open("ab") as file:
        file.write(body[5000:])
    assert first + read_all(reader) == TEXT
    assert reader.fault == ""


def test_damage_in_a_gzip_file_keeps_every_byte_before_it(tmp_path: Path) -> None:
    seeded = random.Random(5)
    noise = seeded.randbytes(300_000)
    body = bytearray(gzip.compress(noise))
    body[200_000:200_010] = b"\xff" * 10
    reader = GzipReader(open_bytes(tmp_path / "a.gz", bytes(body)))
    data = read_all(reader)
    assert reader.fault == CORRUPT
    assert data[:190_000] == noise[:190_000]


def test_a_wrong_checksum_and_foreign_bytes_after_a_member_are_damage(tmp_path: Path) -> None:
    body = bytearray(gzip.compress(TEXT))
    body[-6] ^= 1
    wrong = GzipReader(open_bytes(tmp_path / "a.gz", bytes(body)))
    assert (read_all(wrong), wrong.fault) == (TEXT, CORRUPT)
    foreign = GzipReader(open_bytes(tmp_path / "b.gz", gzip.compress(TEXT) + b"plain text"))
    assert (read_all(foreign), foreign.fault) == (TEXT, CORRUPT)


def test_gzip_is_told_by_its_first_bytes_and_states_its_content(tmp_path: Path) -> None:
    fd = open_bytes(tmp_path / "no_suffix", gzip.compress(TEXT))
    assert is_gzip(fd)
    assert gzip_trailer(fd) == (zlib.crc32(TEXT), len(TEXT))
    os.close(fd)
    empty = open_bytes(tmp_path / "empty.gz", b"")
    assert not is_gzip(empty)
    assert gzip_trailer(empty) == (0, 0)
    os.close(empty)
