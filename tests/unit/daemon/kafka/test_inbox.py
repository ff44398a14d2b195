from __future__ import annotations

import pytest

from dejalog.daemon.kafka.inbox import RECORD_OVERHEAD_BYTES, Inbox
from dejalog.indexer.errors import SourceError
from dejalog.indexer.event import Position, Record


def record(offset: int, partition: str = "0", data: bytes = b"x" * 100) -> Record:
    return Record("kafka:logs", partition, offset, offset + 1, data, received_at_ns=1)


def polled(inbox: Inbox, records_max: int = 100, bytes_max: int = 1 << 20) -> list[int]:
    records = inbox.poll(records_max=records_max, bytes_max=bytes_max, timeout_s=0)
    return [each.offset for each in records]


def new_inbox(bytes_max: int = 1 << 20) -> tuple[Inbox, list[str]]:
    changes: list[str] = []
    return Inbox(bytes_max, on_change=lambda: changes.append("changed")), changes


def test_records_come_out_in_their_order_and_within_the_bounds() -> None:
    inbox, _ = new_inbox()
    inbox.put(map(record, range(5)))
    assert polled(inbox, records_max=2) == [0, 1]
    assert polled(inbox, bytes_max=150) == [2, 3]
    assert polled(inbox) == [4]
    assert polled(inbox) == []
    assert inbox.bytes_read == 500


def test_there_is_room_again_once_enough_was_taken() -> None:
    inbox, changes = new_inbox(bytes_max=2 * (RECORD_OVERHEAD_BYTES + 100))
    inbox.put([record(0), record(1)])
    assert not inbox.has_room
    polled(inbox, records_max=1)
    assert inbox.has_room
    assert changes


def test_a_partition_is_under_way_until_its_position_is_acknowledged() -> None:
    inbox, changes = new_inbox()
    key = ("kafka:logs", "0")
    inbox.put([record(0), record(1)])
    assert inbox.under_way([key]) == []
    polled(inbox)
    assert inbox.under_way([key]) == [key]
    inbox.ack([Position("kafka:logs", "0", 1)])
    assert inbox.under_way([key]) == [key]
    changes.clear()
    inbox.ack([Position("kafka:logs", "0", 2)])
    assert inbox.under_way([key]) == []
    assert inbox.stored() == {key: 2}
    assert changes


def test_what_is_discarded_is_not_handed_out_and_takes_no_room() -> None:
    inbox, _ = new_inbox(bytes_max=100)
    inbox.put([record(0), record(0, "1"), record(1)])
    inbox.discard({("kafka:logs", "0")})
    assert polled(inbox) == [0]
    assert inbox.has_room
    assert inbox.under_way([("kafka:logs", "0")]) == []


def test_a_failure_is_raised_by_every_poll_and_the_first_one_counts() -> None:
    inbox, _ = new_inbox()
    inbox.put([record(0)])
    inbox.fail(SourceError("first"))
    inbox.fail(SourceError("second"))
    for _ in range(2):
        with pytest.raises(SourceError, match="first"):
            polled(inbox)


def test_nothing_is_handed_out_after_the_end() -> None:
    inbox, _ = new_inbox()
    inbox.put([record(0)])
    inbox.finish()
    inbox.put([record(1)])
    assert polled(inbox) == []
    assert inbox.is_finished
