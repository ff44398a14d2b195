from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.store.environment import (
    MAP_BYTES,
    SHARD_BYTES_MAX,
    open_environment,
    rolled_map_bytes,
)


def test_a_map_has_room_for_twice_the_largest_shard() -> None:
    assert 2 * SHARD_BYTES_MAX <= MAP_BYTES


@pytest.mark.parametrize("size", [0, 1, (16 << 20) - 1, 16 << 20, (16 << 20) + 1])
def test_the_map_of_a_file_is_larger_than_the_file(tmp_path: Path, size: int) -> None:
    with (tmp_path / "data.mdb").open("wb") as file:
        file.truncate(size)
    assert size < rolled_map_bytes(tmp_path) <= size + (16 << 20)


def test_too_little_address_space_is_not_called_damage(tmp_path: Path) -> None:
    """With 'ulimit -v' or small addresses a good shard was said to be damaged."""
    open_environment(tmp_path, is_writable=True, map_bytes=MAP_BYTES).close()
    script = f"""
import resource
from pathlib import Path
from dejalog.indexer.errors import StorageError
from dejalog.indexer.store.environment import MAP_BYTES, open_environment
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    open_environment(Path({str(tmp_path)!r}), is_writable=False, map_bytes=MAP_BYTES)
except StorageError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert f"no {MAP_BYTES >> 20} MiB of address space" in result.stdout, result.stderr


def test_a_page_count_that_nothing_can_hold_is_damage(tmp_path: Path) -> None:
    open_environment(tmp_path, is_writable=True, map_bytes=MAP_BYTES).close()
    data = bytearray((tmp_path / "data.mdb").read_bytes())
    for page in range(2):
        # A meta page's header, its magic, version, address and map size, and two tree roots.
        at = page * resource.getpagesize() + 16 + 24 + 2 * 48
        data[at : at + 8] = (1 << 40).to_bytes(8, sys.byteorder)
    (tmp_path / "data.mdb").write_bytes(data)
    with pytest.raises(CorruptShardError, match="cannot open"):
        open_environment(tmp_path, is_writable=False, map_bytes=MAP_BYTES)


def filled(path: Path) -> int:
    """Makes an environment with values of several pages and returns its size."""
    environment = open_environment(path, is_writable=True, map_bytes=MAP_BYTES)
    database = environment.open_db(b"texts")
    with environment.begin(write=True) as transaction:
        for number in range(20):
            transaction.put(bytes([number]), b"x" * 20_000, db=database)
    environment.close()
    return (path / "data.mdb").stat().st_size


@pytest.mark.parametrize("share", [0.999, 0.5, 0.05])
def test_a_file_that_was_cut_short_is_damage_and_no_sigbus(tmp_path: Path, share: float) -> None:
    """The first look at a page behind the end of the file killed the process."""
    size = filled(tmp_path)
    os.truncate(tmp_path / "data.mdb", int(size * share))
    for is_immutable in (False, True):
        with pytest.raises(CorruptShardError, match="cut short"):
            open_environment(
                tmp_path, is_writable=False, map_bytes=MAP_BYTES, is_immutable=is_immutable
            )
    os.truncate(tmp_path / "data.mdb", 100)
    with pytest.raises(CorruptShardError, match="cannot open"):
        open_environment(tmp_path, is_writable=False, map_bytes=MAP_BYTES)


def test_an_immutable_environment_needs_no_lock_file(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "lock.mdb").unlink()
    open_environment(tmp_path, is_writable=False, map_bytes=MAP_BYTES, is_immutable=True).close()
    assert [path.name for path in tmp_path.iterdir()] == ["data.mdb"]


def test_a_disk_without_room_for_a_lock_file_is_not_called_damage(tmp_path: Path) -> None:
    """A file size limit stands in for the disk: it fails the same call with EFBIG."""
    filled(tmp_path)
    (tmp_path / "lock.mdb").unlink()
    script = f"""
import resource, signal
from pathlib import Path
from dejalog.indexer.errors import StorageError
from dejalog.indexer.store.environment import MAP_BYTES, open_environment
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    open_environment(Path({str(tmp_path)!r}), is_writable=False, map_bytes=MAP_BYTES)
except StorageError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "File too large" in result.stdout, result.stderr
