from __future__ import annotations

from dataclasses import dataclass

import pytest

from dejalog.daemon.kafka.places import PartitionNames, TopicPartition
from dejalog.daemon.kafka.rules import TopicRules
from dejalog.daemon.kafka.settings import TopicRule
from dejalog.daemon.kafka.starts import Start
from dejalog.daemon.kafka.tracking import (
    GAP,
    Fetch,
    OutOfStepError,
    Tracking,
    lost_of,
)
from dejalog.indexer.errors import SourceError

LOGS = TopicPartition("logs", 0)
KEY = ("kafka:logs", "0")
NOW_NS = 1_700_000_000 * 10**9


@dataclass(frozen=True)
class Given:
    offset: int
    value: bytes | None = b"text"
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None


def tracking(at: int = 10, lost: int = 0) -> Tracking:
    made = Tracking(
        TopicRules([TopicRule(name="logs")]), PartitionNames(), {KEY: lost} if lost else {}
    )
    made.begin({LOGS: Start(at, at)})
    return made


def fetch(start: int, *records: Given, end: int | None = None) -> dict[TopicPartition, Fetch]:
    reached = records[-1].offset + 1 if records else start
    return {LOGS: Fetch(start, reached if end is None else end, records)}


def test_records_are_taken_and_the_next_one_is_expected() -> None:
    made = tracking()
    taken = made.accept(fetch(10, Given(10), Given(11)), NOW_NS)
    assert [(r.offset, r.next_offset, r.data) for r in taken] == [
        (10, 11, b"text"),
        (11, 12, b"text"),
    ]
    assert made.next_offsets() == {LOGS: 12}


def test_holes_of_compaction_and_of_transactions_are_no_gaps() -> None:
    given = fetch(10, Given(15), Given(19))
    assert given[LOGS].begins_with_a_hole
    taken = tracking().accept(given, NOW_NS)
    assert [r.offset for r in taken] == [15, 19]
    assert not any(r.fault for r in taken)


def test_markers_at_the_end_of_a_fetch_are_passed_by() -> None:
    made = tracking()
    *_, void = made.accept(fetch(10, Given(10), end=13), NOW_NS)
    assert (void.offset, void.next_offset, void.is_void) == (11, 13, True)
    (void,) = made.accept(fetch(13, end=14), NOW_NS)
    assert (void.offset, void.next_offset, void.is_void) == (13, 14, True)
    assert made.next_offsets() == {LOGS: 14}


@pytest.mark.parametrize("start", [9, 11])
def test_a_fetch_that_does_not_begin_where_the_last_one_ended_is_not_taken(start: int) -> None:
    made = tracking()
    with pytest.raises(OutOfStepError):
        made.accept(fetch(start, Given(start)), NOW_NS)
    assert made.next_offsets() == {LOGS: 10}


def test_of_a_fetch_with_one_partition_out_of_step_nothing_is_taken() -> None:
    made = Tracking(TopicRules([]), PartitionNames())
    other = TopicPartition("logs", 1)
    made.begin({LOGS: Start(10, 10), other: Start(5, 5)})
    with pytest.raises(OutOfStepError):
        made.accept({**fetch(10, Given(10)), other: Fetch(6, 7, [Given(6)])}, NOW_NS)
    assert made.next_offsets() == {LOGS: 10, other: 5}


def test_what_retention_took_is_recorded_and_counted() -> None:
    made = tracking(lost=3)
    (gap,) = made.begin({LOGS: Start(10, 45)})
    assert (gap.fault, gap.offset, gap.next_offset, lost_of(gap.state)) == (GAP, 10, 45, 38)
    assert "35 records" in gap.fault_detail
    assert "10 to 44 of logs/0" in gap.fault_detail
    assert made.next_offsets() == {LOGS: 45}
    (record,) = made.accept(fetch(45, Given(45)), NOW_NS)
    assert (record.fault, lost_of(record.state)) == ("", 38)
    assert made.lost() == {KEY: 38}


def test_a_start_with_a_fault_ends_the_run() -> None:
    with pytest.raises(SourceError, match=r"the log ends at 4.*dejalog kafka reset logs"):
        tracking().begin({LOGS: Start(10, 10, "this index is at 10, but the log ends at 4")})


def test_nothing_is_taken_before_a_position_was_sought() -> None:
    made = tracking()
    made.revoke()
    with pytest.raises(OutOfStepError):
        made.accept(fetch(10, Given(10)), NOW_NS)


def test_every_change_of_what_comes_next_is_another_epoch() -> None:
    made = tracking()
    seen = {made.epoch}
    made.revoke()
    seen.add(made.epoch)
    made.begin({LOGS: Start(10, 10)})
    seen.add(made.epoch)
    assert len(seen) == 3
    epoch = made.epoch
    made.accept(fetch(10, Given(10)), NOW_NS)
    assert made.epoch == epoch


@pytest.mark.parametrize(
    ("timestamp_ms", "expected_ns"),
    [
        (1_600_000_000_000, 1_600_000_000 * 10**9),
        (None, NOW_NS),
        (-1, NOW_NS),
        (NOW_NS // 10**6 + 90_000_000, NOW_NS),
        (NOW_NS // 10**6 + 3_000, NOW_NS + 3 * 10**9),
    ],
)
def test_the_brokers_time_is_taken_unless_it_cannot_be_right(
    timestamp_ms: int | None, expected_ns: int
) -> None:
    (record,) = tracking().accept(fetch(10, Given(10, timestamp=timestamp_ms)), NOW_NS)
    assert record.received_at_ns == expected_ns


def test_lost_records_are_counted_in_the_position() -> None:
    assert lost_of("") == 0
    assert lost_of('{"lost":7}') == 7


def test_after_a_reset_records_are_of_another_partition() -> None:
    names = PartitionNames([KEY, ("kafka:logs", "0+2")])
    made = Tracking(TopicRules([]), names)
    made.begin({LOGS: Start(0, 0)})
    (record,) = made.accept(fetch(0, Given(0)), NOW_NS)
    assert (record.source, record.partition) == ("kafka:logs", "0+2")


def test_a_fetch_with_what_lies_before_its_start_is_not_taken() -> None:
    """A topic was made anew while a fetch waited: aiokafka goes to its beginning in silence."""
    for given in (fetch(10, Given(0), Given(10)), fetch(10, end=5)):
        made = tracking()
        assert given[LOGS].goes_back
        with pytest.raises(OutOfStepError):
            made.accept(given, NOW_NS)


def test_a_fetch_without_anything_tells_where_the_consumer_stands() -> None:
    (nothing,) = fetch(10).values()
    assert not nothing.is_anything
    assert not nothing.begins_with_a_hole
    assert tracking().accept(fetch(10), NOW_NS) == []
    with pytest.raises(OutOfStepError):
        tracking().accept(fetch(11), NOW_NS)


def test_a_gap_that_is_met_again_is_counted_once() -> None:
    made = tracking()
    made.begin({LOGS: Start(10, 45)})
    made.begin({LOGS: Start(10, 45)})
    assert made.lost() == {KEY: 35}
    made.begin({LOGS: Start(10, 50)})
    assert made.lost() == {KEY: 40}
