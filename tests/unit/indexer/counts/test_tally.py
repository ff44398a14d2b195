from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.counts import tally
from dejalog.indexer.counts.tally import CountedShard, Parts, Question, answer_question
from dejalog.indexer.errors import CorruptShardError, QueryError
from dejalog.indexer.filter import TimeRange
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.patience import ENDLESS

EVERYTHING = Question("", (), TimeRange(None, None))


@pytest.fixture
def shards(make_index) -> OpenShards:
    maker = make_index(ShardLimits(events_max=3))
    for host in ("a", "b", "a", "b", "b"):
        maker.add(maker.event("state reached", labels=(("host", host),)))
    return OpenShards(maker.directory, maker.encoder.fingerprint)


def rows(counted: CountedShard, check: Callable[[], None]) -> list[int]:
    return [row for chunk in counted.chunks(check) for row in chunk.rows.tolist()]


def tallies(parts: Parts[list[int]]) -> list[list[int]]:
    return [part.tally for part in parts.parts]


def test_every_shard_is_tallied_over_the_events_that_count(shards: OpenShards) -> None:
    assert answer_question(shards, EVERYTHING, ENDLESS, rows, tallies) == [[0, 1, 2], [0, 1]]
    of_b = Question("", ("host=b",), TimeRange(None, None))
    assert answer_question(shards, of_b, ENDLESS, rows, tallies) == [[1], [0, 1]]
    late = Question("host=b", (), TimeRange(4 * 10**9, None))
    assert answer_question(shards, late, ENDLESS, rows, tallies) == [[0, 1]]


def test_chunks_hold_the_columns_of_their_rows(
    shards: OpenShards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "CHUNK_EVENTS", 2)
    with shards.held() as held:
        shard = held.shards[0]
        times = shard.state.columns.times
        for events in (None, np.array([True, False, True]), np.array([False, False, True])):
            found = list(CountedShard(shard, events).chunks())
            kept = np.flatnonzero(events) if events is not None else np.arange(3)
            assert [r for c in found for r in c.rows.tolist()] == kept.tolist()
            assert [t for c in found for t in c.times.tolist()] == times[kept].tolist()
            assert all(len(chunk.rows) <= 2 for chunk in found)


def test_damage_while_answering_costs_one_shard_and_is_named(shards: OpenShards) -> None:
    def answer(parts: Parts[list[int]]) -> tuple[list[list[int]], tuple[str, ...], bool]:
        first = parts.parts[0].shard.state.shard.path
        if first.name == "000001":
            raise CorruptShardError(first, "torn")
        coverage = parts.coverage(2)
        assert coverage.events_total == 2
        return tallies(parts), coverage.damaged_shards, coverage.is_partial

    found = answer_question(shards, EVERYTHING, ENDLESS, rows, answer)
    assert found == ([[0, 1]], ("000001: torn",), True)


def test_damage_of_every_shard_is_an_error(shards: OpenShards) -> None:
    def torn(counted: CountedShard, check: Callable[[], None]) -> list[int]:
        raise CorruptShardError(counted.shard.state.shard.path, "torn")

    with pytest.raises(CorruptShardError, match="torn"):
        answer_question(shards, EVERYTHING, ENDLESS, torn, tallies)


def test_a_time_range_that_ends_before_it_begins_is_refused(shards: OpenShards) -> None:
    backwards = Question("", (), TimeRange(9, 8))
    with pytest.raises(QueryError, match="give the earlier time first"):
        answer_question(shards, backwards, ENDLESS, rows, tallies)
