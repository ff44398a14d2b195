"""The push source between a loop that submits and a thread that polls and acknowledges."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.client.pushed import Pushed, Receipt
from dejalog.daemon.sources import push
from dejalog.daemon.sources.push import PushSource
from dejalog.daemon.sources.pushed import (
    PushBatch,
    PushClosedError,
    PushFullError,
)
from dejalog.daemon.sources.source import Progress
from dejalog.indexer.event import DeadLetter, Position, Record

KEY = ("grpc:plc", "0")


def batch(*texts: str, start: int | None = None, key: tuple[str, str] = KEY) -> PushBatch:
    return PushBatch(
        *key,
        [
            Pushed(text.encode(), None if start is None else start + index)
            for index, text in enumerate(texts)
        ],
    )


def opened(**bounds: int) -> PushSource:
    source = PushSource(**bounds)
    source.seek({})
    return source


def poll(source: PushSource, records_max: int = 100, bytes_max: int = 1 << 20) -> list[Record]:
    return source.poll(records_max=records_max, bytes_max=bytes_max, timeout_s=0)


def ack(source: PushSource, records: list[Record]) -> None:
    source.ack([Position(r.source, r.partition, r.next_offset, r.state) for r in records])


async def soon(coroutine: Coroutine[None, None, Receipt]) -> asyncio.Task[Receipt]:
    """Starts a coroutine and lets it come to its first wait."""
    task = asyncio.create_task(coroutine)
    for _ in range(3):
        await asyncio.sleep(0)
    return task


def test_a_submission_ends_when_the_stored_position_covers_its_last_record():
    async def run() -> Receipt:
        source = opened()
        task = await soon(source.submit(batch("a", "b"), batch("c", key=("grpc:cmms", "1"))))
        first, second, third = poll(source)
        ack(source, [first])
        ack(source, [third])
        await asyncio.sleep(0.01)
        assert not task.done()
        ack(source, [second])
        return await task

    state = '{"offsets":"server"}'
    positions = (Position(*KEY, 2, state), Position("grpc:cmms", "1", 1, state))
    assert asyncio.run(run()) == Receipt(3, 0, 0, positions)


def test_a_record_that_is_still_in_flight_is_waited_for_and_not_queued_again():
    async def run() -> None:
        source = opened()
        first = await soon(source.submit(batch("a", "b", start=4)))
        again = await soon(source.submit(batch("a", "b", "c", start=4)))
        records = poll(source)
        assert [(r.offset, r.data) for r in records] == [(4, b"a"), (5, b"b"), (6, b"c")]
        ack(source, records[:2])
        assert (await first).accepted == 2
        await asyncio.sleep(0.01)
        assert not again.done()
        ack(source, records[2:])
        receipt = await again
        assert (receipt.accepted, receipt.duplicates) == (1, 2)

    asyncio.run(run())


def test_a_pure_resend_in_flight_ends_with_the_original():
    async def run() -> None:
        source = opened()
        first = await soon(source.submit(batch("a", start=0)))
        again = await soon(source.submit(batch("a", start=0)))
        await asyncio.sleep(0.01)
        assert not again.done()
        ack(source, poll(source))
        assert (await again).duplicates == 1
        assert (await first).accepted == 1

    asyncio.run(run())


def test_polling_stops_at_the_record_that_reaches_the_bytes():
    async def run() -> None:
        source = opened()
        task = await soon(source.submit(batch("12345", "67890", "abc")))
        assert [r.data for r in poll(source, bytes_max=6)] == [b"12345", b"67890"]
        assert [r.data for r in poll(source, records_max=1)] == [b"abc"]
        assert poll(source) == []
        assert source.progress() == Progress(bytes_done=13)
        task.cancel()

    asyncio.run(run())


def test_the_queue_never_holds_more_than_its_bounds():
    async def run() -> None:
        bytes_max = 4 * push.RECORD_OVERHEAD_BYTES
        source = opened(records_max=100, bytes_max=bytes_max)
        task = await soon(source.submit(batch(*"abcdefgh")))
        assert source.queue_depth[0] == 3
        taken: list[bytes] = []
        while len(taken) < 8:
            records = poll(source, records_max=2)
            taken += [r.data for r in records]
            ack(source, records)
            await asyncio.sleep(0.01)
            assert source.queue_depth[1] <= bytes_max
        assert b"".join(taken) == b"abcdefgh"
        assert (await task).accepted == 8

    asyncio.run(run())


def test_a_record_larger_than_the_queue_passes_once_the_queue_is_empty():
    async def run() -> None:
        source = opened(bytes_max=1000)
        task = await soon(source.submit(batch("a", "b" * 5000)))
        assert [r.data for r in poll(source)] == [b"a"]
        await asyncio.sleep(0.01)
        records = poll(source)
        assert len(records[0].data) == 5000
        ack(source, records)
        await task

    asyncio.run(run())


def test_an_impatient_batch_is_queued_whole_or_not_at_all():
    async def run() -> None:
        source = opened(records_max=3)
        await source.begin().add(batch("a", "b"), is_patient=False)
        with pytest.raises(PushFullError):
            await source.begin().add(batch("c", "d"), is_patient=False)
        assert [r.data for r in poll(source)] == [b"a", b"b"]

    asyncio.run(run())


def test_a_cancelled_submission_leaves_its_records_to_be_stored():
    async def run() -> None:
        source = opened()
        task = await soon(source.submit(batch("a", start=0)))
        task.cancel()
        ack(source, poll(source))
        assert (await source.submit(batch("a", start=0))).duplicates == 1

    asyncio.run(run())


@pytest.mark.parametrize("is_waiting_for_space", [True, False])
def test_a_failure_reaches_submissions_that_wait_for_space_or_for_a_commit(is_waiting_for_space):
    async def run() -> None:
        source = opened(records_max=1)
        texts = ("a", "b") if is_waiting_for_space else ("a",)
        task = await soon(source.submit(batch(*texts)))
        threading.Thread(target=source.fail, args=["the disk is full"]).start()
        with pytest.raises(PushClosedError, match="the disk is full"):
            await task
        with pytest.raises(PushClosedError, match="the disk is full"):
            await source.submit(batch("c"))

    asyncio.run(run())


def test_closing_ends_a_poll_that_waits_and_exhausts_the_source():
    source = opened()
    assert not source.is_exhausted
    polled: list[list[Record]] = []
    thread = threading.Thread(
        target=lambda: polled.append(source.poll(records_max=1, bytes_max=1, timeout_s=30))
    )
    thread.start()
    source.close()
    thread.join(10)
    assert polled == [[]]
    assert source.is_exhausted


def test_a_poll_that_waits_is_woken_by_a_submission():
    async def run() -> list[Record]:
        source = opened()
        waiting = asyncio.create_task(
            asyncio.to_thread(source.poll, records_max=1, bytes_max=1, timeout_s=30)
        )
        await asyncio.sleep(0.05)
        await source.begin().add(batch("a"))
        return await asyncio.wait_for(waiting, 10)

    assert [r.data for r in asyncio.run(run())] == [b"a"]


def test_before_the_positions_are_known_nothing_is_taken():
    async def run() -> None:
        with pytest.raises(PushClosedError, match="has not started"):
            await PushSource().submit(batch("a"))

    asyncio.run(run())


def test_positions_of_other_sources_are_left_alone():
    async def run() -> None:
        source = PushSource()
        file = Position("file:/var/log/syslog", "0", 99)
        source.seek({("file:/var/log/syslog", "0"): file, KEY: Position(*KEY, 5)})
        source.ack([file])
        task = await soon(source.submit(batch("old", "new", start=4)))
        assert [r.offset for r in poll(source)] == [5]
        task.cancel()

    asyncio.run(run())


def test_dead_letters_are_counted_where_their_record_came_from():
    async def run() -> None:
        source = opened()
        tasks = [await soon(source.submit(batch("a"))), await soon(source.submit(batch("b")))]
        records = poll(source)
        letters = [DeadLetter("test", "", b"", 1, 0, *KEY, 1, sub) for sub in range(2)]
        source.observe(letters)
        ack(source, records)
        assert [(await task).dead_letters for task in tasks] == [0, 2]
        source.observe(letters)  # Late ones have nobody left to tell.

    asyncio.run(run())


def test_the_number_of_partitions_is_bounded(monkeypatch):
    async def run() -> None:
        monkeypatch.setattr(push, "PARTITIONS_MAX", 1)
        source = opened()
        await source.begin().add(batch("a"))
        with pytest.raises(PushFullError, match="1 partitions already"):
            await source.begin().add(batch("a", key=("grpc:plc", "1")))
        await source.begin().add(batch("b"))

    asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), min_size=1, max_size=8),
    st.integers(1, 5),
)
def test_whatever_is_sent_again_each_offset_is_stored_once_and_in_order(spans, records_max):
    async def run() -> None:
        source = opened(records_max=records_max)
        stored: list[int] = []

        def consume() -> None:
            while not source.is_exhausted:
                records = source.poll(records_max=3, bytes_max=1 << 20, timeout_s=0.05)
                stored.extend(r.offset for r in records)
                ack(source, records)

        thread = threading.Thread(target=consume)
        thread.start()
        # Sent at once: which span comes first is left to the loop and the queue.
        work = [source.submit(batch(*("x" * count), start=start)) for start, count in spans]
        receipts = await asyncio.wait_for(asyncio.gather(*work), 20)
        source.close()
        thread.join()
        assert stored == sorted(set(stored))
        assert sum(r.accepted for r in receipts) == len(stored)
        for (start, count), receipt in zip(spans, receipts, strict=True):
            assert receipt.accepted + receipt.duplicates == count
            assert receipt.positions[0].offset >= start + count

    asyncio.run(run())


def test_a_finished_source_hands_out_nothing_but_still_takes_acknowledgements():
    # A stopping pipeline left records in the queue and commits in flight: the first are for the
    # clients to send again, the others must still be answered.
    async def run() -> None:
        source = opened()
        stored = await soon(source.submit(batch("a")))
        records = poll(source)
        waiting = await soon(source.submit(batch("b", key=("grpc:plc", "1"))))
        source.finish()
        assert source.is_exhausted
        assert source.poll(records_max=9, bytes_max=99, timeout_s=60) == []
        with pytest.raises(PushClosedError, match="stopping"):
            await source.submit(batch("c"))
        ack(source, records)
        assert (await stored).accepted == 1
        assert not waiting.done()
        source.close()
        with pytest.raises(PushClosedError, match="stopping"):
            await waiting

    asyncio.run(run())
