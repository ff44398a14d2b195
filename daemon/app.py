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
import concurrent.futures
import tempfile
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import aiokafka
import faust
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from faust.app.base import BootStrategy
from faust.transport.drivers import aiokafka as driver

from dejalog.daemon.kafka.connection import security_arguments
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.source import KafkaSource
from dejalog.daemon.kafka.starts import Known
from dejalog.daemon.kafka.tracking import TopicPartition
from dejalog.indexer.errors import SourceError

#: Between two looks at a broker that is not there, and at an app that runs.
_WATCH_S = 1.0
#: Kafka throws a member out that has not polled for so long; ours waits for a full disk as long
#: as it takes, and its heartbeats tell that it is alive.
_POLL_INTERVAL_MS = 24 * 3600 * 1000
#: How long the coordinator waits for members that give up partitions (Faust's default) ...
_REBALANCE_TIMEOUT_S = 60.0
#: ... and within it, for what was handed out to be stored, and for a last commit.
_DRAIN_S = 40.0
_COMMIT_S = 5.0
_STOP_S = 15.0
#: A fetch waits so long for data at the broker; what arrives meanwhile is answered at once.
_FETCH_WAIT_MS = 500
#: All partitions together; each has `fetch_bytes_max`.
_FETCH_BYTES_MAX = 16 << 20

T = TypeVar("T")


async def run_worker(source: KafkaSource) -> None:
    """Consumes until the source is closing; raises what ended it otherwise."""
    if not await _wait_for_broker(source):
        return
    with tempfile.TemporaryDirectory(prefix="dejalog-faust-") as folder:
        app = _App(source, folder)
        app.finalize()
        try:
            await app.start()
            await _watch(app, source)
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(app.stop(), _STOP_S)


async def _wait_for_broker(source: KafkaSource) -> bool:
    """Tries until a broker answers; returns False if the source is closing before.

    A broker that answers and refuses (a wrong password) is a fault, and raised.
    """
    settings = source.settings
    servers = ", ".join(settings.bootstrap_servers)
    has_waited = False
    while not source.is_closing:
        client = aiokafka.AIOKafkaClient(
            bootstrap_servers=list(settings.bootstrap_servers),
            client_id="dejalog",
            request_timeout_ms=int(settings.request_timeout_s * 1000),
            **security_arguments(settings),
        )
        try:
            await client.bootstrap()
        except KafkaConnectionError as error:
            if not has_waited:
                source.say(f"kafka: no broker at {servers} yet ({error}); waiting for it")
            has_waited = True
        else:
            if has_waited:
                source.say(f"kafka: the broker at {servers} is there")
            return True
        finally:
            await client.close()
        await _pause(source)
    return False


async def _watch(app: _App, source: KafkaSource) -> None:
    """Looks after the running app: its faults, its lags, topics that are missing."""
    consumer: _Consumer = app.consumer
    missing: set[str] = set()
    while not source.is_closing:
        if app.should_stop or app.crashed:
            reason = app.crash_reason or SourceError("the consumer stopped by itself")
            raise reason
        source.show_lags(consumer.ends())
        topics = consumer.known_topics()
        if topics is not None:
            now_missing = set(source.rules.names()) - topics
            for name in sorted(now_missing - missing):
                source.say(
                    f"kafka: the topic {name} does not exist; it is read as soon as it does "
                    "('dejalog kafka topics create' makes it)"
                )
            missing = now_missing
        await _pause(source)


async def _pause(source: KafkaSource) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + _WATCH_S
    while loop.time() < end and not source.is_closing:
        await source.wait_for_change()


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
            broker_request_timeout=settings.request_timeout_s,
            broker_rebalance_timeout=_REBALANCE_TIMEOUT_S,
        )
        self.transport = _Transport(self.conf.broker_consumer, self)


class _ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's thread around aiokafka's consumer, made by our settings."""

    def _create_worker_consumer(self, transport: _Transport) -> aiokafka.AIOKafkaConsumer:
        settings: KafkaSettings = self.app.source.settings
        session_ms = int(settings.session_timeout_s * 1000)
        # Faust reads it for tables; round robin spreads topics of one partition, too.
        self._assignor = RoundRobinPartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            bootstrap_servers=list(settings.bootstrap_servers),
            client_id="dejalog",
            group_id=settings.group,
            group_instance_id=settings.instance or None,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            # Only until our own seek, which follows every assignment.
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            max_partition_fetch_bytes=settings.fetch_bytes_max,
            fetch_max_bytes=max(_FETCH_BYTES_MAX, settings.fetch_bytes_max),
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=int(settings.request_timeout_s * 1000),
            metadata_max_age_ms=int(settings.metadata_max_age_s * 1000),
            session_timeout_ms=session_ms,
            # Kafka's own advice: three heartbeats in a session.
            heartbeat_interval_ms=session_ms // 3,
            rebalance_timeout_ms=int(_REBALANCE_TIMEOUT_S * 1000),
            **security_arguments(settings),
        )

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribes to all topics of the settings, whatever Faust knows of."""
        await self.call_thread(
            self._ensure_consumer().subscribe,
            pattern=self.app.source.rules.subscription(),
            listener=self._rebalance_listener,
        )

    async def _fetch_records(self, consumer: Any, *arguments: Any, **options: Any) -> Any:
        # Without this look a coordinator that has failed (no rights to the group, say) would leave
        # the consumer without partitions, in silence.
        consumer._coordinator.check_errors()
        return await super()._fetch_records(consumer, *arguments, **options)


class _Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with positions, fetches and commits of our own; see the module."""

    _thread: _ConsumerThread

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._source: KafkaSource = self.app.source
        self._committed: dict[TopicPartition, int] = {}

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if await self._source.wait_for_room():
                    await self._fetch()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._source.fail(error)
            raise

    async def _fetch(self) -> None:
        epoch = self._source.epoch
        records, _ = await self._wait_next_records(timeout=1.0)
        if not records:
            await self._pass_by(epoch)
            return
        fetched = {TopicPartition(*tp): given for tp, given in records.items()}
        beginnings: Mapping[TopicPartition, int] = {}
        if jumped := self._source.jumped(fetched):
            beginnings = await self._beginnings(jumped)
        if epoch == self._source.epoch and self.flow_active:
            self._source.take(fetched, beginnings)

    async def _pass_by(self, epoch: int) -> None:
        """At the end of a log the consumer passes transactions' markers, which are no records."""
        consumer = self._thread._consumer
        assignment = None if consumer is None else consumer._subscription.subscription
        if assignment is None or assignment.assignment is None or epoch != self._source.epoch:
            return
        states = {p: assignment.assignment.state_value(p) for p in self._partitions()}
        positions = {
            p: state.position
            for p, state in states.items()
            if state is not None and state.has_valid_position
        }
        self._source.pass_by(positions)

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Seeks to where reading goes on, after every assignment; Faust asks for nothing else."""
        partitions = self._partitions()
        if not partitions:
            return {}
        beginnings = await self._beginnings(partitions)
        ends = await self._on_thread(self._aiokafka().end_offsets(partitions))
        committed = {p: await self._on_thread(self._aiokafka().committed(p)) for p in partitions}
        stored = await self._source.stored()
        known = {
            p: Known(stored.get(p.key), committed[p], beginnings[p], ends[p]) for p in partitions
        }
        try:
            starts = self._source.begin(known)
        except BaseException as error:
            self._source.fail(error)
            raise
        await self.seek_wait(starts)
        self._committed = {}
        return starts

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Gives partitions up once what was handed out of them is durable and committed."""
        partitions = [TopicPartition(*tp) for tp in revoked]
        self._source.revoke(partitions)
        try:
            await self._source.drain(partitions, _DRAIN_S)
        except SourceError as error:
            self._source.fail(error)
            raise
        await self._commit_durable(partitions)
        await super().on_partitions_revoked(revoked)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commits what is durable; Faust's own accounting of messages takes no part."""
        return await self._commit_durable(self._partitions())

    async def _commit_durable(self, partitions: Sequence[TopicPartition]) -> bool:
        durable = self._source.durable(partitions)
        changed = {p: at for p, at in durable.items() if self._committed.get(p) != at}
        if not changed:
            return False
        try:
            commit = self._aiokafka().commit(
                {aiokafka.TopicPartition(*p): at for p, at in changed.items()}
            )
            await asyncio.wait_for(self._on_thread(commit), _COMMIT_S)
        except (
            GroupAuthorizationFailedError,
            TopicAuthorizationFailedError,
        ) as e:
            self._source.fail(e)
            raise
        except (TimeoutError, KafkaError):
            # A broker that is away, or a group that has moved on: nothing depends on it, and the
            # next interval tries again.
            return False
        self._committed.update(changed)
        return True

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust's livelock check is about streams, of which there are none."""

    def ends(self) -> dict[TopicPartition, int]:
        """How far the assigned partitions' logs reach, as of the last fetch of each."""
        consumer = self._thread._consumer
        if consumer is None or not self._partitions():
            return {}
        ends = {p: consumer.last_stable_offset(p) for p in self._partitions()}
        return {p: end for p, end in ends.items() if end is not None}

    def known_topics(self) -> set[str] | None:
        """The topics that the broker has, or None while that is not known."""
        consumer = self._thread._consumer
        if consumer is None or not self._partitions_known(consumer):
            return None
        return set(consumer._client.cluster.topics(exclude_internal_topics=True))

    def _partitions_known(self, consumer: aiokafka.AIOKafkaConsumer) -> bool:
        return consumer._subscription.subscription is not None

    def _partitions(self) -> list[TopicPartition]:
        return sorted(TopicPartition(*tp) for tp in self.assignment())

    def _aiokafka(self) -> aiokafka.AIOKafkaConsumer:
        return self._thread._ensure_consumer()

    async def _beginnings(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        found = await self._on_thread(self._aiokafka().beginning_offsets(partitions))
        return {TopicPartition(*tp): offset for tp, offset in found.items()}

    async def _on_thread(self, call: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine of the consumer's on its thread."""
        future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(
            call, self._thread.thread_loop
        )
        return await asyncio.wrap_future(future)


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer
