"""The source that clients push into: a bounded queue between the services and the pipeline.

Services add records on an asyncio loop; the pipeline polls them on its own threads, commits them
and acknowledges the positions. Invariants:

1. A submission is committed only once the stored positions cover every record it carried.
2. Per partition, offsets rise in queue order; a record below the stored position is a duplicate,
   one below the queued position is waited for but not queued again.
3. The queue holds at most `records_max` records and `bytes_max` bytes; adding waits for space.
4. After `fail` or `close` every waiting submission fails, and so does every later one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dejalog.client.pushed import Receipt
from dejalog.daemon.sources.pushed import (
    Numbering,
    PushBatch,
    PushClosedError,
    PushFullError,
    offset_state,
)
from dejalog.daemon.sources.source import Positions, Progress
from dejalog.indexer.event import DeadLetter, Position, Record

MIB = 1 << 20
#: What a queued record costs beside its bytes (object headers, measured with sys.getsizeof).
RECORD_OVERHEAD_BYTES = 400
#: Every partition keeps a position in memory and in the index, so a client cannot name any number.
PARTITIONS_MAX = 10_000
#: Sources named by clients carry this prefix, so that they cannot pose as a file or a topic.
GRPC_PREFIX = "grpc:"
OTLP_SOURCE = "otlp"
STOPPING = "the daemon is stopping"


@dataclass(slots=True, eq=False)
class _Waiter:
    """A coroutine that waits on its loop for something that another thread does."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]

    def wake(self, error: Exception | None = None) -> None:
        # The loop is closed only when its coroutine is gone too: nobody is left to tell.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: Exception | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


@dataclass(slots=True)
class _Partition:
    """One partition's positions, and who waits for what in it."""

    source: str
    partition: str
    stored: int = 0
    queued: int = 0
    state: str = ""
    #: Offset of each record that is not stored yet -> the submission that brought it, rising.
    inflight: dict[int, Submission] = field(default_factory=dict)
    #: Submissions that repeat records in flight -> the position that covers them.
    followers: dict[Submission, int] = field(default_factory=dict)

    def settle(self) -> list[Submission]:
        """Takes out what the stored position covers and returns the submissions it was for."""
        offsets = []
        for offset in self.inflight:
            if offset >= self.stored:
                break
            offsets.append(offset)
        settled = [self.inflight.pop(offset) for offset in offsets]
        covered = [each for each, needed in self.followers.items() if needed <= self.stored]
        for submission in covered:
            del self.followers[submission]
        return settled + covered


class Submission:
    """The records of one call: add batches, then wait for the commit of all of them."""

    def __init__(self, source: PushSource) -> None:
        self._source = source
        self.accepted = 0
        self.duplicates = 0
        self.dead_letters = 0
        self.pending = 0
        self.partitions: dict[tuple[str, str], _Partition] = {}
        self._numbering = Numbering()
        self.waiter: _Waiter | None = None

    async def add(self, batch: PushBatch, *, is_patient: bool = True) -> None:
        """Queues a batch, waiting for space if `is_patient`, else all of it at once or nothing.

        Raises OffsetError before anything is queued, PushFullError where there is no space (or
        no room for a new partition), PushClosedError where the pipeline takes nothing.
        """
        self._numbering.check(batch)
        done = 0
        while True:
            done, waiter = self._source._enqueue(self, batch, done, is_patient)
            if waiter is None:
                return
            await waiter.future

    async def committed(self) -> Receipt:
        """Waits until everything that was added is stored; raises PushClosedError if it fails."""
        waiter = self._source._wait_for(self)
        if waiter is not None:
            await waiter.future
        return self._source._receipt(self)


class PushSource:
    """Implements the Source protocol over what services submit.

    `seek`, `poll`, `finish`, `ack`, `observe`, `fail` and `close` belong to the pipeline's threads,
    `begin` and the submissions to an asyncio loop.
    """

    name = "push"

    def __init__(self, *, records_max: int = 20_000, bytes_max: int = 64 * MIB) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._changed = threading.Condition()
        self._queue: deque[Record] = deque()
        self._queue_bytes = 0
        self._bytes_read = 0
        self._partitions: dict[tuple[str, str], _Partition] = {}
        self._space_waiters: list[_Waiter] = []
        self._commit_waiters: set[Submission] = set()
        self._failure = "the pipeline has not started yet"
        self._is_closed = False

    def begin(self) -> Submission:
        """Starts an empty submission."""
        return Submission(self)

    async def submit(self, *batches: PushBatch) -> Receipt:
        """Adds batches and waits for their commit."""
        submission = self.begin()
        for batch in batches:
            await submission.add(batch)
        return await submission.committed()

    @property
    def queue_depth(self) -> tuple[int, int]:
        """Records and bytes that wait to be polled."""
        with self._changed:
            return len(self._queue), self._queue_bytes

    def seek(self, positions: Positions) -> None:
        """Takes over the stored positions of pushed records and opens the queue."""
        with self._changed:
            for each in positions.values():
                if each.source == OTLP_SOURCE or each.source.startswith(GRPC_PREFIX):
                    key = (each.source, each.partition)
                    self._partitions[key] = _Partition(
                        *key, stored=each.offset, queued=each.offset, state=each.state
                    )
            self._failure = ""

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """Returns queued records, at least one unless none came within `timeout_s`."""
        taken: list[Record] = []
        size_bytes = 0
        waiters: list[_Waiter] = []
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closed, timeout_s)
            while self._queue and len(taken) < records_max and size_bytes < bytes_max:
                record = self._queue.popleft()
                size_bytes += len(record.data)
                self._queue_bytes -= _cost(1, len(record.data))
                taken.append(record)
            self._bytes_read += size_bytes
            if taken:
                waiters, self._space_waiters = self._space_waiters, []
        for waiter in waiters:
            waiter.wake()
        return taken

    def ack(self, positions: Sequence[Position]) -> None:
        """Notes committed positions and ends the submissions that they complete."""
        with self._changed:
            for each in positions:
                partition = self._partitions.get((each.source, each.partition))
                if partition is None or each.offset <= partition.stored:
                    continue
                partition.stored = each.offset
                partition.queued = max(partition.queued, each.offset)
                for submission in partition.settle():
                    self._settle(submission)

    def observe(self, dead_letters: Iterable[DeadLetter]) -> None:
        """Counts committed dead letters for the submissions that brought them; goes before ack."""
        with self._changed:
            for each in dead_letters:
                partition = self._partitions.get((each.source, each.partition))
                if partition is not None and each.offset in partition.inflight:
                    partition.inflight[each.offset].dead_letters += 1

    def progress(self) -> Progress:
        """Returns the bytes handed out; what is still to come is never known."""
        with self._changed:
            return Progress(bytes_done=self._bytes_read)

    def fail(self, reason: str) -> None:
        """Refuses submissions from now on and fails those that wait."""
        with self._changed:
            self._failure = reason
            waiters = self._space_waiters
            waiters += [each.waiter for each in self._commit_waiters if each.waiter is not None]
            self._space_waiters = []
            self._commit_waiters.clear()
        for waiter in waiters:
            waiter.wake(PushClosedError(reason))

    def finish(self) -> None:
        """Hands out nothing more; what was handed out before can still be acknowledged."""
        with self._changed:
            self._is_closed = True
            self._queue.clear()
            self._queue_bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the source; what is queued and not committed is for the clients to send again."""
        self.fail(STOPPING)
        self.finish()

    @property
    def is_exhausted(self) -> bool:
        """False until the source is finished or closed: a client may come at any time."""
        return self._is_closed

    def _enqueue(
        self, submission: Submission, batch: PushBatch, done: int, is_patient: bool
    ) -> tuple[int, _Waiter | None]:
        """Queues records from `done` on; returns how far it came and what to wait for."""
        with self._changed:
            self._check_open()
            if self._is_closed:
                raise PushClosedError(STOPPING)
            partition = self._partition(submission, batch)
            if not is_patient:
                self._check_space(batch)
            for index in range(done, len(batch.records)):
                record = batch.records[index]
                offset = partition.queued if record.offset is None else record.offset
                if offset < partition.queued:
                    self._follow(submission, partition, offset)
                elif not is_patient or self._has_space(1, len(record.data)):
                    self._put(submission, partition, batch, offset, record.data)
                else:
                    waiter = _new_waiter()
                    self._space_waiters.append(waiter)
                    return index, waiter
        return len(batch.records), None

    def _check_open(self) -> None:
        if self._failure:
            raise PushClosedError(self._failure)

    def _partition(self, submission: Submission, batch: PushBatch) -> _Partition:
        key = (batch.source, batch.partition)
        partition = self._partitions.get(key)
        if partition is None:
            if len(self._partitions) >= PARTITIONS_MAX:
                raise PushFullError(f"there are {PARTITIONS_MAX} partitions already: use those")
            partition = self._partitions[key] = _Partition(*key)
        if batch.records:
            partition.state = offset_state(batch, partition.state)
        submission.partitions[key] = partition
        return partition

    def _follow(self, submission: Submission, partition: _Partition, offset: int) -> None:
        submission.duplicates += 1
        if offset >= partition.stored:
            submission.pending += int(submission not in partition.followers)
            partition.followers[submission] = offset + 1

    def _check_space(self, batch: PushBatch) -> None:
        size_bytes = sum(len(record.data) for record in batch.records)
        if not self._has_space(len(batch.records), size_bytes):
            raise PushFullError("the ingest queue is full")

    def _has_space(self, records: int, size_bytes: int) -> bool:
        if not self._queue:  # Else what is larger than the whole queue could never pass.
            return True
        is_light = self._queue_bytes + _cost(records, size_bytes) <= self._bytes_max
        return is_light and len(self._queue) + records <= self._records_max

    def _put(
        self,
        submission: Submission,
        partition: _Partition,
        batch: PushBatch,
        offset: int,
        data: bytes,
    ) -> None:
        queued = Record(
            source=batch.source,
            partition=batch.partition,
            offset=offset,
            next_offset=offset + 1,
            data=data,
            received_at_ns=time.time_ns(),
            encoding=batch.encoding,
            labels=batch.labels,
            state=partition.state,
        )
        self._queue.append(queued)
        self._queue_bytes += _cost(1, len(data))
        partition.queued = offset + 1
        partition.inflight[offset] = submission
        submission.accepted += 1
        submission.pending += 1
        self._changed.notify()

    def _settle(self, submission: Submission) -> None:
        submission.pending -= 1
        if submission.pending == 0 and submission.waiter is not None:
            self._commit_waiters.discard(submission)
            submission.waiter.wake()

    def _wait_for(self, submission: Submission) -> _Waiter | None:
        with self._changed:
            if submission.pending == 0:
                return None
            self._check_open()
            submission.waiter = _new_waiter()
            self._commit_waiters.add(submission)
            return submission.waiter

    def _receipt(self, submission: Submission) -> Receipt:
        with self._changed:
            positions = tuple(
                Position(each.source, each.partition, each.stored, each.state)
                for each in submission.partitions.values()
            )
            return Receipt(
                submission.accepted, submission.duplicates, submission.dead_letters, positions
            )


def _cost(records: int, size_bytes: int) -> int:
    return size_bytes + records * RECORD_OVERHEAD_BYTES


def _new_waiter() -> _Waiter:
    loop = asyncio.get_running_loop()
    return _Waiter(loop, loop.create_future())
