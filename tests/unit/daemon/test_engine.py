from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from dejalog.daemon import engine
from dejalog.daemon.config import DataSettings, Settings
from dejalog.indexer.compact import compact_directory
from dejalog.indexer.errors import ModelError, StorageError
from dejalog.indexer.rerank import RerankSettings
from dejalog.indexer.retain import delete_events


def test_status_adds_up_all_shards_and_tells_the_lag(make_index) -> None:
    maker = make_index()
    maker.add(maker.event("pump on", time_ns=5), maker.event("pump off", time_ns=3))
    maker.add(maker.event("pump on", time_ns=9), is_indexed=False)
    status = engine.index_status(maker.directory)
    assert (status.events, status.patterns, status.shards) == (3, 2, 1)
    assert (status.oldest_ns, status.newest_ns) == (3, 9)
    assert status.lexical_lag_events == 1
    assert status.pattern_hit_ratio == pytest.approx(1 / 3)
    assert status.bytes_on_disk > 0


def test_status_knows_compacted_shards_and_leaves_out_what_is_deleted(make_index, encoder) -> None:
    maker = make_index()
    maker.add("pump on", "pump off", "valve on")
    maker.appender.seal()
    delete_events(maker.directory, [], until_ns=2 * 10**9)
    compact_directory(maker.directory, lambda: encoder, engine.compact_rules(Settings()))
    maker.add("motor on", is_indexed=False)
    status = engine.index_status(maker.directory)
    assert (status.events, status.patterns, status.shards) == (3, 3, 2)
    assert (status.oldest_ns, status.newest_ns) == (2 * 10**9, 4 * 10**9)
    assert status.lexical_lag_events == 1


def test_a_shard_that_is_removed_meanwhile_counts_for_nothing(make_index) -> None:
    maker = make_index()
    maker.add("pump on")
    maker.appender.seal()
    gone = maker.directory.shards[0]
    with maker.directory.compacting():
        maker.directory.replace_shards((1,), None)
    assert engine.read_counters(maker.directory, gone) is None
    assert not engine.is_listed(maker.directory, gone)
    kept = maker.directory.shards[0]
    kept.close()
    with pytest.raises(StorageError, match="closed"):
        engine.read_counters(maker.directory, kept)


def test_a_reranking_model_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert engine.open_reranker(Settings()) is None
    settings = replace(Settings(), rerank=RerankSettings(str(tmp_path / "none")))
    with pytest.raises(ModelError, match="none: no such file or folder"):
        engine.open_reranker(settings)


def test_no_threads_means_one_per_core() -> None:
    settings = replace(Settings(), compact=replace(Settings().compact, threads=0))
    assert engine.compact_rules(settings).threads >= 1
    assert engine.compact_rules(Settings()) == Settings().compact


def test_the_rate_is_events_per_second(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(engine.time, "monotonic", lambda: now[0])
    meter = engine.RateMeter()
    assert meter.rate() == 0
    now[0] = 110.0
    meter.add(500)
    assert meter.rate() == 50
    now[0] = 300.0
    assert meter.rate() == 0


def test_a_disk_that_is_nearly_full_closes_the_gate_or_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    settings = replace(Settings(), data=DataSettings(str(tmp_path), disk_free_bytes_min=1000))
    gate = engine.disk_gate(settings, is_fatal=False)
    fatal = engine.disk_gate(settings, is_fatal=True)
    monkeypatch.setattr(engine.shutil, "disk_usage", lambda _: usage(1000))
    assert gate()
    assert fatal()
    monkeypatch.setattr(engine.shutil, "disk_usage", lambda _: usage(999))
    assert not gate()
    with pytest.raises(StorageError, match="disk_free_bytes_min"):
        fatal()
