"""However records are cut into messages and calls, all of them go out, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from dejalog.client import sending
from dejalog.client.pushed import Pushed, Receipt
from dejalog.client.sending import NOTHING_SENT, Origin, added
from dejalog.indexer.event import Position
from dejalog.proto.v1 import ingest_pb2

RECORDS = st.lists(
    st.builds(Pushed, st.binary(max_size=8), st.none() | st.integers(0, 2**62)), max_size=40
)
ORIGIN = Origin("plc", "3", "json", (("site", "lodz"),))


@given(RECORDS, st.integers(1, 9), st.integers(1, 5), st.integers(1, 20))
def test_every_record_goes_out_once_and_within_the_bounds(
    records: list[Pushed], call_max: int, message_max: int, bytes_max: int
) -> None:
    bounds = (sending.CALL_RECORDS_MAX, sending.MESSAGE_RECORDS_MAX, sending.MESSAGE_BYTES_MAX)
    sending.CALL_RECORDS_MAX = call_max
    sending.MESSAGE_RECORDS_MAX = message_max
    sending.MESSAGE_BYTES_MAX = bytes_max
    try:
        calls = list(ORIGIN.calls(iter(records)))
        assert asyncio.run(gathered(records)) == calls
    finally:
        sending.CALL_RECORDS_MAX, sending.MESSAGE_RECORDS_MAX, sending.MESSAGE_BYTES_MAX = bounds
    messages = [message for call in calls for message in call]
    sent = [
        Pushed(each.data, each.offset if each.HasField("offset") else None)
        for message in messages
        for each in message.records
    ]
    assert sent == records
    for call in calls:
        assert 0 < sum(len(message.records) for message in call) <= call_max
    for message in messages:
        size = sum(len(each.data) for each in message.records)
        assert len(message.records) == 1 or (
            len(message.records) <= message_max and size <= bytes_max
        )
        assert (message.source, message.partition, message.encoding) == ("plc", "3", "json")
        assert dict(message.labels) == {"site": "lodz"}


async def gathered(records: list[Pushed]) -> list[list[ingest_pb2.AppendRequest]]:
    async def stream() -> AsyncIterator[Pushed]:
        for record in records:
            yield record

    return [call async for call in ORIGIN.calls_of(stream())]


def test_receipts_add_up_and_the_last_positions_count() -> None:
    position = ingest_pb2.PartitionPosition(source="plc", partition="0", next_offset=5)
    response = ingest_pb2.AppendResponse(
        accepted=1, duplicates=2, dead_letters=3, positions=[position]
    )
    once = added(NOTHING_SENT, response)
    assert once == Receipt(1, 2, 3, (Position("plc", "0", 5),))
    position.next_offset = 9
    response = ingest_pb2.AppendResponse(accepted=1, positions=[position])
    assert added(once, response) == Receipt(2, 2, 3, (Position("plc", "0", 9),))
