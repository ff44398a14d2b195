"""aiokafka's consumer as the stream worker wants it, and what Faust does not tell of it."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka.conn import create_conn
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.structs import OffsetAndMetadata

from dejalog.daemon.kafka.connection import security_arguments
from dejalog.daemon.kafka.places import TopicPartition
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.source import KafkaSource
from dejalog.daemon.kafka.starts import Known
from dejalog.indexer.errors import SourceError

#: Heard like aiokafka's own (notices.py).
_LOGGER = logging.getLogger("aiokafka.dejalog")

#: Between two looks at a broker that is not there, and at a worker that runs.
_PAUSE_S = 1.0
#: Kafka throws a member out that has not polled for so long; ours waits for a full disk as long
#: as it takes, and its heartbeats tell that it is alive.
_POLL_INTERVAL_MS = 24 * 3600 * 1000
#: A fetch waits so long for data at the broker; what arrives meanwhile is answered at once.
_FETCH_WAIT_MS = 500
#: All partitions of a broker together; each has `fetch_bytes_max`.
_FETCH_BYTES_MAX = 16 << 20

#: What no further try can mend.
_REFUSALS = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    ssl.SSLCertVerificationError,
)
#: A broker that starts closes connections, too, so this is no more than a hint.
_CLOSED_HINT = "; if it wants TLS or a certificate of its clients, see kafka.tls and kafka.tls_cert"


def new_consumer(
    settings: KafkaSettings, *, rebalance_timeout_s: float
) -> aiokafka.AIOKafkaConsumer:
    """Makes a consumer, not started, on the loop that runs; raises ConfigError.

    The loop then has `hear_abandoned`, too.
    """
    asyncio.get_running_loop().set_exception_handler(hear_abandoned)
    session_ms = int(settings.session_timeout_s * 1000)
    return aiokafka.AIOKafkaConsumer(
        bootstrap_servers=list(settings.bootstrap_servers),
        client_id="dejalog",
        group_id=settings.group,
        group_instance_id=settings.instance or None,
        # Range, the other choice, gives all topics of one partition to one member.
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
        rebalance_timeout_ms=int(rebalance_timeout_s * 1000),
        **security_arguments(settings),
    )


def hear_abandoned(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Makes one line of what a commit ended with that nobody waits for any more.

    aiokafka shields its requests: one outlives the stop that cancelled it, and asyncio would show
    its error as a traceback.
    """
    error = context.get("exception")
    if isinstance(error, KafkaError):
        _LOGGER.warning("%s, as the worker no longer waited: %s", type(error).__name__, error)
    else:
        loop.default_exception_handler(context)


def positions(consumer: aiokafka.AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """What the consumer would fetch next of each assigned partition, where it knows."""
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return {}
    states = ((TopicPartition(*tp), assignment.state_value(tp)) for tp in assignment.tps)
    return {
        partition: state.position
        for partition, state in states
        if state is not None and state.has_valid_position
    }


async def read_known(
    consumer: aiokafka.AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    stored: Mapping[TopicPartition, int | None],
) -> dict[TopicPartition, Known]:
    """Returns what is known of those partitions that have a leader; raises KafkaError.

    The others are sought once something of them is fetched.
    """
    leader = consumer._client.cluster.leader_for_partition
    led = [partition for partition in partitions if leader(partition) not in (None, -1)]
    beginnings = await consumer.beginning_offsets(led)
    ends = await consumer.end_offsets(led)
    wanted = [aiokafka.TopicPartition(*partition) for partition in led]
    # One request for all: one by one, many partitions over a slow line take minutes.
    found = await consumer._coordinator.fetch_committed_offsets(wanted)
    committed = {partition: each.offset for partition, each in found.items()}
    return {p: Known(stored[p], committed.get(p), beginnings[p], ends[p]) for p in led}


async def commit_offsets(
    consumer: aiokafka.AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]
) -> None:
    """Tells the group; raises KafkaError.

    Not by the consumer's own commit: it refuses once a topic that came or went has unassigned
    everything, while the group still holds what is given up to be ours.
    """
    given = {
        aiokafka.TopicPartition(*partition): OffsetAndMetadata(offset, "")
        for partition, offset in offsets.items()
    }
    await consumer._coordinator.commit_offsets(None, given)


def is_member(consumer: aiokafka.AIOKafkaConsumer) -> bool:
    """Whether the group knows us: a commit while we are joining would throw the joining away."""
    coordinator = consumer._coordinator
    return coordinator.generation >= 0 and bool(coordinator.member_id)


def log_ends(consumer: aiokafka.AIOKafkaConsumer | None) -> dict[TopicPartition, int]:
    """How far the assigned partitions' logs reach, as of the last fetch of each."""
    # One look at what the consumer's thread may replace at any moment.
    subscription = None if consumer is None else consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return {}
    ends = {TopicPartition(*tp): assignment.state_value(tp).lso for tp in assignment.tps}
    return {partition: end for partition, end in ends.items() if end is not None}


def known_topics(consumer: aiokafka.AIOKafkaConsumer | None) -> set[str] | None:
    """The topics that the broker has, or None while that is not known."""
    if consumer is None or consumer._subscription.subscription is None:
        return None
    return set(consumer._client.cluster.topics(exclude_internal_topics=True))


def fault_of(consumer: aiokafka.AIOKafkaConsumer | None) -> BaseException | None:
    """What has ended coordination or fetching: aiokafka tells it only to who fetches."""
    coordinator = None if consumer is None else consumer._coordinator
    if consumer is None or coordinator is None:
        return None
    found: BaseException | None = coordinator._pending_exception
    for task in (coordinator._coordination_task, consumer._fetcher._fetch_task):
        if task.done() and not task.cancelled():
            found = found or task.exception()
    return found


class InstanceCheck:
    """Notices that another worker has this one's `instance`.

    The broker tells the loser only that it does not know it, as after a long absence; the two then
    take turns, and both index.
    """

    #: So many expulsions within so many seconds are no accident.
    EXPULSIONS = 3
    WITHIN_S = 60.0

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._expelled_at_s: list[float] = []

    def check(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        """Looks at a consumer whose partitions are taken away; raises SourceError."""
        if self._instance and not consumer._coordinator.member_id:
            self.note_expulsion(time.monotonic())

    def note_expulsion(self, now_s: float) -> None:
        """Takes one expulsion; raises SourceError at one too many."""
        self._expelled_at_s = [*self._expelled_at_s, now_s][-self.EXPULSIONS :]
        is_full = len(self._expelled_at_s) == self.EXPULSIONS
        if is_full and now_s - self._expelled_at_s[0] < self.WITHIN_S:
            raise SourceError(
                "kafka: the group threw this worker out three times within a minute: another one "
                f"has kafka.instance {self._instance!r}, too; give each its own, or none"
            )


async def wait_for_broker(source: KafkaSource) -> bool:
    """Tries until a broker lets us in; returns False if the source is closing before.

    A broker that refuses us, or whose certificate is not trusted, is a fault: raises SourceError.
    """
    servers = ", ".join(source.settings.bootstrap_servers)
    has_waited = False
    while not source.is_closing:
        problem = ""
        for server in source.settings.bootstrap_servers:
            try:
                if not await _is_done(source, _connect(source.settings, server)):
                    return False
            except _REFUSALS as error:
                raise SourceError(_refusal(source.settings, server, error)) from error
            except (OSError, EOFError, TimeoutError, KafkaError) as error:
                problem = problem or str(error) or type(error).__name__
                continue
            if has_waited:
                source.say(f"kafka: the broker at {servers} is there")
            return True
        if not has_waited:
            hint = "" if source.settings.tls_cert else _CLOSED_HINT
            is_closed = "closed" in problem or "reset" in problem or "SSL" in problem
            problem += hint if is_closed else ""
            source.say(f"kafka: no broker at {servers} yet ({problem}); waiting for it")
        has_waited = True
        await pause(source)
    return False


async def _connect(settings: KafkaSettings, server: str) -> None:
    """Makes one connection, TLS, versions and user included, and ends it.

    A client that bootstraps does the same, but keeps the reason of a failure to itself.
    """
    host, _, port = server.rpartition(":")
    connection = await create_conn(
        host.strip("[]"),
        int(port),
        client_id="dejalog",
        request_timeout_ms=int(settings.request_timeout_s * 1000),
        **security_arguments(settings),
    )
    connection.close()


def _refusal(settings: KafkaSettings, server: str, error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"kafka: the certificate of the broker at {server} is not trusted "
            f"({error.verify_message}); set kafka.tls_ca to the file of its authority"
        )
    return (
        f"kafka: the broker at {server} refused the user {settings.sasl_username!r}, mechanism "
        f"{settings.sasl_mechanism or 'none'} ({error}); check kafka.sasl_username, "
        "kafka.sasl_password and kafka.sasl_mechanism"
    )


async def _is_done(source: KafkaSource, call: Coroutine[Any, Any, None]) -> bool:
    """Waits for a call, or until the source is closing; says whether it has ended."""
    task = asyncio.ensure_future(call)
    while not task.done() and not source.is_closing:
        await asyncio.wait({task}, timeout=_PAUSE_S / 5)
    if task.done():
        task.result()
        return True
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return False


async def pause(source: KafkaSource) -> None:
    """Waits a second, or until the source is closing."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _PAUSE_S
    while loop.time() < end and not source.is_closing:
        await source.wait_for_change()
