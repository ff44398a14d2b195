"""The stream worker's Faust app: consumes the topics and hands records to the pipeline.

Faust gives group membership, rebalances, the consumer's thread and commits to the group; this is
the only module that imports it. Decoding, batching and storing are the pipeline's. What Faust
would do differently (docs/adr/0006):

1. Where to go on is told by the positions stored with the data (`seek_to_committed`), not by Kafka.
2. Records go from the fetch straight to the pipeline, without agents and streams. What was fetched
   under an assignment or a position that has changed since is dropped whole and fetched again, so
   a partition's records arrive in order and without holes.
3. The offsets committed to the group are the durable positions, never what was merely read.
4. A partition that is taken away is given up only once what was handed out of it is durable.
5. Any fault of the consumer ends the run with its reason: nothing wedges, nothing is skipped.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from faust.app.base import BootStrategy
from faust.transport.consumer import Fetcher
from faust.transport.drivers import aiokafka as driver
from mode import Service
from mode.threads import WorkerThread

from dejalog.daemon.kafka.client import (
    InstanceCheck,
    commit_offsets,
    fault_of,
    is_member,
    known_topics,
    log_ends,
    new_consumer,
    pause,
    positions,
    read_known,
    wait_for_broker,
)
from dejalog.daemon.kafka.notices import quiet_libraries
from dejalog.daemon.kafka.places import TopicPartition
from dejalog.daemon.kafka.source import KafkaSource
from dejalog.daemon.kafka.starts import Known
from dejalog.daemon.kafka.tracking import Fetch, OutOfStepError
from dejalog.indexer.errors import SourceError

#: How long the coordinator waits for members that give up partitions (Faust's default) ...
_REBALANCE_TIMEOUT_S = 60.0
#: ... and within it, for what was handed out to be stored, and for a last commit.
_DRAIN_S = 40.0
_COMMIT_S = 5.0
_STOP_S = 15.0
#: Faust's recovery ends for good, without a word, when a seek takes longer.
_SEEK_S = 365 * 86_400.0
#: No position: a fetch that begins there is never taken.
_UNKNOWN = -1
T = TypeVar("T")


async def run_worker(source: KafkaSource) -> None:
    """Consumes until the source is closing; raises what ended it otherwise."""
    # A broker that is away is told once, in our words; aiokafka logs every try.
    with quiet_libraries(lambda text: None):
        if not await wait_for_broker(source):
            return
    with (
        quiet_libraries(source.say),
        tempfile.TemporaryDirectory(prefix="dejalog-faust-") as folder,
    ):
        app = _App(source, folder)
        app.finalize()
        # A start lasts until partitions are assigned and sought, which may never come.
        starting = asyncio.ensure_future(app.start())
        try:
            await _watch(app, source, starting)
        except BaseException as error:
            source.fail(error)  # Before the stop cancels a fetch, which would be the reason then.
            raise
        finally:
            # Mode's services swallow cancellations, so that wait_for would wait for ever.
            stopping = asyncio.ensure_future(app.stop())
            await asyncio.wait({starting, stopping}, timeout=_STOP_S)
            for task in (starting, stopping):
                if task.done() and not task.cancelled():
                    task.exception()


async def _watch(app: _App, source: KafkaSource, starting: asyncio.Future[None]) -> None:
    """Looks after the running app: its faults, its lags, topics that are missing."""
    consumer: _Consumer = app.consumer
    missing: set[str] = set()
    while not source.is_closing:
        reason = starting.exception() if starting.done() else None
        reason = reason or fault_of(consumer.inner)
        if app.should_stop or app.crashed:
            reason = reason or app.crash_reason or SourceError("the consumer stopped by itself")
        if reason is not None:
            raise reason
        source.show_lags(log_ends(consumer.inner))
        topics = known_topics(consumer.inner)
        if topics is not None:
            now_missing = set(source.rules.names()) - topics
            for name in sorted(now_missing - missing):
                source.say(
                    f"kafka: the topic {name} does not exist; it is read as soon as it does "
                    "('dejalog kafka topics create' makes it)"
                )
            missing = now_missing
        await pause(source)


class _Boot(BootStrategy):  # type: ignore[misc]
    """Only what consumes is started: no producer, no web server."""

    enable_kafka_producer = False
    enable_web = False


class _App(faust.App):  # type: ignore[misc]
    """A Faust app without agents and tables, on the loop that is running."""

    BootStrategy = _Boot

    def __init__(self, source: KafkaSource, folder: str) -> None:
        settings = source.settings
        self.source = source
        super().__init__(
            settings.group,
            broker=[f"kafka://{server}" for server in settings.bootstrap_servers],
            datadir=folder,
            autodiscover=False,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            stream_wait_empty=False,
            broker_commit_interval=settings.commit_interval_s,
            broker_session_timeout=settings.session_timeout_s,
            broker_request_timeout=_SEEK_S,
            broker_rebalance_timeout=_REBALANCE_TIMEOUT_S,
        )
        self.transport = _Transport(self.conf.broker_consumer, self)


class _Thread(WorkerThread):  # type: ignore[misc]
    """A thread that waits for a broker which does not answer must not keep the process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.daemon = True


class _ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's thread around aiokafka's consumer, made by our settings."""

    Worker = _Thread

    def _create_worker_consumer(self, transport: _Transport) -> AIOKafkaConsumer:
        # Faust reads it for tables, of which there are none.
        self._assignor = RoundRobinPartitionAssignor
        return new_consumer(self.app.source.settings, rebalance_timeout_s=_REBALANCE_TIMEOUT_S)

    async def on_thread_stop(self) -> None:
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            # aiokafka's own, of a fetch to a broker that is away: it ends there, and without this
            # the thread would end without saying so, and mode would wait a minute for that.
            await self._ensure_consumer()._client.close()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribes to all topics of the settings, whatever Faust knows of."""
        await self.call_thread(
            self._ensure_consumer().subscribe,
            pattern=self.app.source.rules.subscription(),
            listener=self._rebalance_listener,
        )

    async def _fetch_records(self, consumer: Any, *arguments: Any, **options: Any) -> Any:
        """Returns Fetch by partition, with the positions that prove nothing is missing between."""
        # Without this look a coordinator that has failed (no rights to the group, say) would leave
        # the consumer without partitions, in silence.
        consumer._coordinator.check_errors()
        before = positions(consumer)
        records = await super()._fetch_records(consumer, *arguments, **options)
        after = positions(consumer)
        # Those that gave nothing are told of, too: an answer that went missing would otherwise be
        # noticed only when more comes. So are those whose position came during the fetch.
        starts = {**{TopicPartition(*p): _UNKNOWN for p in records}, **before}
        return {
            partition: Fetch(start, after.get(partition, start), records.get(partition, ()))
            for partition, start in starts.items()
        }


class _Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with positions, fetches and commits of our own; see the module."""

    _thread: _ConsumerThread

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._source: KafkaSource = self.app.source
        self._committed: dict[TopicPartition, int] = {}
        self._instance = InstanceCheck(self._source.settings.instance)

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if await self._source.wait_for_room():
                    await self._fetch_unless_cancelled()
        except asyncio.CancelledError:
            # Only a stop cancels it: any other end of fetching would be silence.
            if not self._source.is_closing:
                self._source.fail(SourceError("kafka: fetching was cancelled; start again"))
            raise
        except BaseException as error:
            self._source.fail(error)
            raise

    async def _fetch_unless_cancelled(self) -> None:
        """A rebalance cancels a fetch that waits; Faust would take that for its own end."""
        try:
            await self._fetch()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise

    async def _fetch(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # What is fetched then is of a later epoch.
        epoch = self._source.epoch
        answer, _ = await self._wait_next_records(timeout=1.0)
        expected = self._source.next_offsets()
        # One without a leader is not sought, and gives nothing.
        fetched = {p: each for p, each in answer.items() if p in expected or each.is_anything}
        is_sound = not fetched or await self._begins_before(fetched)
        if not fetched or epoch != self._source.epoch or not self.flow_active:
            return
        try:
            self._source.take(fetched, is_sound=is_sound)
        except OutOfStepError:
            await self._seek_again(epoch, fetched)

    async def _seek_again(self, epoch: int, fetched: Mapping[TopicPartition, Fetch]) -> None:
        next_offsets = self._source.next_offsets()
        if not next_offsets.keys() >= fetched.keys():
            # One of them was not sought with the others, as it had no leader then.
            await self.seek_to_committed()
            return
        known = await self._known(epoch, list(next_offsets), next_offsets)
        if known is not None:
            # A topic that came or went has unassigned everything: the next assignment seeks.
            with suppress(IllegalStateError):
                await self.seek_wait(self._source.begin(known, is_assigned=False))

    async def _begins_before(self, fetched: Mapping[TopicPartition, Fetch]) -> bool:
        """Says whether no log has lost what a fetch lacks at its start: aiokafka would go on at the
        log's new beginning without a word.
        """
        holes = [p for p, fetch in fetched.items() if fetch.begins_with_a_hole]
        if not holes:
            return True
        beginnings = await self._on_thread(self._aiokafka().beginning_offsets(holes))
        return all(beginnings[p] <= fetched[p].start for p in holes)

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Seeks to where reading goes on, after every assignment; Faust asks for nothing else."""
        partitions = sorted(TopicPartition(*tp) for tp in self.assignment())
        if not partitions:
            return {}
        try:
            epoch = self._source.epoch
            known = await self._known(epoch, partitions, await self._source.stored(partitions))
            if known is None:
                return {}  # Taken away meanwhile; the next assignment seeks for itself.
            starts = self._source.begin(known, is_assigned=True)
            await self.seek_wait(starts)
        except IllegalStateError:
            return {}  # A topic that came or went has unassigned everything.
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._source.fail(error)
            raise
        self._committed = {}
        return starts

    async def _known(
        self,
        epoch: int,
        partitions: Sequence[TopicPartition],
        stored: Mapping[TopicPartition, int | None],
    ) -> dict[TopicPartition, Known] | None:
        """What is known of those that have a leader; None if the epoch has ended meanwhile."""
        while epoch == self._source.epoch:
            try:
                known = await self._on_thread(read_known(self._aiokafka(), partitions, stored))
            except KafkaTimeoutError:
                continue  # A leader or the broker is away, and looked for.
            if epoch == self._source.epoch:
                return known
        return None

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Gives partitions up once what was handed out of them is durable and committed."""
        # aiokafka may name an older assignment than the one that is read.
        given = {TopicPartition(*tp) for tp in revoked}
        partitions = sorted(given | self._source.next_offsets().keys())
        self._source.revoke(partitions)
        try:
            self._instance.check(self._aiokafka())
            await self._source.drain(partitions, _DRAIN_S)
        except SourceError as error:
            self._source.fail(error)
            raise
        await self._commit_durable(partitions)
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        # Faust's own last commit gives way to one of the timer's, which began before the end.
        await self.force_commit()
        await super().on_stop()

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commits what is durable; Faust's own accounting of messages takes no part."""
        return await self._commit_durable([TopicPartition(*tp) for tp in self.assignment()])

    async def _commit_durable(self, partitions: Sequence[TopicPartition]) -> bool:
        if not is_member(self._aiokafka()):
            return False
        durable = self._source.durable(partitions)
        changed = {p: at for p, at in durable.items() if self._committed.get(p) != at}
        if not changed:
            return False
        try:
            commit = self._on_thread(commit_offsets(self._aiokafka(), changed))
            await asyncio.wait_for(commit, _COMMIT_S)
        except (GroupAuthorizationFailedError, TopicAuthorizationFailedError) as error:
            self._source.fail(error)
            raise
        except (TimeoutError, KafkaError):
            # A broker that is away, or a group that has moved on: nothing depends on it, and the
            # next interval tries again.
            return False
        self._committed.update(changed)
        return True

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust's livelock check is about streams, of which there are none."""

    @property
    def inner(self) -> AIOKafkaConsumer | None:
        """The consumer that does the work, once it is there."""
        return self._thread._consumer

    def _aiokafka(self) -> AIOKafkaConsumer:
        return self._thread._ensure_consumer()

    async def _on_thread(self, call: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine of the consumer's on its thread."""
        loop = self._thread.thread_loop
        if loop.is_closed():
            call.close()
            raise KafkaConnectionError("the consumer has ended")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, loop))


class _Fetcher(Fetcher):  # type: ignore[misc]
    """The service that fetches; Faust's takes a cancellation for a crash, and crashes over it."""

    @Service.task  # type: ignore[untyped-decorator]
    async def _fetcher(self) -> None:
        try:
            await self.app.consumer._drain_messages(self)
        finally:
            self.set_shutdown()


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer
    Fetcher = _Fetcher
