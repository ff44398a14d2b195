from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.errors import DataDirectoryError, FormatError
from dejalog.indexer.store.manifest import (
    MANIFEST_NAME,
    MANIFEST_VERSION,
    Deletion,
    Manifest,
    ShardEntry,
    Tier,
    manifest_lock,
    read_manifest,
    write_manifest,
)

TIMES = st.none() | st.integers(-(2**62), 2**62)
ENTRIES = st.builds(ShardEntry, st.integers(1, 10**9), st.sampled_from(Tier), st.integers(0, 99))
DELETIONS = st.builds(
    Deletion,
    number=st.integers(1, 99),
    created_ns=st.integers(0, 2**62),
    end_event=st.integers(0, 2**62),
    since_ns=TIMES,
    until_ns=TIMES,
    conditions=st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=2).map(tuple),
)
MANIFESTS = st.builds(
    Manifest,
    next_shard=st.integers(1, 2**40),
    next_deletion=st.integers(1, 2**40),
    shards=st.lists(ENTRIES, max_size=4).map(tuple),
    deletions=st.lists(DELETIONS, max_size=3).map(tuple),
)


def numbered(*numbers: int) -> Manifest:
    return Manifest(next_shard=99, shards=tuple(ShardEntry(number) for number in numbers))


def test_a_folder_without_a_manifest_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


@given(MANIFESTS)
def test_a_manifest_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, manifest: Manifest
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest


def test_replacing_a_manifest_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for numbers in ((), (1,), (1, 2, 7)):
        write_manifest(tmp_path, numbered(*numbers))
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_a_half_written_successor_does_not_count(tmp_path: Path) -> None:
    write_manifest(tmp_path, numbered(1))
    (tmp_path / "manifest.tmp").write_text('{"format_ver')
    assert read_manifest(tmp_path) == numbered(1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"format_version": 3, "shards": []}', "version 3"),
        ('{"shards": []}', "version None"),
        ("\x00\x01", "unreadable"),
        ("[]", "unreadable"),
        ('{"format_version": 2, "shards": [1]}', "unreadable"),
        ('{"format_version": 2, "shards": [{"number": 1, "tier": "lukewarm"}]}', "unreadable"),
        ('{"format_version": 1, "shards": ["1"]}', "unreadable"),
    ],
)
def test_another_version_or_garbage_is_refused(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(FormatError, match=found):
        read_manifest(tmp_path)


def test_version_1_is_read_as_fresh_shards_and_written_on_as_version_2(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text('{"format_version": 1, "shards": [1, 2, 5]}')
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.numbers == (1, 2, 5)
    assert {entry.tier for entry in manifest.shards} == {Tier.FRESH}
    assert (manifest.format_version, manifest.next_shard) == (MANIFEST_VERSION, 6)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_an_empty_index_of_version_1_begins_with_shard_1(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text('{"format_version": 1, "shards": []}')
    assert read_manifest(tmp_path) == Manifest(next_shard=1)


def test_an_entry_is_found_by_its_number() -> None:
    manifest = numbered(4, 2)
    assert manifest.entry(2) == ShardEntry(2)
    with pytest.raises(KeyError):
        manifest.entry(3)


def test_a_killed_holder_of_the_manifests_lock_holds_up_nobody(tmp_path: Path) -> None:
    script = f"""
import os
from pathlib import Path
from dejalog.indexer.store.manifest import manifest_lock
with manifest_lock(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with manifest_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="nowhere"), manifest_lock(tmp_path / "nowhere"):
        pass
