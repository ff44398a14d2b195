"""AdminService: tells how the index is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc

from dejalog.daemon.messages import status_to_message
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2, admin_pb2_grpc


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """`dejalog.v1.AdminService`; `status` may read from disk and runs on a thread."""

    def __init__(self, status: Callable[[], IndexStatus]) -> None:
        self._status = status

    async def Status(  # noqa: N802 - the name is the contract's
        self,
        request: admin_pb2.StatusRequest,
        context: grpc.aio.ServicerContext[admin_pb2.StatusRequest, admin_pb2.StatusResponse],
    ) -> admin_pb2.StatusResponse:
        """Returns the index's state."""
        return status_to_message(await asyncio.to_thread(self._status))
