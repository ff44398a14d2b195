"""aiokafka's consumer as the stream worker wants it, and what Faust does not tell of it."""

from __future__ import annotations

import asyncio

import aiokafka
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaConnectionError

from dejalog.daemon.kafka.connection import security_arguments
from dejalog.daemon.kafka.places import TopicPartition
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.source import KafkaSource

#: Between two looks at a broker that is not there, and at a worker that runs.
_PAUSE_S = 1.0
#: Kafka throws a member out that has not polled for so long; ours waits for a full disk as long
#: as it takes, and its heartbeats tell that it is alive.
_POLL_INTERVAL_MS = 24 * 3600 * 1000
#: A fetch waits so long for data at the broker; what arrives meanwhile is answered at once.
_FETCH_WAIT_MS = 500
#: All partitions of a broker together; each has `fetch_bytes_max`.
_FETCH_BYTES_MAX = 16 << 20


def new_consumer(
    settings: KafkaSettings, *, rebalance_timeout_s: float
) -> aiokafka.AIOKafkaConsumer:
    """Makes a consumer, not started, on the loop that runs; raises ConfigError."""
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


async def wait_for_broker(source: KafkaSource) -> bool:
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
        await pause(source)
    return False


async def pause(source: KafkaSource) -> None:
    """Waits a second, or until the source is closing."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _PAUSE_S
    while loop.time() < end and not source.is_closing:
        await source.wait_for_change()
