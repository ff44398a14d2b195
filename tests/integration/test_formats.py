"""Indexes that earlier versions wrote are read, verified, searched, written on and compacted."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.backup import back_up
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.compaction.describe import read_columns, read_labelsets
from dejalog.indexer.deletion import deleted_events, pending_deletions
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, Position, TimeOrigin
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.restore import restore
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.compacted import DELETED_KIND
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.manifest import MANIFEST_VERSION, Tier, read_manifest
from dejalog.indexer.store.view import ShardView
from dejalog.indexer.verify import verify

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def words() -> Encoder:
    """The model that the fixtures were written with."""
    return Encoder.load(FIXTURES / "bundle")


@pytest.fixture(params=["format_1", "format_2"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with index/ and expected.json, as that version wrote them."""
    with tarfile.open(FIXTURES / request.param / "index.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def expected_of(place: Path) -> dict[str, Any]:
    return dict(json.loads((place / "expected.json").read_text()))


def events_of(directory: DataDirectory) -> dict[str, dict[str, Any]]:
    """Every event that counts, by its number."""
    found: dict[str, dict[str, Any]] = {}
    for shard in directory.shards:
        first = shard.header.first_event
        columns, labelsets = read_columns(shard), read_labelsets(shard)
        entry = directory.manifest.entry(shard.header.shard)
        pending = pending_deletions(entry, directory.manifest.deletions, first)
        is_gone = deleted_events(columns, labelsets, first, pending)
        is_gone |= columns.kinds == DELETED_KIND
        arrays = ShardView(shard).refresh()
        with shard.snapshot() as snapshot:
            reader = EventReader(snapshot, arrays)
            for row in range(len(columns.times)):
                if not is_gone[row]:
                    found[str(first + row)] = as_json(reader.event(first + row))
    return found


def as_json(event: Event) -> dict[str, Any]:
    return {
        "text": event.text,
        "kind": event.kind.name,
        "time_ns": event.time_ns,
        "offset": event.offset,
        "labels": dict(event.labels),
        "attributes": dict(event.attributes),
    }


def test_every_event_is_there_and_every_byte_is_right(place: Path) -> None:
    expected = expected_of(place)
    with DataDirectory.open(place / "index", is_writable=False) as directory:
        assert [shard.header.shard for shard in directory.shards] == expected["shards"]
        assert events_of(directory) == expected["events"]
        assert verify(directory, is_quiet=True).problems == []
        with directory.shards[-1].snapshot() as snapshot:
            (position,) = snapshot.positions()
        assert position.offset == expected["position"]
        assert json.loads(position.state) == {"path": "plant.log"}


def test_a_search_by_meaning_and_by_word_finds_what_is_there(place: Path, words) -> None:
    events = expected_of(place)["events"]
    with DataDirectory.open(place / "index", is_writable=False) as directory:
        searcher = Searcher(directory, words)
        leaking = [e for e in events.values() if e["text"].startswith("fan leaking")]
        (hit, *_) = searcher.search(SearchRequest("fan leaking on line 1")).hits
        assert "fan leaking on line" in hit.pattern
        result = searcher.search(SearchRequest('"fan leaking"'))
        assert result.events_matched == len(leaking)
        notes = [e for e in events.values() if e["kind"] == "NOTE"]
        result = searcher.search(SearchRequest('"ida"'))
        assert result.events_matched == len(notes)
        searcher.close()


def test_it_is_written_on_compacted_and_backed_up_as_the_newest_version(place, words) -> None:
    expected = expected_of(place)
    index = place / "index"
    with DataDirectory.open(index, is_writable=True) as directory:
        appender = Appender(directory, words)
        event = Event(Kind.LOG, 5, TimeOrigin.EVENT, "press stopped", "file", "1:1", 99_999)
        prepared = PreparedEvent(event, mask_pattern(event.text)[0])
        appender.append(Batch([prepared], [], [Position("file", "1:1", 99_999)]))
        appender.seal()
        for shard in directory.shards:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as words_index:
                while catch_up(shard, words_index):
                    pass
        assert compact_directory(directory, lambda: words, CompactRules(write_bytes_per_s=0))
        assert Tier.FRESH not in {shard.tier for shard in directory.shards[:-1]}
        assert verify(directory, is_quiet=True).problems == []
        after = events_of(directory)
        back_up(directory, place / "backup")
    assert sorted(e["text"] for e in after.values()) == sorted(
        [*(e["text"] for e in expected["events"].values()), "press stopped"]
    )
    assert after.items() >= expected["events"].items()
    manifest = read_manifest(index)
    assert manifest is not None
    assert manifest.format_version == MANIFEST_VERSION
    assert b'"format_version": 2' in (index / "manifest.json").read_bytes()
    assert restore(place / "backup", place / "again").report.events == len(after)
