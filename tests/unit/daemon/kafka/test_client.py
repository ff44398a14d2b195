from __future__ import annotations

import asyncio
import gc

import pytest
from aiokafka.errors import UnknownTopicOrPartitionError

from dejalog.daemon.kafka.client import InstanceCheck, new_consumer, positions
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import SourceError


def test_a_consumer_reads_what_is_committed_and_leaves_commits_to_us() -> None:
    async def check() -> None:
        settings = KafkaSettings(
            bootstrap_servers=("127.0.0.1:1",),
            group="plant",
            instance="gateway-1",
            session_timeout_s=9,
            sasl_mechanism="PLAIN",
            sasl_username="u",
            sasl_password="p",
        )
        consumer = new_consumer(settings, rebalance_timeout_s=60)
        assert consumer._isolation_level == "read_committed"
        assert consumer._enable_auto_commit is False
        assert (consumer._group_id, consumer._group_instance_id) == ("plant", "gateway-1")
        assert (consumer._session_timeout_ms, consumer._heartbeat_interval_ms) == (9000, 3000)
        assert consumer._client._security_protocol == "SASL_PLAINTEXT"
        assert positions(consumer) == {}
        await consumer.stop()

    asyncio.run(check())


def test_a_worker_that_is_thrown_out_again_and_again_says_that_its_name_is_taken() -> None:
    instance = InstanceCheck("gateway-1")
    instance.note_expulsion(0.0)
    instance.note_expulsion(30.0)
    with pytest.raises(SourceError, match=r"kafka\.instance 'gateway-1'"):
        instance.note_expulsion(59.0)


def test_rare_expulsions_are_of_no_interest() -> None:
    instance = InstanceCheck("gateway-1")
    for now_s in (0.0, 30.0, 61.0, 92.0, 200.0):
        instance.note_expulsion(now_s)


def test_what_becomes_of_an_abandoned_request_is_one_line_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A worker that was stopped while it committed to a deleted topic showed a traceback."""

    async def refused(error: Exception) -> None:
        raise error

    async def abandon(error: Exception) -> None:
        consumer = new_consumer(
            KafkaSettings(bootstrap_servers=("127.0.0.1:1",)), rebalance_timeout_s=60
        )
        task = asyncio.create_task(refused(error))
        await asyncio.sleep(0)
        del task
        gc.collect()
        await consumer.stop()

    asyncio.run(abandon(UnknownTopicOrPartitionError()))
    (record,) = [each for each in caplog.records if each.name.startswith("aiokafka.dejalog")]
    assert "UnknownTopicOrPartitionError, as the worker no longer waited" in record.getMessage()
    assert record.exc_info is None
    # What is not the broker's stays what it is.
    caplog.clear()
    asyncio.run(abandon(ValueError("ours")))
    assert any(each.name == "asyncio" and each.exc_info for each in caplog.records)
