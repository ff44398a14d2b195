from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.errors import CorruptShardError, QueryError
from dejalog.indexer.event import Kind
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.patience import Patience
from dejalog.indexer.patterns import list_patterns
from dejalog.indexer.request import PatternOrder, PatternsRequest
from dejalog.indexer.store.layout import DamagedValueError, digest
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import Snapshot

SECOND = 10**9


def opened(maker) -> OpenShards:
    return OpenShards(maker.directory, maker.encoder.fingerprint)


@pytest.fixture
def index(make_index):
    """Three shards; event i happens at second i + 1."""
    maker = make_index(ShardLimits(events_max=4))
    maker.add("pump 1 tripped", "door open", "pump 1 tripped", "door open")
    maker.add("pump 1 tripped", "fan stopped", "pump 1 tripped", "fan stopped")
    note = maker.event("seal replaced", kind=Kind.NOTE, labels=(("asset", "P-101"),))
    maker.add(note, "pump 1 tripped", "door open", "hatch at 10.0.0.7 opened")
    return maker


def counts(result) -> dict[str, int]:
    return {each.pattern: each.count for each in result.patterns}


def test_patterns_of_several_shards_are_counted_once_and_together(index) -> None:
    result = list_patterns(opened(index), PatternsRequest(buckets=12))
    assert counts(result) == {
        "pump 1 tripped": 5, "door open": 3, "fan stopped": 2, "seal replaced": 1,
        "hatch at <ip> opened": 1,
    }  # fmt: skip
    assert result.patterns_total == 5
    pump = result.patterns[0]
    assert pump.pattern_id == digest("pump 1 tripped").hex()
    assert (pump.first_seen_ns, pump.last_seen_ns) == (1 * SECOND, 10 * SECOND)
    assert pump.first_ever_ns == 1 * SECOND
    assert pump.counts == (1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0)
    assert pump.example.event_id == 9
    assert pump.example.event.time_ns == 10 * SECOND
    assert result.coverage.events_matched == result.coverage.events_total == 12
    assert result.coverage.shards_searched == 3
    assert not result.coverage.is_partial


def test_orders_skip_and_limit(index) -> None:
    shards = opened(index)

    def listed(**given: object) -> list[str]:
        request = PatternsRequest(**given)  # type: ignore[arg-type]
        return [each.pattern.split()[0] for each in list_patterns(shards, request).patterns]

    assert listed(order=PatternOrder.COUNT) == ["pump", "door", "fan", "hatch", "seal"]
    assert listed(order=PatternOrder.NEWEST) == ["hatch", "door", "pump", "seal", "fan"]
    assert listed(order=PatternOrder.FIRST) == ["hatch", "seal", "fan", "door", "pump"]
    assert listed(limit=2) == ["pump", "door"]
    assert listed(limit=2, skip=2) == ["fan", "hatch"]
    assert listed(skip=9) == []
    assert list_patterns(shards, PatternsRequest(skip=9)).patterns_total == 5


def test_a_new_pattern_is_one_that_no_event_had_before(index) -> None:
    shards = opened(index)
    new = list_patterns(shards, PatternsRequest(since_ns=9 * SECOND, is_new=True))
    assert set(counts(new)) == {"seal replaced", "hatch at <ip> opened"}
    assert new.coverage.events_matched == 4
    # What other filters leave out does not make it new.
    filtered = PatternsRequest(since_ns=2 * SECOND, is_new=True, where=("kind=log",))
    assert "pump 1 tripped" not in counts(list_patterns(shards, filtered))
    with pytest.raises(QueryError, match="new since when"):
        list_patterns(shards, PatternsRequest(is_new=True))


def test_first_ever_reaches_behind_the_filters(index) -> None:
    result = list_patterns(opened(index), PatternsRequest(since_ns=9 * SECOND))
    first = {
        p.pattern: (p.first_seen_ns // SECOND, p.first_ever_ns // SECOND) for p in result.patterns
    }
    assert first["pump 1 tripped"] == (10, 1)
    assert first["door open"] == (11, 2)
    assert first["seal replaced"] == (9, 9)


def test_filters_and_quoted_strings_decide_and_free_words_are_refused(index) -> None:
    shards = opened(index)
    assert counts(list_patterns(shards, PatternsRequest('"10.0.0.7"'))) == {
        "hatch at <ip> opened": 1
    }
    assert counts(list_patterns(shards, PatternsRequest("asset=P-101"))) == {"seal replaced": 1}
    with pytest.raises(QueryError):
        list_patterns(shards, PatternsRequest("pump"))


def test_nothing_is_an_answer(index, make_index) -> None:
    for maker in (index, make_index()):
        result = list_patterns(opened(maker), PatternsRequest(where=("host=none",), buckets=3))
        assert (result.patterns, result.patterns_total) == ((), 0)
        assert (result.start_ns, result.width_ns) == (0, 0)


def test_bounds_on_requests(index) -> None:
    for buckets in (0, 1001):
        with pytest.raises(QueryError, match="buckets"):
            list_patterns(opened(index), PatternsRequest(buckets=buckets))
    with pytest.raises(QueryError, match="before it begins"):
        list_patterns(opened(index), PatternsRequest(since_ns=5, until_ns=5))


def test_when_the_time_is_up_what_was_read_is_shown_as_partial(index) -> None:
    class AfterTwoLooks(threading.Event):
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 2

    shards = opened(index)
    result = list_patterns(shards, PatternsRequest(), Patience(stop=AfterTwoLooks()))
    assert result.coverage.is_partial
    assert result.coverage.shards_searched == 1
    assert counts(result) == {"pump 1 tripped": 2, "door open": 2}
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(TimeoutError):
        list_patterns(shards, PatternsRequest(), Patience(stop=stopped))


@pytest.mark.parametrize("step", ["pattern", "texts", "pattern_digests"])
def test_damage_that_shows_late_costs_one_shard_only(
    index, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    whole: Callable[..., object] = getattr(Snapshot, step)

    def read(snapshot: Snapshot, *given: object) -> object:
        if snapshot._path.name == "000003":
            raise DamagedValueError("checksum does not fit the payload")
        return whole(snapshot, *given)

    monkeypatch.setattr(Snapshot, step, read)
    monkeypatch.setattr("dejalog.indexer.counts.pattern_tally._WALKED_PER_LOOKUP", 1)
    result = list_patterns(opened(index), PatternsRequest())
    assert counts(result) == {"pump 1 tripped": 4, "door open": 2, "fan stopped": 2}
    assert result.coverage.damaged_shards == ("000003: checksum does not fit the payload",)
    assert result.coverage.is_partial
    assert result.coverage.shards_searched == 2
    assert result.coverage.events_total == 8


def test_only_if_no_shard_can_be_read_it_fails(index, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = opened(index)

    def snapshot(shard: Shard) -> object:
        raise CorruptShardError(shard.path, "gone")

    monkeypatch.setattr(Shard, "snapshot", snapshot)
    with pytest.raises(CorruptShardError, match="gone"):
        list_patterns(shards, PatternsRequest())
