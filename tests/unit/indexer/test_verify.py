from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dejalog.indexer import verify as verification
from dejalog.indexer import verify_fresh
from dejalog.indexer.append import ShardLimits, text_blocks
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.errors import CorruptShardError, FormatError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.environment import tree_problems
from dejalog.indexer.store.manifest import Deletion, read_manifest, write_manifest
from dejalog.indexer.verify import Report, verify


def report_of(path: Path) -> Report:
    with DataDirectory.open(path, is_writable=False) as directory:
        return verify(directory, is_quiet=True)


@pytest.fixture
def filled(make_index):
    maker = make_index(ShardLimits(events_max=4))
    for number in range(3):
        maker.add(*(f"fan F-{i} stopped, job 90000{number}" for i in range(4)))
    return maker


def test_a_good_index_is_clean_and_counted(filled) -> None:
    filled.directory.close()
    report = report_of(filled.path)
    assert report.problems == []
    assert (report.shards, report.events, report.patterns) == (3, 12, 12)


def test_an_event_that_is_stored_twice_is_found_across_shards(filled) -> None:
    first = filled.event("once")
    filled.add(first)
    filled.add(replace(first, sub=1))
    filled.add(first)
    filled.directory.close()
    report = report_of(filled.path)
    assert [p for p in report.problems if "stored twice" in p]
    assert report.damaged == []


def test_an_event_with_another_events_pattern_is_found(filled, monkeypatch) -> None:
    conftest = sys.modules[type(filled).__module__]
    monkeypatch.setattr(conftest, "mask_pattern", lambda _: ("wrong", ()))
    filled.add("right")
    filled.directory.close()
    assert [p for p in report_of(filled.path).problems if "does not have its text's pattern" in p]


def test_a_word_index_that_leads_is_found(filled) -> None:
    shard = filled.directory.shards[-1]
    with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
        index.append([], [(12, "ghost")], patterns_end=index.patterns_indexed, events_end=13)
    filled.directory.close()
    report = report_of(filled.path)
    assert [p for p in report.problems if "not committed" in p]
    assert (report.damaged, report.damaged_words) == ([], [3])


def test_any_flipped_byte_of_a_shard_is_found_or_harmless(filled) -> None:
    """LMDB has no checksums: values are ours to protect, pages are its verifier's."""
    filled.directory.close()
    data = filled.path / "shards" / "000002" / "data.mdb"
    good = data.read_bytes()
    found = 0
    for at in range(200, len(good), 389):
        damaged = bytearray(good)
        damaged[at] ^= 0x40
        data.write_bytes(damaged)
        try:
            found += not report_of(filled.path).is_clean
        except (CorruptShardError, FormatError):
            found += 1
    data.write_bytes(good)
    assert report_of(filled.path).is_clean
    assert found > 10


def test_texts_of_more_events_than_there_are_columns_are_a_problem(filled) -> None:
    """The first text without a column ended the check with IndexError."""
    shard = filled.directory.shards[-1]
    block = next(text_blocks([filled.event("one too many"), filled.event("and another")]))[1]
    with shard.write() as write:
        write.put_texts(shard.header.first_event + 4, block)
    filled.directory.close()
    assert [p for p in report_of(filled.path).problems if "texts of 6 events instead of 4" in p]


def test_the_shard_after_a_damaged_one_is_not_blamed(filled) -> None:
    """After a shard that could not be read the next one was said to begin with a wrong number."""
    environment = filled.directory.shards[1]._environment
    with environment.begin(write=True) as transaction:
        transaction.delete(b"counters", db=filled.directory.shards[1]._databases[b"meta"])
    filled.directory.close()
    problems = report_of(filled.path).problems
    assert len(problems) == 1
    assert problems[0].startswith("shard 000002: ")


def test_an_index_that_grows_meanwhile_is_clean(make_index, monkeypatch) -> None:
    """One snapshot for a whole shard kept its writer from using any page again for minutes."""
    maker = make_index(ShardLimits(events_max=12))
    maker.add(*(f"fan F-{number} stopped" for number in range(10)))
    added = []

    def mask_and_append(text: str):
        with monkeypatch.context() as undone:
            undone.setattr(verification, "mask_pattern", mask_pattern)
            added.append(f"pump P-{len(added)} on, line {len(added)}")
            maker.add(maker.event(added[-1], time_ns=-len(added), labels=(("n", added[-1]),)))
        return mask_pattern(text)

    monkeypatch.setattr(verification, "mask_pattern", mask_and_append)
    monkeypatch.setattr(verify_fresh, "BLOCKS_PER_SNAPSHOT", 1)
    report = verify(maker.directory, is_quiet=False)
    assert report.problems == []
    assert report.events == 10
    assert len(added) == 10


def test_records_are_remembered_up_to_a_bound(monkeypatch) -> None:
    """A digest of each event of the whole index was kept, in a set: 100 bytes an event."""
    monkeypatch.setattr(verification, "RECORDS_MAX", 5)
    seen = verification._Seen()
    names = [number.to_bytes(8, "little") for number in range(20)]
    assert seen.add_shard(b"".join(names[:4])) == []
    assert seen.add_shard(names[9] + names[2] + names[8] + names[8]) == [1, 3]
    assert seen.add_shard(b"") == []
    assert seen.add_shard(names[8]) == [0]
    assert seen.add_shard(b"".join(names[10:16])) == []
    assert sum(map(len, seen._shards)) == 6


def test_a_shard_that_does_not_open_is_a_problem_with_a_name(filled) -> None:
    filled.directory.close()
    os.truncate(filled.path / "shards" / "000002" / "data.mdb", 20_000)
    report = report_of(filled.path)
    assert [p for p in report.problems if p.startswith("shard 000002: data.mdb has been cut")]
    assert (report.damaged, report.shards, report.events) == ([2], 2, 8)


def test_numbers_may_be_missing_between_shards(filled) -> None:
    with filled.directory.compacting():
        filled.directory.replace_shards([2], None)
    filled.directory.close()
    report = report_of(filled.path)
    assert report.problems == []
    assert (report.shards, report.events) == (2, 8)


def test_a_number_that_two_shards_have_is_a_problem(filled) -> None:
    header = msgspec.structs.replace(filled.directory.shards[-1].header, first_event=11)
    filled.directory.add_shard(header, [])
    filled.directory.close()
    assert report_of(filled.path).problems == [
        "shard 000004: begins with event 11, but a shard before it has those up to 11"
    ]


def test_a_manifest_that_would_give_a_number_again_is_a_problem(filled) -> None:
    filled.directory.update(
        lambda m: msgspec.structs.replace(m, next_shard=3, deletions=(Deletion(1, 0, 0),))
    )
    filled.directory.close()
    assert report_of(filled.path).problems == [
        "the manifest would give the number 3 again",
        "the manifest would give deletion 1 again",
    ]


def test_a_shard_that_is_compacted_meanwhile_is_no_problem(filled, monkeypatch) -> None:
    """Its folder vanished between the list and the look at its pages."""

    def removed_first(path: Path) -> list[str]:
        if path.name == "000002":
            shutil.rmtree(path)
            manifest = read_manifest(filled.path)
            kept = tuple(e for e in manifest.shards if e.number != 2)
            write_manifest(filled.path, msgspec.structs.replace(manifest, shards=kept))
        return tree_problems(path)

    monkeypatch.setattr(verification, "tree_problems", removed_first)
    report = verify(filled.directory, is_quiet=False)
    assert report.problems == []
    assert (report.replaced, report.shards) == ([2], 2)


def test_pages_of_shards_that_no_longer_grow_are_walked_while_the_last_one_grows(filled) -> None:
    assert verify(filled.directory, is_quiet=False).is_clean
    path = filled.path / "shards" / "000001" / "data.mdb"
    with path.open("r+b") as file:
        for at in range(2 * 4096, path.stat().st_size, 4096):
            os.pwrite(file.fileno(), b"\xff", at + 10)  # A page's flags.
    report = verify(filled.directory, is_quiet=False)
    assert [p for p in report.problems if p.startswith("shard 000001: LMDB: ")]
    assert report.damaged == [1]
