"""AdminService: tells how the index is, and retries dead letters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import grpc

from dejalog.client.messages.admin import (
    letter_filter_from_message,
    retry_report_to_message,
    status_to_message,
)
from dejalog.daemon.rpc_errors import ServiceError, invalid, overloaded, unavailable
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.letters import LetterFilter, RetryReport, RetryRunningError
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2, admin_pb2_grpc

#: Retries dead letters until it is done or the second argument says that nobody waits any more.
Retry = Callable[[LetterFilter, Callable[[], bool]], RetryReport]

#: A retry commits some thousand letters a second; asking more often is of no use.
_RETRY_AFTER_S = 1.0


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """`dejalog.v1.AdminService`; `status` and `retry` read from disk and run on threads.

    Leave out `retry` for a process that does not write the index.
    """

    def __init__(self, status: Callable[[], IndexStatus], retry: Retry | None = None) -> None:
        self._status = status
        self._retry = retry

    async def Status(  # noqa: N802 - the name is the contract's
        self,
        request: admin_pb2.StatusRequest,
        context: grpc.aio.ServicerContext[admin_pb2.StatusRequest, admin_pb2.StatusResponse],
    ) -> admin_pb2.StatusResponse:
        """Returns the index's state."""
        return status_to_message(await asyncio.to_thread(self._status))

    async def RetryDeadLetters(  # noqa: N802 - the name is the contract's
        self,
        request: admin_pb2.RetryDeadLettersRequest,
        context: grpc.aio.ServicerContext[
            admin_pb2.RetryDeadLettersRequest, admin_pb2.RetryDeadLettersResponse
        ],
    ) -> admin_pb2.RetryDeadLettersResponse:
        """Returns what became of the dead letters that are meant."""
        wanted = checked_filter(request)
        if self._retry is None:
            message = "this process does not write the index; ask the one that ingests"
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, "NOT_WRITING", message)
        is_over = threading.Event()
        untyped: Any = context  # The published types name no callback that could be given.
        untyped.add_done_callback(lambda _: is_over.set())
        try:
            report = await asyncio.to_thread(self._retry, wanted, is_over.is_set)
        except RetryRunningError as error:
            raise overloaded(str(error), _RETRY_AFTER_S) from error
        except DataDirectoryError as error:
            raise ServiceError(
                grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_WRITE", str(error)
            ) from error
        if not report.is_complete:
            message = f"the daemon is stopping; {report.retried} dead letters were retried so far"
            raise unavailable(message, _RETRY_AFTER_S)
        return retry_report_to_message(report)


def checked_filter(message: admin_pb2.RetryDeadLettersRequest) -> LetterFilter:
    """Returns which dead letters are meant, or raises ServiceError naming the wrong field."""
    for index, each in enumerate(message.numbers):
        if not 0 <= each.first <= each.last:
            raise invalid(f"numbers[{index}]", f"{each.first} to {each.last} is no range")
    wanted = letter_filter_from_message(message)
    if message.all != wanted.is_empty:
        either = "give either a condition or all, so that a forgotten field does not mean all"
        raise invalid("all", either)
    if (
        wanted.since_ns is not None
        and wanted.until_ns is not None
        and wanted.since_ns >= wanted.until_ns
    ):
        raise invalid("until_unix_nano", "must be after since_unix_nano")
    return wanted
