from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.counts.first_seen import first_seen, seen_before
from dejalog.indexer.counts.pattern_tally import NOT_YET_NS
from dejalog.indexer.filter import Condition
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.retain import delete_events
from dejalog.indexer.store.layout import digest


@pytest.fixture
def index(make_index):
    """Two shards; the second one holds the older events."""
    maker = make_index(ShardLimits(events_max=3))
    for time_ns, text in ((50, "a"), (60, "b"), (70, "a"), (10, "b"), (90, "c"), (20, "b")):
        labels = (("host", f"h{time_ns}"),)
        maker.add(maker.event(f"{text} happened", time_ns=time_ns, labels=labels))
    return maker


def names(*texts: str) -> np.ndarray:
    return np.array([digest(f"{text} happened") for text in texts], "S16")


def found(maker, *texts: str) -> list[int]:
    with OpenShards(maker.directory, maker.encoder.fingerprint).held() as held:
        return first_seen(held.shards, names(*texts), np.full(len(texts), NOT_YET_NS)).tolist()


def before(maker, time_ns: int) -> list[bool]:
    with OpenShards(maker.directory, maker.encoder.fingerprint).held() as held:
        return seen_before(held.shards, names("a", "b", "c", "d"), time_ns).tolist()


def test_the_oldest_event_of_all_shards_is_meant(index) -> None:
    assert found(index, "a", "b", "c", "d") == [50, 10, 90, NOT_YET_NS]


def test_what_is_known_already_is_never_made_later(index) -> None:
    with OpenShards(index.directory, index.encoder.fingerprint).held() as held:
        known = np.array([5, 5, 100])
        assert first_seen(held.shards, names("a", "d", "c"), known).tolist() == [5, 5, 90]


def test_seen_before_is_strictly_before(index) -> None:
    assert before(index, 10) == [False, False, False, False]
    assert before(index, 11) == [False, True, False, False]
    assert before(index, 50) == [False, True, False, False]
    assert before(index, 51) == [True, True, False, False]
    assert before(index, 1000) == [True, True, True, False]


def test_compacted_shards_and_deleted_events(index) -> None:
    delete_events(index.directory, [Condition("host", "=", "h50")])
    assert found(index, "a", "b") == [70, 10]
    assert before(index, 60) == [False, True, False, False]
    index.appender.seal()
    compact_directory(index.directory, lambda: index.encoder, CompactRules(write_bytes_per_s=0))
    assert found(index, "a", "b", "c") == [70, 10, 90]
    delete_events(index.directory, [Condition("host", "=", "h10")])  # Pending in the compacted one.
    assert found(index, "a", "b", "c") == [70, 20, 90]
    assert before(index, 20) == [False, False, False, False]
    assert before(index, 71) == [True, True, False, False]
