"""Kafka as a source of the pipeline: the thread in which the stream worker's loop runs.

The pipeline polls and acknowledges on its threads; `daemon/app.py` fetches and commits on the
loop's. Between them stand the inbox (records) and the tracking (what comes next), and this module.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from dejalog.daemon.kafka.inbox import Inbox
from dejalog.daemon.kafka.places import Key, PartitionNames, TopicPartition, topic_of
from dejalog.daemon.kafka.rules import TopicRules
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.starts import Known, plan_start
from dejalog.daemon.kafka.tracking import Fetch, OutOfStepError, Tracking, lost_of
from dejalog.daemon.sources.source import Positions, Progress
from dejalog.indexer.errors import DejalogError, SourceError
from dejalog.indexer.event import Position, Record
from dejalog.indexer.status import PartitionLag

#: How long a waiting coroutine sleeps at most before it looks whether the run is ending.
_TICK_S = 0.2
#: How long a close waits for the worker's thread; what is durable does not depend on it.
_CLOSE_S = 20.0


class KafkaSource:
    """Implements the Source protocol over the topics of the settings.

    `peer_positions` returns how far the group's other workers on this machine have stored each
    partition, and may read from disk. `say` is told what a person should know: that the broker is
    not there, for one.
    """

    name = "kafka"

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        say: Callable[[str], None],
        peer_positions: Callable[[], Mapping[Key, int]] = dict,
    ) -> None:
        self.settings = settings
        self.say = say
        self.rules = TopicRules(settings.topics)
        self._peer_positions = peer_positions
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Event | None = None
        self._inbox = Inbox(settings.queue_bytes_max, on_change=self._wake)
        self._names = PartitionNames()
        self._tracking = Tracking(self.rules, self._names)
        self._stored: dict[Key, int] = {}
        self._claimed: dict[TopicPartition, int] = {}
        self._thread: threading.Thread | None = None
        self._is_closing = threading.Event()
        self._lags: tuple[PartitionLag, ...] = ()

    # The pipeline's side.

    def seek(self, positions: Positions) -> None:
        """Takes the stored positions and starts the worker's thread."""
        mine = {key: each for key, each in positions.items() if topic_of(each.source) is not None}
        self._stored = {key: each.offset for key, each in mine.items()}
        lost = {key: lost_of(each.state) for key, each in mine.items()}
        self._names = PartitionNames(mine)
        self._tracking = Tracking(self.rules, self._names, lost)
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)
        self._thread.start()

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """Returns the next records; raises SourceError once the worker has failed."""
        return self._inbox.poll(records_max=records_max, bytes_max=bytes_max, timeout_s=timeout_s)

    @property
    def is_exhausted(self) -> bool:
        """False until the source is finished: a topic has no end."""
        return self._inbox.is_finished

    def check(self) -> None:
        """Raises what the worker has failed with, for who is about to store."""
        self._inbox.check()

    def finish(self) -> None:
        """Fetches and hands out nothing more; what was handed out can still be acknowledged."""
        self._inbox.finish()

    def ack(self, positions: Sequence[Position]) -> None:
        """Notes what is durable: the group's offsets follow it."""
        self._inbox.ack(positions)

    def close(self) -> None:
        """Commits what is durable, leaves the group and ends the thread."""
        self._inbox.finish()
        self._is_closing.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def progress(self) -> Progress:
        """Returns the bytes handed out; what is still to come is never known."""
        return Progress(bytes_done=self._inbox.bytes_read)

    def lags(self) -> tuple[PartitionLag, ...]:
        """How far each assigned partition is behind its log's end, as of about a second ago."""
        return self._lags

    # The loop's side: everything below runs on it.

    @property
    def is_closing(self) -> bool:
        """Whether the worker has to end."""
        return self._is_closing.is_set()

    @property
    def epoch(self) -> int:
        """What a fetch must have begun in to be taken; see tracking.py."""
        return self._tracking.epoch

    async def wait_for_room(self) -> bool:
        """Waits a moment for room to fetch more; returns whether there is some."""
        if not self._inbox.has_room or self._inbox.is_finished:
            await self.wait_for_change()
        return self._inbox.has_room and not self._inbox.is_finished

    async def wait_for_change(self) -> None:
        """Sleeps until the pipeline takes or stores something, but not for long."""
        woken = self._woken
        if woken is None:
            raise AssertionError("there is no loop yet")
        woken.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), _TICK_S)

    def take(self, fetched: Mapping[TopicPartition, Fetch], *, is_sound: bool) -> None:
        """Hands a fetch to the pipeline, all or nothing; raises OutOfStepError.

        It is not sound if a log begins after the fetch does; see also `Tracking.accept`.
        """
        if not is_sound:
            raise OutOfStepError
        self._inbox.put(self._tracking.accept(fetched, time.time_ns()))

    def next_offsets(self) -> dict[TopicPartition, int]:
        """What is fetched next of each assigned partition, for a seek in the middle of things."""
        return self._tracking.next_offsets()

    def revoke(self, partitions: Collection[TopicPartition]) -> None:
        """Drops what is queued: nothing is taken until `begin`."""
        self._tracking.revoke()
        self._inbox.discard({self._names.key(partition) for partition in partitions})

    async def drain(self, partitions: Collection[TopicPartition], timeout_s: float) -> None:
        """Waits until what was handed out of these partitions is durable.

        Raises SourceError if it takes too long: another worker is about to read them.
        """
        keys = [self._names.key(partition) for partition in partitions]
        give_up_at = time.monotonic() + timeout_s
        while (under_way := self._inbox.under_way(keys)) and not self.is_closing:
            if time.monotonic() > give_up_at:
                names = ", ".join(f"{topic_of(s)}/{p}" for s, p in under_way[:3])
                raise SourceError(
                    f"kafka: {names} went to another worker, and what was read of it could not be "
                    f"stored within {timeout_s:.0f} s (a full disk?); it is not stored here, and "
                    "the other worker reads it"
                )
            await self.wait_for_change()

    async def stored(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int | None]:
        """How far the partitions are stored or on their way, here or by a peer; None if not at all.

        On their way is only what was not taken away: see `revoke` and `drain`.
        """
        found = {**self._stored, **self._inbox.reached()}
        for key, offset in (await asyncio.to_thread(self._peer_positions)).items():
            found[key] = max(offset, found.get(key, offset))
        return {partition: found.get(self._names.key(partition)) for partition in partitions}

    def durable(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offsets that the group may be told: what is stored, or where reading began."""
        stored = self._inbox.stored()
        return {
            p: max(self._claimed[p], stored.get(self._names.key(p), 0))
            for p in partitions
            if p in self._claimed
        }

    def begin(
        self, known: Mapping[TopicPartition, Known], *, is_assigned: bool
    ) -> dict[TopicPartition, int]:
        """Begins at the planned starts and returns them; raises SourceError for a fault.

        After an assignment the group may be told where it begins: what is before is durable, except
        for a gap, and for what is on its way to be stored (its earlier claim stays).
        """
        starts = {p: plan_start(each, self.settings.start) for p, each in known.items()}
        reached, stored = self._inbox.reached(), self._inbox.stored()
        self._inbox.put(self._tracking.begin(starts))
        for partition, start in starts.items() if is_assigned else ():
            key = self._names.key(partition)
            if reached.get(key, 0) <= stored.get(key, 0):
                self._claimed[partition] = start.expected
        return {partition: start.offset for partition, start in starts.items()}

    def show_lags(self, ends: Mapping[TopicPartition, int]) -> None:
        """Notes how far the logs of the assigned partitions reach."""
        durable, lost = self.durable(ends.keys()), self._tracking.lost()
        self._lags = tuple(
            PartitionLag(
                *self._names.key(partition),
                position=durable.get(partition, 0),
                end=end,
                lag=max(0, end - durable.get(partition, 0)),
                lost=lost.get(self._names.key(partition), 0),
            )
            for partition, end in sorted(ends.items())
        )

    def fail(self, error: BaseException) -> None:
        """Ends the run with this reason."""
        self._inbox.fail(as_source_error(error, self.settings))

    def _wake(self) -> None:
        loop, woken = self._loop, self._woken
        if loop is not None and woken is not None:
            with suppress(RuntimeError):  # The loop has ended: nobody waits any more.
                loop.call_soon_threadsafe(woken.set)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self.fail(error)

    async def _main(self) -> None:
        # Importing Faust takes a second, and most gateways have no broker.
        from dejalog.daemon.app import run_worker

        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        await run_worker(self)


def as_source_error(error: BaseException, settings: KafkaSettings) -> DejalogError:
    """Returns an error as it is told to a person: which broker, what, and what to do."""
    if isinstance(error, DejalogError):
        return error
    servers = ", ".join(settings.bootstrap_servers)
    what = str(error) or type(error).__name__
    return SourceError(
        f"kafka at {servers}: {type(error).__name__}: {what}; positions are stored with the data, "
        "so a restart goes on where this ended"
    )
