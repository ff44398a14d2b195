from __future__ import annotations

import time

import pytest

from dejalog.daemon.lexical_worker import LexicalWorker, open_lexical
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.lexical import LexicalIndex


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
