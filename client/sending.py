"""Records in bounded messages and calls, and what their answers add up to."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from dejalog.client.connection import MIB
from dejalog.client.pushed import Pushed, Receipt
from dejalog.indexer.event import Labels, Position
from dejalog.proto.v1 import ingest_pb2

#: Records and bytes of one message: large enough to amortise a message, small enough to flow.
MESSAGE_RECORDS_MAX = 1_000
MESSAGE_BYTES_MAX = MIB
#: Records of one call, which is what is acknowledged together.
CALL_RECORDS_MAX = 20_000

NOTHING_SENT = Receipt(0, 0, 0, ())


@dataclass(frozen=True, slots=True)
class Origin:
    """What all records of one append have in common."""

    source: str
    partition: str = "0"
    encoding: str = "auto"
    labels: Labels = ()

    def calls(self, records: Iterable[Pushed]) -> Iterator[list[ingest_pb2.AppendRequest]]:
        """Returns the messages of one call after the other; records are read as calls are made."""
        rest = iter(records)
        while call := list(islice(rest, CALL_RECORDS_MAX)):
            yield [self._message(batch) for batch in _batches(call)]

    async def calls_of(
        self, records: Iterable[Pushed] | AsyncIterable[Pushed]
    ) -> AsyncIterator[list[ingest_pb2.AppendRequest]]:
        """The same on an event loop."""
        if not isinstance(records, AsyncIterable):
            for call in self.calls(records):
                yield call
            return
        gathered: list[Pushed] = []
        async for record in records:
            gathered.append(record)
            if len(gathered) == CALL_RECORDS_MAX:
                yield [self._message(batch) for batch in _batches(gathered)]
                gathered = []
        if gathered:
            yield [self._message(batch) for batch in _batches(gathered)]

    def _message(self, batch: list[Pushed]) -> ingest_pb2.AppendRequest:
        return ingest_pb2.AppendRequest(
            source=self.source,
            partition=self.partition,
            encoding=self.encoding,
            labels=dict(self.labels),
            records=[ingest_pb2.AppendRecord(data=each.data, offset=each.offset) for each in batch],
        )


def added(total: Receipt, response: ingest_pb2.AppendResponse) -> Receipt:
    """Returns the receipt of all calls up to the one with this response."""
    return Receipt(
        total.accepted + response.accepted,
        total.duplicates + response.duplicates,
        total.dead_letters + response.dead_letters,
        tuple(
            Position(each.source, each.partition, each.next_offset) for each in response.positions
        ),
    )


def _batches(records: list[Pushed]) -> Iterator[list[Pushed]]:
    batch: list[Pushed] = []
    size_bytes = 0
    for record in records:
        if batch and (
            len(batch) == MESSAGE_RECORDS_MAX or size_bytes + len(record.data) > MESSAGE_BYTES_MAX
        ):
            yield batch
            batch, size_bytes = [], 0
        batch.append(record)
        size_bytes += len(record.data)
    if batch:
        yield batch
