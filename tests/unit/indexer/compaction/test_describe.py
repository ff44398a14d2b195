from __future__ import annotations

import pytest

from dejalog.indexer.append import Batch
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.compaction.describe import describe_shards, read_columns, read_labelsets
from dejalog.indexer.event import DeadLetter
from dejalog.indexer.filter import Condition
from dejalog.indexer.retain import delete_events
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import Tier


@pytest.fixture
def maker(make_index, encoder):
    """A compacted shard of 3 events, a fresh one and the one that is appended to."""
    made = make_index()
    host = (("host", "gw1"),)
    made.add("pump on", "pump off", made.event("valve on", time_ns=9, labels=host))
    made.appender.seal()
    compact_directory(made.directory, lambda: encoder, CompactRules(write_bytes_per_s=0))
    made.add(made.event("motor on", labels=host), is_indexed=False)
    made.appender.seal()
    return made


def test_each_shard_tells_what_it_holds(maker) -> None:
    compacted, fresh, active = describe_shards(maker.directory)
    assert (compacted.tier, compacted.events, compacted.patterns) == (Tier.COMPACTED, 3, 3)
    assert (compacted.oldest_ns, compacted.bits, compacted.codebook_version) == (9, 4, 1)
    dim = maker.directory.shards[0].header.dim
    assert compacted.originals_bytes == compacted.tokens * (dim + 4)
    assert compacted.is_movable
    assert (fresh.tier, fresh.first_event, fresh.end_event) == (Tier.FRESH, 3, 4)
    assert not fresh.is_indexed
    assert not fresh.is_movable
    assert active.is_active
    assert not active.is_movable
    maker.index_words()
    assert describe_shards(maker.directory)[1].is_movable


def test_pending_deletions_and_expired_events_are_counted(maker) -> None:
    delete_events(maker.directory, [Condition("host", "=", "gw1")])
    delete_events(maker.directory, [Condition("host", "=", "gw9")])
    infos = describe_shards(maker.directory, expire_before_ns=10**9)
    assert [info.pending_deletions for info in infos] == [2, 2, 2]
    assert [info.pending_events for info in infos] == [1, 1, 0]
    assert [info.expired_events for info in infos] == [1, 0, 0]
    assert describe_shards(maker.directory)[0].expired_events == 0


def test_columns_read_the_same_from_both_tiers(maker) -> None:
    for shard, times in zip(
        maker.directory.shards, ([10**9 * 2, 3 * 10**9, 9], None, []), strict=True
    ):
        columns = read_columns(shard)
        assert times is None or columns.times.tolist() == times
    assert read_labelsets(maker.directory.shards[1]) == [(("host", "gw1"),)]


def test_a_damaged_shard_is_named_with_its_bytes(maker) -> None:
    path = maker.directory.shards[0].path
    maker.directory.close()
    (path / "data.mdb").unlink()
    with DataDirectory.open(maker.path, is_writable=False) as directory:
        damaged, fresh, _ = describe_shards(directory)
    assert (damaged.tier, damaged.damage) == (Tier.COMPACTED, "its data.mdb is missing")
    assert damaged.bytes > 0
    assert not damaged.is_movable
    assert fresh.events == 1


def test_a_damaged_word_index_counts_as_incomplete(maker) -> None:
    maker.index_words()
    stamp = maker.directory.shards[1].path / "lexical" / "format.json"
    stamp.write_text("{")
    assert not describe_shards(maker.directory)[1].is_indexed


def test_a_shard_of_dead_letters_alone_is_as_old_as_itself(make_index) -> None:
    """Without events its newest one was of 1970, so that retention by age dropped it at once."""
    made = make_index()
    letter = DeadLetter("not-utf8", "byte 3", b"\xff", 1, 1, "file", "a", 0)
    made.appender.append(Batch([], [letter], []))
    made.appender.seal()
    sealed = describe_shards(made.directory)[0]
    assert sealed.dead_letters == 1
    assert sealed.newest_ns == made.directory.shards[0].header.created_ns
