from __future__ import annotations

import threading

import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.errors import CorruptShardError, DataDirectoryError, StorageError
from dejalog.indexer.filter import Condition
from dejalog.indexer.lexical_files import STAMP_NAME
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.retain import delete_events
from dejalog.indexer.store.layout import DamagedValueError, digest
from dejalog.indexer.store.manifest import Tier


def opened(maker) -> OpenShards:
    return OpenShards(maker.directory, maker.encoder.fingerprint)


def compact(maker) -> None:
    maker.appender.seal()
    compact_directory(maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0))


def test_what_is_held_outlives_a_compaction(make_index) -> None:
    """A search that ran into the swap ended with an error, because its shard had been closed."""
    maker = make_index()
    maker.add("door open", "door closed")
    shards = opened(maker)
    with shards.held() as held:
        (shard,) = held.shards
        compact(maker)
        with pytest.raises(StorageError), shard.state.shard.snapshot():
            pass
        with shard.reading() as snapshot:
            assert snapshot.find_pattern(digest("door open")) == 0
            assert snapshot.pattern(1) == "door closed"
            assert snapshot.texts(0).texts == b"door opendoor closed"
        assert shard.lexical.patterns_with("closed").tolist() == [1]
    tiers = [state.shard.tier for state in shards.states()]
    assert tiers == [Tier.COMPACTED, Tier.FRESH]


def test_shards_that_vanish_under_running_searches_are_no_error(make_index) -> None:
    maker = make_index(ShardLimits(events_max=2))
    shards, errors, counts = opened(maker), [], set()
    is_over = threading.Event()

    def follow() -> None:
        try:
            while not is_over.is_set():
                with shards.held() as held:
                    for shard in held.shards:
                        with shard.reading() as snapshot:
                            assert snapshot.counters().events >= len(shard.state.columns.times)
                    numbers = [shard.state.header.first_event for shard in held.shards]
                    counts.add(len(numbers))
                    assert not held.damaged
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(4):
        maker.add(f"step {number} begun", f"step {number} ended")
        compact(maker)
    is_over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(counts) > 0


def test_a_vanished_shard_is_let_go(make_index) -> None:
    maker = make_index()
    maker.add("door open")
    shards = opened(maker)
    shards.states()
    compact(maker)
    shards.states()
    assert set(shards._open) == {shard.header.shard for shard in maker.directory.shards}
    assert 1 not in shards._open


def test_deleted_events_are_masked_at_once(make_index) -> None:
    maker = make_index()
    hosts = [(("host", name),) for name in ("a", "b")]
    maker.add(*(maker.event(f"door {n}", labels=hosts[n % 2]) for n in range(4)))
    shards = opened(maker)
    assert shards.states()[0].deleted is None
    delete_events(maker.directory, [Condition("host", "=", "a")])
    (state,) = shards.states()
    assert state.deleted is not None
    assert state.deleted.tolist() == [True, False, True, False]
    maker.add(maker.event("door 5", labels=hosts[0]))
    (state,) = shards.states()
    assert state.deleted is not None
    assert state.deleted.tolist() == [True, False, True, False, False]


def test_a_damaged_word_index_is_set_aside_by_name(make_index) -> None:
    maker = make_index()
    maker.add("door open")
    folder = lexical_folder(maker.directory.shards[0])
    (folder / STAMP_NAME).write_text("{}")
    with opened(maker).held() as held:
        assert held.shards[0].lexical.patterns_indexed == 0
        (reason,) = held.reasons(maker.directory.path / "shards")
    assert reason.startswith("000001/lexical: ")


def test_a_damaged_shard_is_set_aside_and_the_others_are_held(make_index) -> None:
    maker = make_index(ShardLimits(events_max=1))
    maker.add("first")
    maker.add("second")
    path = maker.directory.shards[0].path
    maker.directory.close()
    (path / "data.mdb").write_bytes(b"nothing of use")
    maker = type(maker)(maker.path, maker.encoder, None)
    with opened(maker).held() as held:
        assert [shard.state.header.shard for shard in held.shards] == [2]
        (reason,) = held.reasons(maker.directory.path / "shards")
        assert reason.startswith("000001: ")
        held.check_any(is_any=True)
        with pytest.raises(CorruptShardError):
            held.check_any(is_any=False)
    maker.directory.close()


def test_damage_that_reading_shows_names_the_shard(make_index) -> None:
    """Of several snapshots the innermost took the blame for any other."""
    maker = make_index(ShardLimits(events_max=1))
    maker.add("first")
    maker.add("second")
    with opened(maker).held() as held:
        for shard in held.shards:
            with pytest.raises(CorruptShardError) as caught, shard.reading():
                raise DamagedValueError("a byte is wrong")
            assert caught.value.path == shard.state.shard.path
            assert caught.value.reason == "a byte is wrong"


def test_an_array_that_leads_outside_is_damage_of_a_compacted_shard_only(make_index) -> None:
    maker = make_index()
    maker.add("first")
    compact(maker)
    maker.add("second")
    with opened(maker).held() as held:
        compacted, fresh = held.shards
        with pytest.raises(CorruptShardError, match="leads outside"), compacted.reading():
            raise IndexError("index 9 is out of bounds")
        with pytest.raises(IndexError), fresh.reading():
            raise IndexError("index 9 is out of bounds")


def test_another_model_is_refused(make_index) -> None:
    maker = make_index()
    with pytest.raises(DataDirectoryError, match="model"):
        OpenShards(maker.directory, "another")
