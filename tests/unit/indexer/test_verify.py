from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.errors import CorruptShardError, FormatError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.store.directory import DataDirectory
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
    assert [p for p in report_of(filled.path).problems if "stored twice" in p]


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
    assert [p for p in report_of(filled.path).problems if "not committed" in p]


def test_any_flipped_byte_of_a_shard_is_found_or_harmless(filled) -> None:
    """LMDB has no checksums: values are ours to protect, pages are its verifier's."""
    filled.directory.close()
    data = filled.path / "shards" / "000002" / "data.mdb"
    good = data.read_bytes()
    found = 0
    for at in range(200, len(good), 97):
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
