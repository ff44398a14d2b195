from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dejalog.indexer.append import Appender, ShardLimits
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.errors import CorruptShardError, DataDirectoryError
from dejalog.indexer.event import Position
from dejalog.indexer.repair import repair
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.folders import COMPACT_LOCK_NAME, take_lock
from dejalog.indexer.store.manifest import Deletion, read_manifest
from dejalog.indexer.verify import verify

#: 2024-03-01T10:00:00Z.
NOW_NS = 1_709_287_200 * 10**9


@pytest.fixture
def filled(make_index):
    """Four shards of 4 events; the last one is being appended to."""
    maker = make_index(ShardLimits(events_max=4))
    for number in range(4):
        maker.add(*(f"fan F-{i} stopped, job 90000{number}" for i in range(4)))
    return maker


def cut(path: Path, number: int) -> None:
    data = path / "shards" / f"{number:06d}" / "data.mdb"
    os.truncate(data, data.stat().st_size - 4096)


def flip_page(path: Path, number: int) -> None:
    """Damages a page that opening the shard does not look at."""
    file = path / "shards" / f"{number:06d}" / "data.mdb"
    data = bytearray(file.read_bytes())
    at = data.index(b"(zstd)") if b"(zstd)" in data else data.index(b"\x28\xb5\x2f\xfd")
    data[at + 30] ^= 0xFF
    file.write_bytes(data)


def is_clean(path: Path) -> bool:
    with DataDirectory.open(path, is_writable=False) as directory:
        return verify(directory, is_quiet=True).is_clean


def test_a_clean_index_is_left_alone(filled) -> None:
    filled.directory.close()
    before = (filled.path / "manifest.json").read_bytes()
    repaired = repair(filled.path)
    assert (repaired.report.problems, repaired.done, repaired.remaining) == ([], [], [])
    assert (filled.path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("damage", [cut, flip_page])
def test_a_damaged_shard_is_set_aside_and_the_others_go_on(filled, damage, encoder) -> None:
    filled.directory.close()
    damage(filled.path, 2)
    repaired = repair(filled.path, clock=lambda: NOW_NS)
    assert repaired.remaining == []
    assert repaired.done[0].startswith("moved shard 000002 to ")
    assert "from a backup" in repaired.done[1]
    assert (filled.path / "damaged" / "000002-20240301T100000Z" / "data.mdb").exists()
    assert is_clean(filled.path)
    with DataDirectory.open(filled.path, is_writable=True) as directory:
        assert [shard.header.shard for shard in directory.shards] == [1, 3, 4]
        assert Appender(directory, encoder).positions() == [Position("file", "1:1", 16)]
        found = Searcher(directory, encoder).search(SearchRequest("fan F-2"))
        assert found.events_total == 12


def test_a_new_shard_takes_the_place_of_a_damaged_active_one(filled, encoder) -> None:
    """Its sources go on where the newest sound shard ends, and no number is given again."""
    filled.directory.close()
    cut(filled.path, 4)
    with pytest.raises(CorruptShardError):
        DataDirectory.open(filled.path, is_writable=True)
    repaired = repair(filled.path)
    assert repaired.remaining == []
    assert "read it again" in repaired.done[1]
    with DataDirectory.open(filled.path, is_writable=True) as directory:
        assert [shard.header.shard for shard in directory.shards] == [1, 2, 3, 5]
        assert directory.shards[-1].header.first_event >= 16
        appender = Appender(directory, encoder)
        assert appender.positions() == [Position("file", "1:1", 12)]
        maker = replace_directory(filled, directory, appender)
        maker.add("fan F-9 stopped")
        assert verify(directory, is_quiet=True).is_clean


def replace_directory(maker, directory: DataDirectory, appender: Appender):
    maker.directory, maker.appender = directory, appender
    return maker


def test_numbers_begin_above_those_of_a_damaged_shard_that_still_opens(filled) -> None:
    filled.directory.close()
    flip_page(filled.path, 4)
    repair(filled.path)
    with DataDirectory.open(filled.path, is_writable=False) as directory:
        header = directory.shards[-1].header
    assert (header.shard, header.first_event >= 16) == (5, True)


def test_several_damaged_shards_are_set_aside_together(filled) -> None:
    filled.directory.close()
    for number in (1, 3, 4):
        cut(filled.path, number)
    repaired = repair(filled.path)
    assert [line[:17] for line in repaired.done[:3]] == [
        f"moved shard 00000{number}"[:17] for number in (1, 3, 4)
    ]
    with DataDirectory.open(filled.path, is_writable=True) as directory:
        assert [shard.header.shard for shard in directory.shards] == [2, 5]
        with directory.shards[-1].snapshot() as snapshot:
            assert snapshot.positions() == [Position("file", "1:1", 8)]


def test_an_index_without_a_sound_shard_becomes_an_empty_one(filled, encoder) -> None:
    filled.directory.close()
    for number in (1, 2, 3, 4):
        cut(filled.path, number)
    repaired = repair(filled.path)
    assert "no shard is left" in repaired.done[-1]
    assert repaired.remaining == []
    with DataDirectory.open(filled.path, is_writable=True) as directory:
        assert Appender(directory, encoder).positions() == []
        assert [shard.header.shard for shard in directory.shards] == [5]
    assert len(list((filled.path / "damaged").iterdir())) == 4


def test_a_damaged_word_index_is_made_anew(filled, encoder) -> None:
    folder = lexical_folder(filled.directory.shards[1])
    filled.directory.close()
    file = next(folder.glob("events/*.store"))
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(data)
    repaired = repair(filled.path)
    assert repaired.done == ["made the word index of shard 000002 anew"]
    assert repaired.remaining == []
    with DataDirectory.open(filled.path, is_writable=False) as directory:
        request = SearchRequest('"900001"')
        assert Searcher(directory, encoder).search(request).events_matched == 4


def test_a_repair_that_was_killed_is_gone_on_with(filled, monkeypatch) -> None:
    """Between the move and the manifest the shard is in neither, and must not be removed."""

    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    filled.directory.close()
    cut(filled.path, 4)
    monkeypatch.setattr(DataDirectory, "update", killed_after_reserving(killed))
    with pytest.raises(KilledError):
        repair(filled.path)
    monkeypatch.undo()
    assert len(list((filled.path / "damaged").iterdir())) == 1
    repaired = repair(filled.path)
    assert "is missing" in repaired.done[0]
    assert repaired.remaining == []
    with DataDirectory.open(filled.path, is_writable=True) as directory:
        assert directory.shards[-1].header.first_event >= 16
        assert [path.name for path in (filled.path / "damaged").iterdir()] != []


def killed_after_reserving(killed):
    original, calls = DataDirectory.update, []

    def update(directory, change):
        calls.append(change)
        return original(directory, change) if len(calls) == 1 else killed()

    return update


def test_what_a_repair_cannot_mend_remains(filled) -> None:
    """An event that is there twice is in two sound shards: neither is set aside for it."""
    event = filled.event("once")
    filled.add(event)
    filled.add(replace(event))
    filled.directory.close()
    repaired = repair(filled.path)
    assert repaired.done == []
    assert len(repaired.remaining) == 1
    assert "stored twice" in repaired.remaining[0]


def test_numbers_that_would_be_given_again_are_raised(filled) -> None:
    filled.directory.update(
        lambda m: msgspec.structs.replace(m, next_shard=2, deletions=(Deletion(4, 0, 0),))
    )
    filled.directory.close()
    assert repair(filled.path).done == ["the next shard is 5, the next deletion 5"]
    manifest = read_manifest(filled.path)
    assert manifest is not None
    assert (manifest.next_shard, manifest.next_deletion) == (5, 5)


def test_nobody_else_writes_or_compacts_meanwhile(filled) -> None:
    with pytest.raises(DataDirectoryError, match="being written"):
        repair(filled.path)
    filled.directory.close()
    with (
        take_lock(filled.path, COMPACT_LOCK_NAME),
        pytest.raises(DataDirectoryError, match="being compacted"),
    ):
        repair(filled.path)
