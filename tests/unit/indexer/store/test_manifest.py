from __future__ import annotations

from pathlib import Path

import pytest

from dejalog.indexer.errors import FormatError
from dejalog.indexer.store.layout import FORMAT_VERSION
from dejalog.indexer.store.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    write_manifest,
)


def test_a_folder_without_a_manifest_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


def test_the_manifest_comes_back_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for shards in ((), (1,), (1, 2, 7)):
        write_manifest(tmp_path, Manifest(FORMAT_VERSION, shards))
        assert read_manifest(tmp_path) == Manifest(FORMAT_VERSION, shards)
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_a_half_written_successor_does_not_count(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(FORMAT_VERSION, (1,)))
    (tmp_path / "manifest.tmp").write_text('{"format_ver')
    assert read_manifest(tmp_path) == Manifest(FORMAT_VERSION, (1,))


def test_a_manifest_of_another_version_or_of_garbage_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(FORMAT_VERSION + 1, ()))
    with pytest.raises(FormatError, match=f"version {FORMAT_VERSION + 1}"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_bytes(b"\x00\x01")
    with pytest.raises(FormatError, match="unreadable"):
        read_manifest(tmp_path)
