from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dejalog.daemon.sources.scan import Listing, compression_of, refusal_by_head, scan


def names(listing: Listing, folder: Path) -> list[str]:
    return [os.path.relpath(found.path, folder) for found in listing.found.values()]


def reasons(listing: Listing, folder: Path) -> dict[str, str]:
    return {os.path.relpath(item.path, folder): item.reason for item in listing.skipped}


def test_every_file_is_either_found_or_skipped_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    read = ["a.log", "b/c/d.log.gz", "b/e", "z.txt"]
    refused = [".hidden", "b/.git", "f.zip", "f.tar.xz", "g.png", "wtmp"]
    for name in [*read, *refused]:
        (tmp_path / name).write_bytes(b"x")
    listing = scan([str(tmp_path)])
    assert names(listing, tmp_path) == read
    skipped = reasons(listing, tmp_path)
    assert sorted(skipped) == sorted(refused)
    assert skipped["f.zip"] == "zip cannot be read, unpack it first"
    assert skipped[".hidden"] == "hidden"
    assert skipped["wtmp"] == "binary"


def test_patterns_choose_by_name_and_with_a_slash_by_path(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("a.log", "b.txt", "old/c.log"):
        (tmp_path / name).write_bytes(b"x")
    listing = scan([str(tmp_path)], include=["*.log"], exclude=["*/old/*"])
    assert names(listing, tmp_path) == ["a.log"]
    assert reasons(listing, tmp_path) == {"b.txt": "not included", "old/c.log": "excluded"}


def test_links_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "real.log").write_bytes(b"x")
    (tmp_path / "current.log").symlink_to("sub/real.log")
    (tmp_path / "sub" / "loop").symlink_to("..")
    (tmp_path / "nowhere").symlink_to("missing")
    os.link(tmp_path / "sub" / "real.log", tmp_path / "sub" / "second.log")
    listing = scan([str(tmp_path)])
    assert names(listing, tmp_path) == ["sub/real.log"]
    skipped = reasons(listing, tmp_path)
    assert skipped["nowhere"] == "a link to nothing"
    assert skipped["sub/loop"] == "a link to a folder that is read already"
    assert skipped["current.log"] == f"the same file as {tmp_path}/sub/real.log"
    assert "sub/second.log" in skipped


def test_pipes_sockets_and_devices_are_skipped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listing = scan([str(tmp_path), "/dev/null"])
    assert not listing.found
    assert [item.reason for item in listing.skipped] == [
        "a device, not a file",
        "a pipe, not a file",
        "a socket, not a file",
    ]


def test_a_named_file_is_read_whatever_its_name_and_a_missing_one_is_unreadable(
    tmp_path: Path,
) -> None:
    named = tmp_path / ".hidden.bin"
    named.write_bytes(b"x")
    listing = scan([str(named), str(tmp_path / "missing")])
    assert names(listing, tmp_path) == [".hidden.bin"]
    assert [item.reason for item in listing.unreadable] == ["no such file or directory"]


def test_a_folder_that_cannot_be_listed_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", deny)
    listing = scan([str(tmp_path)])
    assert [(item.path, item.reason) for item in listing.unreadable] == [
        (str(tmp_path), "permission denied")
    ]


def test_rotated_forms_lie_beside_a_named_file_as_siblings(tmp_path: Path) -> None:
    for name in ("app.log", "app.log.1", "app.log.2.gz", "app.log.bak", "other.log.1"):
        (tmp_path / name).write_bytes(b"x")
    listing = scan([str(tmp_path / "app.log")], has_siblings=True)
    assert {os.path.basename(found.path): found.is_sibling for found in listing.found.values()} == {
        "app.log": False,
        "app.log.1": True,
        "app.log.2.gz": True,
    }


def test_compressed_forms_are_told_by_their_first_bytes() -> None:
    assert compression_of(b"PK\x03\x04...") == "zip"
    assert compression_of(b"\x28\xb5\x2f\xfd") == "zstd"
    assert compression_of(b"BZ2 pump stopped") == ""


def test_a_pattern_is_looked_up_in_each_scan(tmp_path: Path) -> None:
    """The configuration promises patterns, but `files = ["/var/log/*.log"]` read nothing."""
    pattern = str(tmp_path / "*.log")
    assert [item.reason for item in scan([pattern]).unreadable] == ["no such file or directory"]
    (tmp_path / "a.log").write_text("one\n")
    (tmp_path / "a.txt").write_text("two\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.log").write_text("three\n")
    found = scan([pattern]).found.values()
    assert [item.path for item in found] == [str(tmp_path / "a.log")]
    deep = scan([str(tmp_path / "**" / "*.log")]).found.values()
    assert [Path(item.path).name for item in deep] == ["a.log", "b.log"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a[1].log").write_text("one\n")
    found = scan([str(tmp_path / "a[1].log")]).found.values()
    assert [Path(item.path).name for item in found] == ["a[1].log"]


def test_binary_files_are_known_by_their_first_bytes() -> None:
    assert refusal_by_head(b"\x7fELF\x02\x01\x01\0") == "binary"
    assert refusal_by_head(b"SQLite format 3\0\x10") == "binary"
    assert refusal_by_head(b"\xfd7zXZ\0\0") == "xz cannot be read, unpack it first"
    assert refusal_by_head(b"\0\0\0\0pump stopped") == ""
    assert refusal_by_head(b"MZ-101 stopped") == ""
    assert refusal_by_head(b"") == ""


def test_an_index_among_the_logs_is_not_read(tmp_path: Path) -> None:
    """`dejalog index --data ./data .` took in the index's own files, with --follow for ever."""
    (tmp_path / "plant.log").write_text("pump on\n")
    (tmp_path / "data" / "shards").mkdir(parents=True)
    (tmp_path / "data" / "manifest.json").write_text("{}")
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "a.log").write_text("no manifest beside it\n")
    listing = scan([str(tmp_path)])
    names = sorted(Path(found.path).name for found in listing.found.values())
    assert names == ["a.log", "plant.log"]
    assert [(Path(s.path).name, s.reason) for s in listing.skipped] == [
        ("data", "an index of dejalog")
    ]
