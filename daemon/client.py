"""A thin client of the daemon: search, append, status and retry over gRPC, in the index's types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from dejalog.daemon.messages import (
    letter_filter_to_message,
    request_to_message,
    result_from_message,
    retry_report_from_message,
    status_from_message,
)
from dejalog.daemon.sources.pushed import Pushed, Receipt
from dejalog.indexer.errors import ConfigError, DejalogError, QueryError
from dejalog.indexer.event import Labels, Position
from dejalog.indexer.hit import SearchResult
from dejalog.indexer.letters import LetterFilter, RetryReport
from dejalog.indexer.query import SearchRequest
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    search_pb2_grpc,
)

MIB = 1 << 20
#: Records and bytes of one message: large enough to amortise a message, small enough to flow.
MESSAGE_RECORDS_MAX = 1_000
MESSAGE_BYTES_MAX = MIB
#: Records of one call, which is what is acknowledged together.
CALL_RECORDS_MAX = 20_000
#: Records of up to 1 MiB, and oversized ones that the server turns into dead letters.
SEND_BYTES_MAX = 16 * MIB


class RemoteError(DejalogError):
    """The daemon cannot be reached, or refused or failed to do what it was asked.

    `code` is the gRPC status code's name, `reason` the ErrorInfo's, `retry_after_s` when to come
    back where the daemon said so.
    """

    def __init__(
        self, message: str, *, code: str, reason: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.retry_after_s = code, reason, retry_after_s


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search returned; `is_cut` where hits were shortened to fit into one message."""

    result: SearchResult
    is_cut: bool


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM files: the CA to trust, and a certificate with its key where the daemon wants one.

    `server_name` is the name in the daemon's certificate where it is not the address's.
    """

    ca: str
    cert: str = ""
    key: str = ""
    server_name: str = ""


class Client:
    """One connection to a daemon, made at the first call; usable from several threads."""

    def __init__(self, address: str = "127.0.0.1:7040", *, tls: ClientTls | None = None) -> None:
        self._address = address
        options: list[tuple[str, Any]] = [("grpc.max_send_message_length", SEND_BYTES_MAX)]
        if tls is None:
            self._channel = grpc.insecure_channel(address, options=options)
        else:
            if tls.server_name:
                options.append(("grpc.ssl_target_name_override", tls.server_name))
            self._channel = grpc.secure_channel(address, _credentials(tls), options=options)
        self._search = search_pb2_grpc.SearchServiceStub(self._channel)
        self._ingest = ingest_pb2_grpc.IngestServiceStub(self._channel)
        self._admin = admin_pb2_grpc.AdminServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; running calls are cancelled."""
        self._channel.close()

    def search(self, request: SearchRequest, *, timeout_s: float = 30.0) -> Answer:
        """Returns the hits; raises QueryError, TimeoutError or RemoteError."""
        message = request_to_message(request)
        try:
            response = self._call(partial(self._search.Search, message, timeout=timeout_s))
        except RemoteError as error:
            if error.code == "INVALID_ARGUMENT":
                raise QueryError(str(error)) from error
            raise
        return Answer(result_from_message(response), response.is_cut)

    def append(
        self,
        source: str,
        records: Iterable[Pushed],
        *,
        partition: str = "0",
        encoding: str = "auto",
        labels: Labels = (),
        timeout_s: float | None = None,
    ) -> Receipt:
        """Sends records and returns once all are committed; raises TimeoutError or RemoteError.

        Records go out in calls of some thousand, each with its own `timeout_s`; after an error
        the calls before it are stored. The receipt sums up all of them.
        """

        def message(batch: list[Pushed]) -> ingest_pb2.AppendRequest:
            return ingest_pb2.AppendRequest(
                source=source,
                partition=partition,
                encoding=encoding,
                labels=dict(labels),
                records=[
                    ingest_pb2.AppendRecord(data=each.data, offset=each.offset) for each in batch
                ],
            )

        total = Receipt(0, 0, 0, ())
        rest = iter(records)
        while call := list(islice(rest, CALL_RECORDS_MAX)):
            messages = [message(batch) for batch in _batches(call)]
            response = self._call(partial(self._ingest.Append, iter(messages), timeout=timeout_s))
            total = _add(total, response)
        return total

    def status(self, *, timeout_s: float = 10.0) -> IndexStatus:
        """Returns the index's state; raises TimeoutError or RemoteError."""
        request = admin_pb2.StatusRequest()
        response = self._call(partial(self._admin.Status, request, timeout=timeout_s))
        return status_from_message(response)

    def retry_dead_letters(
        self, wanted: LetterFilter, *, timeout_s: float | None = None
    ) -> RetryReport:
        """Has the daemon decode dead letters again; raises TimeoutError or RemoteError.

        What it stored before an error stays stored, and is not stored again by another call.
        """
        request = letter_filter_to_message(wanted)
        call = partial(self._admin.RetryDeadLetters, request, timeout=timeout_s)
        return retry_report_from_message(self._call(call))

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except grpc.RpcError as error:
            raise _translated(error, self._address) from error


def _translated(error: Any, address: str) -> Exception:
    code: grpc.StatusCode = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimeoutError(f"the daemon at {address} did not answer in time")
    reason, retry_after_s = "", None
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info, retry = ErrorInfo(), RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    message = error.details() or code.name
    if code is grpc.StatusCode.UNAVAILABLE and not reason:
        message = f"no daemon answers at {address}: {message}; start it with 'dejalog run'"
    return RemoteError(message, code=code.name, reason=reason, retry_after_s=retry_after_s)


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


def _add(total: Receipt, response: ingest_pb2.AppendResponse) -> Receipt:
    return Receipt(
        total.accepted + response.accepted,
        total.duplicates + response.duplicates,
        total.dead_letters + response.dead_letters,
        tuple(
            Position(each.source, each.partition, each.next_offset) for each in response.positions
        ),
    )


def _credentials(tls: ClientTls) -> grpc.ChannelCredentials:
    def read(key: str) -> bytes | None:
        path = getattr(tls, key)
        if not path:
            return None
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise ConfigError("client", key, f"cannot read {path}: {error.strerror}") from error

    return grpc.ssl_channel_credentials(read("ca"), read("key"), read("cert"))
