from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.event import Position
from dejalog.indexer.store.directory import DataDirectory, is_being_written
from dejalog.indexer.store.layout import Header
from dejalog.indexer.store.manifest import (
    Manifest,
    ShardEntry,
    write_manifest,
)
from dejalog.indexer.store.shard import Shard, new_header


def header(shard: int = 0, first_event: int = 0) -> Header:
    return new_header(
        shard=shard,
        created_ns=1,
        first_event=first_event,
        first_dead_letter=0,
        encoder_fingerprint="model",
        mask_version=1,
        dim=4,
        pooled_dim=2,
    )


def manifest_of(*numbers: int) -> Manifest:
    return Manifest(next_shard=max(numbers) + 1, shards=tuple(map(ShardEntry, numbers)))


def numbers(directory: DataDirectory) -> list[int]:
    return [shard.header.shard for shard in directory.shards]


def test_a_reader_of_nothing_is_told_how_to_make_an_index(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="dejalog index"):
        DataDirectory.open(tmp_path, is_writable=False)


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path, is_writable=True):
        assert is_being_written(tmp_path)
        with pytest.raises(DataDirectoryError, match=f"process {os.getpid()}"):
            DataDirectory.open(tmp_path, is_writable=True)
    assert not is_being_written(tmp_path)


def test_the_lock_of_a_killed_writer_is_free_at_once(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from dejalog.indexer.store.directory import DataDirectory
directory = DataDirectory.open(Path({str(tmp_path)!r}), is_writable=True)
print("locked", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_being_written(tmp_path)
        process.send_signal(signal.SIGKILL)
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        assert directory.is_writable


def test_a_reader_sees_a_shard_that_a_writer_adds(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from dejalog.indexer.store.directory import DataDirectory
reader = DataDirectory.open(Path({str(tmp_path)!r}), is_writable=False)
print([s.header.shard for s in reader.shards], flush=True)
sys.stdin.readline()
reader.refresh()
print([s.header.shard for s in reader.shards], flush=True)
"""
    with DataDirectory.open(tmp_path, is_writable=True) as writer:
        writer.add_shard(header(), [Position("file", "a", 1)])
        reader = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "[1]\n"
            writer.add_shard(header(first_event=10), [])
            remaining, _ = reader.communicate("\n", timeout=30)
        assert remaining == "[1, 2]\n"


def test_what_an_interrupted_roll_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """A crash between making a shard and listing it leaves a folder that no manifest names."""
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        directory.add_shard(header(), [])
    leftover = tmp_path / "shards" / "000002"
    leftover.mkdir()
    (leftover / "data.mdb").write_bytes(b"half")
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        assert numbers(directory) == [1]
        assert not leftover.exists()
        directory.add_shard(header(), [])


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="cannot make"):
        DataDirectory.open(tmp_path / "file" / "data", is_writable=True)


@pytest.mark.parametrize("is_writable", [True, False])
def test_shards_without_a_manifest_are_kept(tmp_path: Path, is_writable: bool) -> None:
    """With manifest.json lost, the next writer took all shards for leftovers and removed them."""
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        directory.add_shard(header(), [])
    manifest = (tmp_path / "manifest.json").read_bytes()
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(DataDirectoryError, match=r"restore manifest\.json .* or move .*shards"):
        DataDirectory.open(tmp_path, is_writable=is_writable)
    (tmp_path / "manifest.json").write_bytes(manifest)
    with DataDirectory.open(tmp_path, is_writable=is_writable) as directory:
        assert numbers(directory) == [1]


def test_a_plain_file_between_the_shards_is_removed(tmp_path: Path) -> None:
    """A .DS_Store or a link there ended the start with NotADirectoryError."""
    with DataDirectory.open(tmp_path, is_writable=True):
        pass
    (tmp_path / "kept").mkdir()
    (tmp_path / "shards" / ".DS_Store").write_text("x")
    (tmp_path / "shards" / "link").symlink_to(tmp_path / "kept")
    with DataDirectory.open(tmp_path, is_writable=True):
        assert not list((tmp_path / "shards").iterdir())
    assert (tmp_path / "kept").is_dir()


def test_a_refresh_that_failed_is_done_again(tmp_path: Path) -> None:
    """The manifest counted as read before its shards were open, so that after one failure (too
    many open files) a new shard was never seen."""
    with DataDirectory.open(tmp_path, is_writable=True) as writer:
        writer.add_shard(header(), [])
    with DataDirectory.open(tmp_path, is_writable=False) as reader:
        for number in (2, 3):
            Shard.create(tmp_path / "shards" / f"{number:06d}", header(number), []).close()
        write_manifest(tmp_path, manifest_of(1, 2, 3))
        data = tmp_path / "shards" / "000003" / "data.mdb"
        data.rename(tmp_path / "elsewhere")
        for _ in range(2):
            reader.refresh()
            assert numbers(reader) == [1, 2]
            assert "missing" in str(reader.damaged[3])
        (tmp_path / "elsewhere").rename(data)
        reader.refresh()
        assert numbers(reader) == [1, 2, 3]
        assert not reader.damaged


def test_many_shards_fit_into_a_small_address_space(tmp_path: Path) -> None:
    """Each shard mapped 64 GiB, so that a board with 39-bit addresses could open seven."""
    script = f"""
import resource
from pathlib import Path
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.shard import new_header
names = dict(created_ns=1, first_event=0, first_dead_letter=0, encoder_fingerprint="m")
names.update(mask_version=1, dim=4, pooled_dim=2)
resource.setrlimit(resource.RLIMIT_AS, (40 << 30, 40 << 30))
path = Path({str(tmp_path)!r})
with DataDirectory.open(path, is_writable=True) as writer:
    writer.add_shard(new_header(shard=1, **names), [])
    for number in range(2, 13):
        writer.add_shard(new_header(shard=number, **names), [])
for is_writable in (True, False):
    with DataDirectory.open(path, is_writable=is_writable) as directory:
        for shard in directory.shards:
            with shard.snapshot() as snapshot:
                assert snapshot.header().shard == shard.header.shard
        print(len(directory.shards))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.stdout == "12\n12\n", result.stderr
