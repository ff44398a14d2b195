from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from dejalog.daemon.sources.identity import (
    FileState,
    Known,
    crc_of_range,
    digest_head,
    has_head,
    inode_and_generation,
    is_compressed_whole,
    is_in_place,
    is_rotation,
    known_from,
    may_have_moved,
    partition_name,
    rotation_stem,
    skip_to,
)
from dejalog.daemon.sources.readers import PlainReader
from dejalog.indexer.event import Position

TEXT = b"".join(b"line %d\n" % number for number in range(1000))
START, END = 4000, 4009


def known(path: str = "/var/log/app.log", text: bytes = TEXT, end: int = END) -> Known:
    crc = (START, zlib.crc32(text[:START]), end, zlib.crc32(text[:end]))
    return Known("1:2", end, FileState(path, "1:2", digest_head(text[:1024]), crc))


def open_bytes(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    return os.open(path, os.O_RDONLY)


def result(steps: Generator[None, None, int]) -> int:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return int(stop.value)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (lambda text: text, True),
        (lambda text: text + b"more\n", True),
        (lambda text: text[:END], True),
        (lambda text: text[: END - 1], False),
        (lambda text: b"L" + text[1:], False),
        (lambda text: text[:START] + b"X" + text[START + 1 :], False),
    ],
)
def test_a_file_in_place_has_the_first_and_the_last_record(
    tmp_path: Path, change: object, is_same: bool
) -> None:
    assert callable(change)
    text = change(TEXT)
    fd = open_bytes(tmp_path / "a", text)
    assert is_in_place(fd, text[:1024], known()) is is_same
    os.close(fd)


def test_moved_content_is_recognised_by_every_byte(tmp_path: Path) -> None:
    middle = TEXT[:2000] + b"X" + TEXT[2001:]
    same, other, short = (
        open_bytes(tmp_path / name, data)
        for name, data in (("same", TEXT), ("other", middle), ("short", TEXT[: END - 1]))
    )
    assert result(skip_to(PlainReader(same), known())) == zlib.crc32(TEXT[:END])
    assert result(skip_to(PlainReader(other), known())) == -1
    assert result(skip_to(PlainReader(short), known())) == -1
    assert crc_of_range(same, 0, END, 0) == zlib.crc32(TEXT[:END])
    for fd in (same, other, short):
        os.close(fd)


def test_a_crc_that_ends_before_the_position_is_continued_up_to_it(tmp_path: Path) -> None:
    fd = open_bytes(tmp_path / "a", TEXT)
    early = known()
    later = Known(early.partition, 5000, early.state)
    assert result(skip_to(PlainReader(fd), later)) == zlib.crc32(TEXT[:5000])
    os.close(fd)


def test_a_compressed_file_is_known_by_its_trailer_under_a_rotated_name_only(
    tmp_path: Path,
) -> None:
    whole = known(end=len(TEXT))
    fd = open_bytes(tmp_path / "a.gz", gzip.compress(TEXT))
    assert is_compressed_whole(fd, "/var/log/app.log.2.gz", whole)
    assert not is_compressed_whole(fd, "/var/log/other.gz", whole)
    assert not is_compressed_whole(fd, "/var/log/app.log.2.gz", known())
    os.close(fd)


@pytest.mark.parametrize(
    "name", ["app.log.1", "app.log.12.gz", "app.log-20240501", "app.1.log", "app-2024-05-01.log"]
)
def test_rotation_adds_counters_and_dates_to_names(name: str) -> None:
    assert rotation_stem(f"/var/log/{name}") == "app.log"
    assert is_rotation(f"/var/log/{name}", "/var/log/app.log")
    assert not is_rotation(f"/var/log/old/{name}", "/var/log/app.log")
    assert not is_rotation("/var/log/app.log", f"/var/log/{name}")
    assert not is_rotation(f"/var/log/{name}", "/var/log/other.log")


def test_short_content_is_looked_for_under_rotated_names_only() -> None:
    short = Known("1:2", 6, msgspec.structs.replace(known().state, crc=(0, 0, 6, 1)))
    assert may_have_moved("/var/log/app.log.1", short)
    assert not may_have_moved("/var/log/app.log", short)
    assert not may_have_moved("/srv/copy", short)
    assert may_have_moved("/srv/copy", known())


def test_positions_go_through_json_and_foreign_states_are_unknown() -> None:
    state = msgspec.json.encode(known().state).decode()
    assert known_from(Position("file", "1:2", END, state)) == known()
    assert known_from(Position("file", "1:2", END, "")) is None
    assert known_from(Position("file", "1:2", END, '{"path": 3}')) is None


def test_later_content_of_an_inode_is_numbered() -> None:
    assert [partition_name("1:2", number) for number in (1, 2)] == ["1:2", "1:2#2"]
    assert [inode_and_generation(name) for name in ("1:2", "1:2#7", "1:2#x")] == [
        ("1:2", 1),
        ("1:2", 7),
        ("1:2", 1),
    ]


def test_a_head_matches_only_if_all_of_it_is_there() -> None:
    assert has_head(TEXT[:1024], known().state)
    assert not has_head(TEXT[:1023], known().state)
