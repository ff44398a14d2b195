from __future__ import annotations

from dejalog.indexer.compaction.content import header_of, read_content
from dejalog.indexer.compaction.plan import Job
from dejalog.indexer.filter import Condition
from dejalog.indexer.retain import delete_events


def two_shards(make_index):
    maker = make_index()
    maker.add("pump on", maker.event("pump off", labels=(("host", "gw1"),)), is_indexed=False)
    maker.appender.seal()
    maker.add("pump on", is_indexed=False)
    maker.appender.seal()
    return maker


def test_counters_are_those_of_what_is_left(make_index) -> None:
    maker = two_shards(make_index)
    delete_events(maker.directory, [Condition("host", "=", "gw1")])
    content = read_content(maker.directory, Job((1, 2)), None)
    counters = content.counters(99)
    assert (counters.events, counters.deleted, counters.patterns) == (3, 1, 1)
    assert (counters.tokens, counters.labelsets, counters.dead_letters) == (99, 1, 0)
    assert (counters.oldest_ns, counters.newest_ns) == (2 * 10**9, 3 * 10**9)
    assert content.living_before == 3
    assert content.deletions_applied == 1


def test_only_a_single_whole_source_is_unchanged(make_index) -> None:
    maker = two_shards(make_index)
    assert read_content(maker.directory, Job((1,)), None).is_unchanged
    assert not read_content(maker.directory, Job((1, 2)), None).is_unchanged
    assert not read_content(maker.directory, Job((1,)), 2 * 10**9).is_unchanged
    delete_events(maker.directory, [Condition("host", "=", "gw1")])
    assert not read_content(maker.directory, Job((1,)), None).is_unchanged
    assert read_content(maker.directory, Job((2,)), None).is_unchanged


def test_the_header_goes_on_from_the_sources(make_index) -> None:
    maker = two_shards(make_index)
    content = read_content(maker.directory, Job((1, 2)), 2 * 10**9)
    header, newest = header_of(content, 9), maker.directory.shards[1].header
    assert (header.shard, header.first_event, header.first_dead_letter) == (9, 0, 0)
    assert (header.dim, header.pooled_dim) == (newest.dim, newest.pooled_dim)
    assert header.encoder_fingerprint == newest.encoder_fingerprint
    everything = read_content(maker.directory, Job((1, 2)), 10**18)
    assert header_of(everything, 9).first_event == 0
    assert everything.counters(0).oldest_ns == 0
