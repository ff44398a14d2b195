"""Status is asked of the index on a thread, so that the loop goes on."""

from __future__ import annotations

import asyncio
import threading

from dejalog.daemon.messages import status_from_message
from dejalog.daemon.service_admin import AdminService
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2

STATUS = IndexStatus("/d", "1", "f", 1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5, 0.25)


def test_the_state_is_asked_for_at_each_call_and_off_the_loop():
    threads: list[int] = []

    def status() -> IndexStatus:
        threads.append(threading.get_ident())
        return STATUS

    async def run() -> list[admin_pb2.StatusResponse]:
        service = AdminService(status)
        return [await service.Status(admin_pb2.StatusRequest(), None) for _ in range(2)]

    assert [status_from_message(each) for each in asyncio.run(run())] == [STATUS, STATUS]
    assert len(threads) == 2
    assert threading.get_ident() not in threads
