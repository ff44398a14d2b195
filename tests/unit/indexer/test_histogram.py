from __future__ import annotations

import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.errors import QueryError
from dejalog.indexer.event import Kind
from dejalog.indexer.histogram import count_events
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.request import HistogramRequest

SECOND = 10**9


@pytest.fixture
def shards(make_index) -> OpenShards:
    """Two shards of three events, a second apart; each host has as many as its name says."""
    maker = make_index(ShardLimits(events_max=3))
    labelled = [
        maker.event(f"state {n} reached", labels=labels)
        for n, labels in enumerate([
            (("host", "three"), ("severity", "warn")), (("host", "two"),), (("host", "three"),),
            (("host", "three"),), (("host", "two"),), (),
        ])
    ]  # fmt: skip
    maker.add(*labelled[:3])
    maker.add(*labelled[3:])
    return OpenShards(maker.directory, maker.encoder.fingerprint)


def series(shards: OpenShards, **given: object) -> list[tuple[str, tuple[int, ...], bool]]:
    result = count_events(shards, HistogramRequest(**given))  # type: ignore[arg-type]
    return [(each.value, each.counts, each.is_rest) for each in result.series]


def test_all_events_are_one_series(shards: OpenShards) -> None:
    assert series(shards, buckets=3) == [("", (2, 2, 2), False)]
    result = count_events(shards, HistogramRequest(buckets=6, since_ns=0, until_ns=12 * SECOND))
    assert (result.start_ns, result.width_ns) == (0, 2 * SECOND)
    assert result.series[0].counts == (1, 2, 2, 1, 0, 0)
    assert result.coverage.events_matched == result.coverage.events_total == 6


def test_values_are_split_by_frequency_and_what_is_left_is_the_rest(shards: OpenShards) -> None:
    assert series(shards, by="host", buckets=2) == [
        ("three", (2, 1), False), ("two", (1, 1), False), ("", (0, 1), True),
    ]  # fmt: skip
    assert series(shards, by="host", buckets=2, values=1) == [
        ("three", (2, 1), False), ("", (1, 2), True),
    ]  # fmt: skip


def test_kind_and_severity_are_known_in_every_index(shards: OpenShards, make_index) -> None:
    assert series(shards, by="kind", buckets=1) == [("log", (6,), False)]
    assert series(shards, by="severity", buckets=1) == [("warn", (1,), False), ("", (5,), True)]
    maker = make_index()
    maker.add("a line", maker.event("a note", kind=Kind.NOTE))
    plain = OpenShards(maker.directory, maker.encoder.fingerprint)
    assert series(plain, by="kind", buckets=1) == [("log", (1,), False), ("note", (1,), False)]
    assert series(plain, by="severity", buckets=1) == [("", (2,), True)]


def test_a_label_that_no_event_has_is_refused_by_name(shards: OpenShards, make_index) -> None:
    with pytest.raises(QueryError, match=r"no event has a label 'hots'.*host, kind, severity"):
        series(shards, by="hots")
    maker = make_index()
    empty = OpenShards(maker.directory, maker.encoder.fingerprint)
    assert series(empty, by="hots") == []


def test_no_event_is_no_series(shards: OpenShards) -> None:
    result = count_events(shards, HistogramRequest(since_ns=99 * SECOND))
    assert (result.series, result.start_ns, result.width_ns) == ((), 0, 0)
    assert result.coverage.events_matched == 0


@pytest.mark.parametrize("given", [{"buckets": 0}, {"values": 0}, {"values": 101}])
def test_bounds_on_requests(shards: OpenShards, given: dict[str, int]) -> None:
    with pytest.raises(QueryError, match="are possible"):
        series(shards, **given)
