from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

from dejalog.daemon.sources.files import FileSource
from dejalog.indexer.errors import SourceError
from dejalog.indexer.event import Position, Record

Positions = dict[tuple[str, str], Position]


def read(source: FileSource, positions: Positions) -> list[Record]:
    source.seek(positions)
    records = []
    while not source.is_exhausted:
        for record in source.poll(records_max=100, bytes_max=1 << 20, timeout_s=0):
            key = (record.source, record.partition)
            positions[key] = Position(*key, record.next_offset, record.state)
            records.append(record)
    source.close()
    return records


def lines(path: Path, positions: Positions) -> list[bytes]:
    return [record.data for record in read(FileSource([path], follow=False), positions)]


def test_a_second_run_adds_nothing_and_a_grown_file_its_new_part(tmp_path: Path) -> None:
    (tmp_path / "b.log").write_bytes(b"b1\nb2\n")
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(b"a1\na2 without an end"))
    positions: Positions = {}
    assert lines(tmp_path, positions) == [b"a1", b"a2 without an end", b"b1", b"b2"]
    assert lines(tmp_path, positions) == []
    with (tmp_path / "b.log").open("ab") as file:
        file.write(b"b3\n")
    assert lines(tmp_path, positions) == [b"b3"]
    assert lines(tmp_path, positions) == []


def test_a_last_line_without_its_end_is_a_record_and_so_is_its_rest(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"one\ntw")
    positions: Positions = {}
    assert lines(tmp_path, positions) == [b"one", b"tw"]
    with (tmp_path / "a.log").open("ab") as file:
        file.write(b"o\n")
    assert lines(tmp_path, positions) == [b"o"]


def test_a_truncated_gzip_is_reported_once_and_read_on_when_it_is_whole(tmp_path: Path) -> None:
    text = b"".join(b"%06d\n" % number for number in range(5000))
    body = gzip.compress(text)
    path = tmp_path / "a.gz"
    path.write_bytes(body[: len(body) // 2])
    positions: Positions = {}
    first = read(FileSource([path], follow=False), positions)
    assert [record.fault for record in first if record.fault] == ["truncated-gzip"]
    assert read(FileSource([path], follow=False), positions) == []
    os.utime(path)
    assert read(FileSource([path], follow=False), positions) == []
    path.write_bytes(body)
    rest = read(FileSource([path], follow=False), positions)
    events = [record for record in first + rest if not record.fault]
    assert b"".join(record.data for record in events) == text.replace(b"\n", b"")
    assert {record.partition for record in rest} == {first[0].partition}


def test_a_truncated_and_refilled_file_is_new_content_of_its_inode(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntwo\n")
    positions: Positions = {}
    (first, _) = read(FileSource([path], follow=False), positions)
    path.write_bytes(b"other\nlines\nthan before\n")
    second = read(FileSource([path], follow=False), positions)
    assert [record.data for record in second] == [b"other", b"lines", b"than before"]
    assert {record.partition for record in second} == {f"{first.partition}#2"}
    assert lines(path, positions) == []


def test_a_file_that_only_begins_like_one_that_is_gone_is_read_whole(tmp_path: Path) -> None:
    banner = b"gateway started\n" * 100
    positions: Positions = {}
    old = tmp_path / "old.log"
    old.write_bytes(banner + b"pump stopped\n")
    assert len(lines(old, positions)) == 101
    keep = tmp_path / "keep"
    old.rename(keep)
    (tmp_path / "new.log").write_bytes(banner + b"valve opened and more\n")
    keep.unlink()
    assert lines(tmp_path / "new.log", positions)[-1] == b"valve opened and more"
    assert len(positions) == 2


def test_content_that_was_copied_to_another_inode_is_read_on(tmp_path: Path) -> None:
    text = b"".join(b"line %d of the log\n" % number for number in range(200))
    old = tmp_path / "old.log"
    old.write_bytes(text)
    positions: Positions = {}
    lines(old, positions)
    (tmp_path / "moved.log").write_bytes(text + b"more\n")
    assert len(lines(tmp_path / "moved.log", {})) == 201
    old.unlink()
    assert lines(tmp_path / "moved.log", positions) == [b"more"]
    assert lines(tmp_path / "moved.log", positions) == []


def test_a_copy_beside_its_original_is_another_file(tmp_path: Path) -> None:
    text = b"line of the log\n" * 200
    (tmp_path / "a.log").write_bytes(text)
    positions: Positions = {}
    assert len(lines(tmp_path, positions)) == 200
    (tmp_path / "copy.log").write_bytes(text)
    assert len(lines(tmp_path, positions)) == 200
    assert lines(tmp_path, positions) == []


def test_random_bytes_and_a_very_long_line_are_all_accounted_for(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(2_000_000) + b"\n" + b"y" * 5_000_000
    (tmp_path / "noise").write_bytes(data)
    records = read(FileSource([tmp_path / "noise"], follow=False), {})
    end = 0
    for record in records:
        assert record.offset == end
        end = record.next_offset
    assert end == len(data)
    assert records[-1].fault == "oversized"


def test_what_is_not_read_is_listed_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"one\n")
    (tmp_path / "b.xz").write_bytes(b"x")
    (tmp_path / "renamed.log").write_bytes(b"\xfd7zXZ\0....")
    source = FileSource([tmp_path], follow=False)
    assert len(read(source, {})) == 1
    assert {os.path.basename(item.path): item.reason for item in source.skipped()} == {
        "b.xz": "xz cannot be read, unpack it first",
        "renamed.log": "xz cannot be read, unpack it first",
    }
    assert source.problems() == []


def test_a_path_that_cannot_be_read_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"missing\.log: no such file"):
        FileSource([tmp_path / "missing.log"], follow=False).start()
    with pytest.raises(SourceError, match="no such file"):
        FileSource([tmp_path / "missing" / "a.log"], follow=True).start()
    (tmp_path / "a.log").write_bytes(b"one\n")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SourceError, match=r"a\.log: permission denied; grant reading"):
        FileSource([tmp_path / "a.log"], follow=False).start()


def test_a_file_of_a_folder_that_cannot_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"one\n")
    opened = os.open

    def refuse(path: str, *rest: object, **more: object) -> int:
        if str(path).endswith("a.log"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    source = FileSource([tmp_path], follow=False)
    records = source.poll(records_max=10, bytes_max=1000, timeout_s=1)
    assert [record.data for record in records] == [b"one"]
    assert [(Path(p.path).name, p.reason) for p in source.problems()] == [
        ("a.log", "permission denied")
    ]


def test_progress_counts_bytes_as_they_lie_on_disk(tmp_path: Path) -> None:
    body = gzip.compress(b"line\n" * 1000)
    (tmp_path / "a.gz").write_bytes(body)
    (tmp_path / "b.log").write_bytes(b"one\n")
    source = FileSource([tmp_path], follow=False)
    source.start()
    before = source.progress()
    assert (before.bytes_done, before.bytes_total) == (0, len(body) + 4)
    read_source = read(FileSource([tmp_path], follow=False), {})
    assert len(read_source) == 1001
    while not source.is_exhausted:
        source.poll(records_max=5000, bytes_max=1 << 20, timeout_s=0)
    after = source.progress()
    assert (after.bytes_done, after.files_done, after.files_total) == (len(body) + 4, 2, 2)
    assert after.current == str(tmp_path / "b.log")


def test_a_poll_keeps_its_limits(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"%010d\n" % 7 * 1000)
    source = FileSource([tmp_path], follow=False)
    assert len(source.poll(records_max=7, bytes_max=1 << 20, timeout_s=0)) == 7
    assert len(source.poll(records_max=100, bytes_max=25, timeout_s=0)) == 3
    with pytest.raises(ValueError, match="seek comes before"):
        source.seek({})
    source.close()


def test_empty_files_and_folders_are_exhausted_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    (tmp_path / "empty.log.gz").touch()
    assert read(FileSource([tmp_path], follow=False), {}) == []


@pytest.mark.parametrize("follow", [False, True])
def test_a_finished_source_hands_out_nothing_more(tmp_path: Path, follow: bool) -> None:
    # A stop left records in the source that the pipeline had yet to ask for; files can be read
    # again, so finishing is the end at once, however much was listed.
    (tmp_path / "a.log").write_bytes(b"line\n" * 1000)
    source = FileSource([tmp_path], follow=follow)
    assert len(source.poll(records_max=3, bytes_max=1000, timeout_s=5)) == 3
    assert not source.is_exhausted
    source.finish()
    assert source.is_exhausted
    assert source.poll(records_max=3, bytes_max=1000, timeout_s=5) == []
    source.close()


@pytest.mark.parametrize("follow", [False, True])
def test_a_file_whose_name_is_not_utf8_is_read_once_and_known_again(
    tmp_path: Path, follow: bool
) -> None:
    # One file that an old Windows program had named (Latin-1 "Stoerung" with its umlaut) ended the
    # process with a UnicodeEncodeError, and with it the reading of all others.
    folder = os.path.join(os.fsencode(tmp_path), b"l\xf6g")
    os.mkdir(folder)
    with open(os.path.join(folder, b"St\xf6rung.log"), "wb") as file:
        file.write(b"pump stopped\npump started\n")
    os.symlink(b"nowhere", os.path.join(folder, b"\xf6.log"))
    positions: Positions = {}
    source = FileSource([os.fsdecode(folder)], follow=follow)
    source.seek(positions)
    records = []
    while len(records) < 2:
        records += source.poll(records_max=1, bytes_max=1000, timeout_s=1)
    printed = f"{tmp_path}/l\\xf6g"
    assert {record.labels for record in records} == {(("file", "St\\xf6rung.log"),)}
    assert [item.path for item in source.skipped()] == [f"{printed}/\\xf6.log"]
    assert source.progress().current == f"{printed}/St\\xf6rung.log"
    source.close()
    for record in records:
        record.state.encode()
        key = (record.source, record.partition)
        positions[key] = Position(*key, record.next_offset, record.state)
    assert lines(Path(os.fsdecode(folder)), positions) == []


def test_rotated_and_copied_names_that_are_not_utf8_are_told_apart_by_their_content(
    tmp_path: Path,
) -> None:
    # Stored paths are escaped, those on disk are not: compared as they are, a compressed log was
    # new content, and a copy's original seemed gone.
    folder = os.fsencode(tmp_path)
    log, packed = os.path.join(folder, b"\xf6.log"), os.path.join(folder, b"\xf6.log.1.gz")
    text = b"pump stopped\npump started\n"
    with open(log, "wb") as file:
        file.write(text)
    positions: Positions = {}
    assert len(lines(tmp_path, positions)) == 2
    os.unlink(log)
    with open(packed, "wb") as file:
        file.write(gzip.compress(text))
    assert lines(tmp_path, positions) == []


def test_the_original_of_a_copy_is_found_under_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    # Its stored path is escaped, and nothing lies there: the original seemed gone, so the copy was
    # taken for it and not read.
    text = b"line of the log\n" * 200
    original = tmp_path / os.fsdecode(b"\xf6.log")
    original.write_bytes(text)
    (tmp_path / "copy.log").write_bytes(text)
    positions: Positions = {}
    assert len(lines(original, positions)) == 200
    assert len(lines(tmp_path / "copy.log", positions)) == 200


def test_a_named_path_that_is_not_utf8_and_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    # Named paths are compared with the listing's, which are escaped.
    missing = tmp_path / os.fsdecode(b"\xf6.log")
    with pytest.raises(SourceError, match=r"\\xf6\.log: no such file"):
        FileSource([missing], follow=False).start()
    FileSource([missing], follow=True).start()


def test_labels_by_path_stay_with_the_content_through_rotation(tmp_path: Path) -> None:
    """Two files of one folder whose names differ only in a number, so that each looks like a
    rotated form of the other: a wrong asset would be worse than none."""
    pumps = {name: tmp_path / f"pump-{name}.log" for name in ("101", "102")}
    other = tmp_path / "fan.log"
    for path in (*pumps.values(), other):
        path.write_bytes(path.name.encode() + b" on\n")
    rules = [(path, (("asset", name),)) for name, path in pumps.items()]
    positions: Positions = {}

    def assets() -> dict[bytes, tuple[str, str, str]]:
        source = FileSource(
            [*pumps.values(), tmp_path], follow=False, labels=(("site", "x"),), path_labels=rules
        )
        found = {}
        for record in read(source, positions):
            labels = dict(record.labels)
            found[record.data] = (labels["file"], labels.get("asset", ""), labels["site"])
        return found

    assert assets() == {
        b"pump-101.log on": ("pump-101.log", "101", "x"),
        b"pump-102.log on": ("pump-102.log", "102", "x"),
        b"fan.log on": ("fan.log", "", "x"),
    }
    with pumps["102"].open("ab") as file:
        file.write(b"102 off\n")
    pumps["102"].rename(tmp_path / "pump-102.log.1")
    pumps["102"].write_bytes(b"102 on again\n")
    assert assets() == {
        b"102 off": ("pump-102.log", "102", "x"),
        b"102 on again": ("pump-102.log", "102", "x"),
    }
