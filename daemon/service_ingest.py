"""IngestService: takes a stream of batches and answers once every record is committed.

The stream is read only as fast as the push source has space, so gRPC's flow control slows the
client down. Bad requests are refused before anything of their batch is queued.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from dejalog.client.pushed import Pushed, Receipt
from dejalog.daemon.rpc_errors import invalid, overloaded, unavailable
from dejalog.daemon.sources.push import GRPC_PREFIX, PushSource
from dejalog.daemon.sources.pushed import (
    OffsetError,
    PushBatch,
    PushClosedError,
    PushFullError,
)
from dejalog.indexer.decode.settings import ENCODINGS
from dejalog.proto.v1 import ingest_pb2, ingest_pb2_grpc

RECORDS_MAX = 10_000
NAME_LENGTH_MAX = 200
LABELS_MAX = 64
LABEL_VALUE_LENGTH_MAX = 1024
OFFSET_MAX = 2**63 - 2
#: A pipeline that starts or stops takes about this long.
RETRY_AFTER_S = 1.0


class IngestService(ingest_pb2_grpc.IngestServiceServicer):
    """`dejalog.v1.IngestService` over the push source."""

    def __init__(self, push_source: PushSource) -> None:
        self._push_source = push_source

    async def Append(  # noqa: N802 - the name is the contract's
        self,
        request_iterator: AsyncIterator[ingest_pb2.AppendRequest],
        context: grpc.aio.ServicerContext[ingest_pb2.AppendRequest, ingest_pb2.AppendResponse],
    ) -> ingest_pb2.AppendResponse:
        """Queues every batch and waits for the commit."""
        submission = self._push_source.begin()
        try:
            async for message in request_iterator:
                await submission.add(checked_batch(message))
            return _to_response(await submission.committed())
        except OffsetError as error:
            raise invalid("records.offset", str(error), reason="BAD_OFFSETS") from error
        except PushFullError as error:
            raise overloaded(str(error), RETRY_AFTER_S) from error
        except PushClosedError as error:
            raise unavailable(str(error), RETRY_AFTER_S) from error


def checked_batch(message: ingest_pb2.AppendRequest) -> PushBatch:
    """Returns the batch, or raises ServiceError naming the field that is out of bounds."""
    partition = message.partition or "0"
    _check_name("source", message.source)
    _check_name("partition", partition)
    encoding = message.encoding or "auto"
    if encoding not in ENCODINGS:
        raise invalid("encoding", f"unknown {encoding!r}; one of {', '.join(ENCODINGS)}")
    if len(message.records) > RECORDS_MAX:
        raise invalid("records", f"{len(message.records)} records, at most {RECORDS_MAX} are taken")
    if len(message.labels) > LABELS_MAX:
        raise invalid("labels", f"{len(message.labels)} labels, at most {LABELS_MAX} are taken")
    for name, value in message.labels.items():
        _check_name("labels", name)
        if len(value) > LABEL_VALUE_LENGTH_MAX:
            raise invalid("labels", f"value of {name!r}: over {LABEL_VALUE_LENGTH_MAX} characters")
    return PushBatch(
        source=GRPC_PREFIX + message.source,
        partition=partition,
        records=[_pushed(record) for record in message.records],
        encoding=encoding,
        labels=tuple(sorted(message.labels.items())),
    )


def _pushed(record: ingest_pb2.AppendRecord) -> Pushed:
    offset = record.offset if record.HasField("offset") else None
    if offset is not None and not 0 <= offset <= OFFSET_MAX:
        raise invalid("records.offset", f"{offset} is not within 0 to {OFFSET_MAX}")
    return Pushed(record.data, offset)


def _check_name(field: str, name: str) -> None:
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise invalid(field, f"must be 1 to {NAME_LENGTH_MAX} printable characters")


def _to_response(receipt: Receipt) -> ingest_pb2.AppendResponse:
    return ingest_pb2.AppendResponse(
        accepted=receipt.accepted,
        duplicates=receipt.duplicates,
        dead_letters=receipt.dead_letters,
        positions=[
            ingest_pb2.PartitionPosition(
                source=position.source.removeprefix(GRPC_PREFIX),
                partition=position.partition,
                next_offset=position.offset,
            )
            for position in receipt.positions
        ],
    )
