from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dejalog.daemon import lexical_worker
from dejalog.daemon.lexical_worker import LexicalWorker, open_lexical
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.terms import query_terms


@pytest.mark.filterwarnings("default")
def test_it_follows_what_is_committed_and_finishes_with_everything(make_index) -> None:
    maker = make_index()
    maker.add("pump on", is_indexed=False)
    failures: list[BaseException] = []
    worker = LexicalWorker(maker.directory, failures.append)
    worker.start()
    for number in range(5):
        maker.add(f"pump P-{number} off", is_indexed=False)
        worker.notify()
    deadline = time.monotonic() + 20
    while worker.lag_events() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.lag_events() == 0
    maker.add("the last one", is_indexed=False)
    worker.finish()
    assert failures == []
    with LexicalIndex.open(lexical_folder(maker.directory.shards[0])) as index:
        assert index.events_indexed == 7
        assert index.patterns_with("pump").tolist() == [0, 1, 2, 3, 4, 5]


def test_a_damaged_word_index_is_made_anew_from_the_shard(make_index) -> None:
    maker = make_index()
    maker.add("pump on", "pump off")
    shard = maker.directory.shards[0]
    for path in lexical_folder(shard).rglob("*"):
        if path.is_file():
            path.write_bytes(b"garbage")
    open_lexical(shard).close()
    maker.index_words()
    with LexicalIndex.open(lexical_folder(shard)) as index:
        assert index.patterns_with("pump").tolist() == [0, 1]


def damage_that_opening_does_not_meet(folder: Path) -> str:
    """Flips one byte of the patterns' terms so that the index opens but reading it fails."""
    path = next((folder / "patterns").glob("*.term"))
    sound = path.read_bytes()
    for at in range(sound.rindex(b'{"version"')):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :])
        try:
            index = LexicalIndex.open(folder)
        except CorruptShardError:
            continue
        try:
            index.rank_patterns(query_terms("pump"), limit=1)
        except CorruptShardError as error:
            return error.reason
    raise AssertionError("no byte of the terms does that")


@pytest.mark.filterwarnings("default")
def test_a_damaged_segment_is_found_at_start_and_made_anew(make_index) -> None:
    """A broken segment file passed the opening of the index; then each search that met it raised
    CorruptShardError and ended the daemon, again after every restart, though it is derived."""
    maker = make_index()
    maker.add("pump 4711 on", "pump 4712 off")
    shard = maker.directory.shards[0]
    assert "cannot be read" in damage_that_opening_does_not_meet(lexical_folder(shard))
    failures: list[BaseException] = []
    worker = LexicalWorker(maker.directory, failures.append)
    worker.start()
    worker.finish()
    assert failures == []
    with LexicalIndex.open(lexical_folder(shard)) as index:
        assert index.verify() == []
    hits = maker.searcher().search(SearchRequest('"pump 4712"')).hits
    assert [o.event.text for hit in hits for o in hit.occurrences] == ["pump 4712 off"]


def test_a_sound_word_index_is_kept_at_start(make_index) -> None:
    maker = make_index()
    maker.add("pump on")
    shard = maker.directory.shards[0]
    stamp = lexical_folder(shard) / "format.json"
    before = stamp.read_text()
    with open_lexical(shard) as index:
        assert index.events_indexed == 1
    assert stamp.read_text() == before


def test_a_fault_is_reported(make_index, monkeypatch) -> None:
    maker = make_index()
    maker.add("pump on", is_indexed=False)

    def broken(*_: object) -> int:
        raise OSError("no space left")

    monkeypatch.setattr("dejalog.daemon.lexical_worker.catch_up", broken)
    failures: list[BaseException] = []
    worker = LexicalWorker(maker.directory, failures.append)
    worker.start()
    worker.finish()
    assert [str(f) for f in failures] == ["no space left"]


def replaced_by_another_process(maker) -> None:
    """Compacts shard 1 without the knowledge of the directory that is open here."""
    script = (
        "import sys; from dejalog.daemon.cli import main; "
        "sys.exit(main(['compact', '--data', sys.argv[1]]))"
    )
    subprocess.run([sys.executable, "-c", script, str(maker.path)], check=True)


@pytest.mark.filterwarnings("default")
def test_shards_that_another_process_replaces_are_no_fault(make_index) -> None:
    maker = make_index()
    maker.add("pump on")
    maker.appender.seal()
    failures: list[BaseException] = []
    worker = LexicalWorker(maker.directory, failures.append)
    worker.start()
    before = maker.directory.shards
    replaced_by_another_process(maker)
    maker.add("pump off", is_indexed=False)
    worker.notify()
    maker.directory.refresh()
    assert before[0] not in maker.directory.shards
    # The compacted shard came with its words.
    assert worker.lag_events() <= 1
    maker.add("valve on", is_indexed=False)
    worker.finish()
    assert failures == []
    assert worker.lag_events() == 0


@pytest.mark.filterwarnings("default")
def test_the_damaged_words_of_a_compacted_shard_are_made_anew(make_index, encoder) -> None:
    maker = make_index()
    maker.add("pump on", "pump off")
    maker.appender.seal()
    compact_directory(maker.directory, lambda: encoder, CompactRules(write_bytes_per_s=0))
    shard = maker.directory.shards[0]
    damage_that_opening_does_not_meet(lexical_folder(shard))
    failures: list[BaseException] = []
    worker = LexicalWorker(maker.directory, failures.append)
    worker.start()
    worker.finish()
    assert failures == []
    with LexicalIndex.open(lexical_folder(shard)) as index:
        assert index.patterns_with("pump").tolist() == [0, 1]


def test_a_shard_that_is_gone_when_its_turn_comes_is_passed_over(make_index, monkeypatch) -> None:
    maker = make_index()
    maker.add("pump on", is_indexed=False)
    maker.appender.seal()
    maker.add("pump off", is_indexed=False)
    real = lexical_worker.catch_up

    def late(shard, index) -> int:
        if shard.header.shard == 1 and 1 in maker.directory.manifest.numbers:
            with maker.directory.compacting():
                maker.directory.replace_shards((1,), None)
        return real(shard, index)

    monkeypatch.setattr(lexical_worker, "catch_up", late)
    failures: list[BaseException] = []
    worker = LexicalWorker(maker.directory, failures.append)
    worker.start()
    worker.finish()
    assert failures == []
    assert worker.lag_events() == 0
