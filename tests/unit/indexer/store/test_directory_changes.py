"""A data directory that several processes change, and one with damaged shards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dejalog.indexer.errors import CorruptShardError, DataDirectoryError, StorageError
from dejalog.indexer.store import directory as directory_module
from dejalog.indexer.store.directory import DataDirectory, settled
from dejalog.indexer.store.layout import Header
from dejalog.indexer.store.manifest import (
    Deletion,
    Manifest,
    ShardEntry,
    Tier,
    read_manifest,
)
from dejalog.indexer.store.shard import Shard, new_header


def header(shard: int = 0) -> Header:
    return new_header(
        shard=shard,
        created_ns=1,
        first_event=0,
        first_dead_letter=0,
        encoder_fingerprint="model",
        mask_version=1,
        dim=16,
        pooled_dim=8,
    )


def numbers(directory: DataDirectory) -> list[int]:
    return [shard.header.shard for shard in directory.shards]


def fill(path: Path, count: int) -> None:
    with DataDirectory.open(path, is_writable=True) as directory:
        for _ in range(count):
            directory.add_shard(header(), [])


def compact(path: Path, make_compacted, sources: list[int]) -> int:
    """Replaces shards as another process would: through a directory object of its own."""
    with DataDirectory.open(path, is_writable=False) as directory, directory.compacting():
        made = directory.reserve_number()
        make_compacted(directory.draft(made), [[2, 3], [1]], shard=made)
        directory.replace_shards(sources, ShardEntry(made, Tier.COMPACTED))
        return made


def in_another_process(path: Path, sources: list[int]) -> None:
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import write_compacted
from test_directory_changes import compact
compact(Path(sys.argv[2]), write_compacted, [int(n) for n in sys.argv[3:]])
"""
    arguments = [str(Path(__file__).parent), str(path), *map(str, sources)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True)


def cut(path: Path, number: int) -> None:
    data = path / "shards" / f"{number:06d}" / "data.mdb"
    os.truncate(data, data.stat().st_size - 4096)


def test_the_directory_numbers_its_shards(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        assert directory.add_shard(header(77), []).header.shard == 1
        assert directory.reserve_number() == 2
        assert directory.add_shard(header(1), []).header.shard == 3
        assert directory.manifest.next_shard == 4
        assert directory.shard(3).path.name == "000003"
        with pytest.raises(KeyError):
            directory.shard(2)


def test_a_number_that_is_reserved_is_given_once(tmp_path: Path) -> None:
    """Two processes and three threads of each reserve at the same time."""
    fill(tmp_path, 1)
    script = f"""
import threading
from pathlib import Path
from dejalog.indexer.store.directory import DataDirectory
got = []
with DataDirectory.open(Path({str(tmp_path)!r}), is_writable=False) as directory:
    def reserve():
        got.extend(directory.reserve_number() for _ in range(10))
    threads = [threading.Thread(target=reserve) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(*got)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    got = [int(n) for process in processes for n in process.communicate()[0].split()]
    assert sorted(got) == list(range(2, 62))


def test_a_damaged_shard_is_set_aside_by_name_and_the_others_open(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    cut(tmp_path, 2)
    for is_writable in (False, True):
        with DataDirectory.open(tmp_path, is_writable=is_writable) as directory:
            assert numbers(directory) == [1, 3]
            assert list(directory.damaged) == [2]
            assert "cut short" in directory.damaged[2].reason
    assert (tmp_path / "shards" / "000002").is_dir()


def test_a_writer_needs_the_shard_that_it_appends_to(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    cut(tmp_path, 2)
    for _ in range(2):  # The refused one has given the lock back.
        with pytest.raises(CorruptShardError, match="000002"):
            DataDirectory.open(tmp_path, is_writable=True)
    with DataDirectory.open(tmp_path, is_writable=False) as directory:
        assert numbers(directory) == [1]


def test_a_shard_in_another_ones_folder_is_damage(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    shutil.rmtree(tmp_path / "shards" / "000001")
    shutil.copytree(tmp_path / "shards" / "000002", tmp_path / "shards" / "000001")
    with DataDirectory.open(tmp_path, is_writable=False) as directory:
        for _ in range(2):
            assert numbers(directory) == [2, 3]
            assert "it says that it is shard 2" in str(directory.damaged[1])
            directory.refresh()


def test_too_many_open_files_are_not_called_damage(tmp_path: Path) -> None:
    """A repair would set sound shards aside."""
    fill(tmp_path, 2)
    script = f"""
import resource
from pathlib import Path
from dejalog.indexer.errors import StorageError
from dejalog.indexer.store.directory import DataDirectory
held = [open("/dev/null") for _ in range(20)]
resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1].fileno() + 3, held[-1].fileno() + 3))
try:
    DataDirectory.open(Path({str(tmp_path)!r}), is_writable=False)
except StorageError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "Too many open files" in result.stdout, result.stderr


def test_a_shard_that_is_open_already_is_not_called_damage(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with (
        DataDirectory.open(tmp_path, is_writable=False),
        pytest.raises(StorageError, match="already open in this process"),
    ):
        DataDirectory.open(tmp_path, is_writable=False)


def test_the_writer_takes_on_what_another_process_has_compacted(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with DataDirectory.open(tmp_path, is_writable=True) as writer:
        active = writer.add_shard(header(), [])
        in_another_process(tmp_path, [1, 2])
        assert numbers(writer) == [1, 2, 3]
        writer.refresh()
        assert numbers(writer) == [4, 3]
        assert [shard.tier for shard in writer.shards] == [Tier.COMPACTED, Tier.FRESH]
        assert writer.shards[-1] is active
        with active.write() as write:
            write.put_labelset(0, [("host", "gw7")])
        assert writer.add_shard(header(), []).header.shard == 5
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [
        "000003",
        "000004",
        "000005",
    ]


def test_a_search_reads_a_replaced_shard_to_its_end(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with DataDirectory.open(tmp_path, is_writable=False) as reader:
        before = reader.shards[0]
        with before.snapshot() as snapshot:
            in_another_process(tmp_path, [1])
            reader.refresh()
            assert numbers(reader) == [3, 2]
            assert snapshot.header().shard == 1
        with pytest.raises(StorageError, match="closed"), before.snapshot():
            pass


def test_a_reader_that_loses_a_race_begins_again(
    tmp_path: Path, make_compacted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards vanish between the manifest that a reader has read and their opening."""
    fill(tmp_path, 4)
    races = [[3], [2]]
    original = Shard.open

    def replaced_first(path: Path, **options: bool) -> Shard:
        if races:
            with monkeypatch.context() as undone:
                undone.setattr(Shard, "open", original)
                in_another_process(tmp_path, races.pop())
        return original(path, **options)

    monkeypatch.setattr(directory_module.Shard, "open", replaced_first)
    with DataDirectory.open(tmp_path, is_writable=False) as reader:
        assert numbers(reader) == [1, 5, 6, 4]
        assert not reader.damaged


def test_a_killed_replacement_leaves_the_old_shards_or_the_new_one(
    tmp_path: Path, make_compacted, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    for at, expected in (("write_manifest", [1, 2]), ("remove_folder", [3, 2])):
        path = tmp_path / at
        fill(path, 2)
        with DataDirectory.open(path, is_writable=False) as directory, directory.compacting():
            made = directory.reserve_number()
            make_compacted(directory.draft(made), [[1]], shard=made)
            monkeypatch.setattr(directory_module, at, killed)
            with pytest.raises(KilledError):
                directory.replace_shards([1], ShardEntry(made, Tier.COMPACTED))
        monkeypatch.undo()
        with DataDirectory.open(path, is_writable=True) as directory:
            assert numbers(directory) == expected
            assert not directory.damaged
            names = sorted(child.name for child in (path / "shards").iterdir())
            assert names == sorted(f"{number:06d}" for number in expected)


def test_a_compaction_may_get_the_number_that_a_killed_writer_did_not_use(
    tmp_path: Path, make_compacted
) -> None:
    """Killed between making a shard and listing it, beside a running compaction, a writer left a
    folder under the number that the compaction then reserved, and could not be renamed to."""
    fill(tmp_path, 2)
    with DataDirectory.open(tmp_path, is_writable=False) as directory, directory.compacting():
        leftover = directory.folder(directory.manifest.next_shard)
        Shard.create(leftover, header(3), []).close()
        made = directory.reserve_number()
        assert directory.folder(made) == leftover
        make_compacted(directory.draft(made), [[1]], shard=made)
        directory.replace_shards([1], ShardEntry(made, Tier.COMPACTED))
        assert numbers(directory) == [made, 2]


def test_shards_can_be_dropped_without_a_successor(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        with directory.compacting():
            directory.replace_shards([1, 2], None)
        assert numbers(directory) == [3]
        assert [child.name for child in (tmp_path / "shards").iterdir()] == ["000003"]
        directory.add_shard(header(), [])
        directory.add_shard(header(), [])
        with directory.compacting(), pytest.raises(AssertionError, match="not adjacent"):
            directory.replace_shards([3, 5], None)


def test_one_process_compacts_at_a_time_and_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        with (
            directory.compacting(),
            pytest.raises(
                DataDirectoryError, match=f"compacted or copied by process {os.getpid()}"
            ),
            directory.compacting(),
        ):
            pass
        with directory.compacting():
            pass


def test_a_draft_belongs_to_the_compaction_and_not_to_the_writer(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    draft = tmp_path / "shards" / "000007.draft"
    draft.mkdir()
    (draft / "data.mdb").write_bytes(b"half")
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        assert draft.is_dir()
        with directory.compacting():
            assert not draft.exists()


def test_changes_of_two_threads_are_both_kept(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with DataDirectory.open(tmp_path, is_writable=True) as directory:

        def repeat(change: Callable[[], object]) -> threading.Thread:
            thread = threading.Thread(target=lambda: [change() for _ in range(10)])
            thread.start()
            return thread

        def delete(manifest: Manifest) -> Manifest:
            deletion = Deletion(manifest.next_deletion, 0, 9)
            return msgspec.structs.replace(
                manifest,
                next_deletion=manifest.next_deletion + 1,
                deletions=(*manifest.deletions, deletion),
            )

        threads = [
            repeat(lambda: directory.update(delete)),
            repeat(directory.reserve_number),
            repeat(lambda: directory.add_shard(header(), [])),
        ]
        for thread in threads:
            thread.join()
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert [deletion.number for deletion in manifest.deletions] == list(range(1, 11))
    assert manifest.next_shard == 22
    assert len(manifest.shards) == 11


def test_an_event_that_comes_after_a_deletion_is_not_deleted(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        directory.add_shard(header(), [])
        directory.update(
            lambda m: msgspec.structs.replace(
                m, next_deletion=2, deletions=(Deletion(1, 0, end_event=5),)
            )
        )
        directory.add_shard(header(), [])
        assert [entry.deletions_applied for entry in directory.manifest.shards] == [0, 1]


def test_a_deletion_is_kept_until_every_shard_reflects_it() -> None:
    deletions = tuple(Deletion(number, 0, 9) for number in (1, 2, 3))
    for applied, kept in (((3, 0), [1, 2, 3]), ((3, 2), [3]), ((3, 3), []), ((), [])):
        entries = tuple(ShardEntry(n, deletions_applied=a) for n, a in enumerate(applied, 1))
        manifest = Manifest(shards=entries, deletions=deletions)
        assert [deletion.number for deletion in settled(manifest).deletions] == kept
