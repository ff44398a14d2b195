from __future__ import annotations

import asyncio
import socket
import time

import pytest

from dejalog.daemon.kafka.places import TopicPartition
from dejalog.daemon.kafka.settings import KafkaSettings, TopicRule
from dejalog.daemon.kafka.source import KafkaSource, as_source_error
from dejalog.daemon.kafka.starts import Known
from dejalog.daemon.kafka.tracking import Fetch, OutOfStepError
from dejalog.indexer.errors import ConfigError, SourceError
from dejalog.indexer.event import Position

LOGS = TopicPartition("logs", 0)
KEY = ("kafka:logs", "0")


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def new_source(port: int = 1, **options: object) -> tuple[KafkaSource, list[str]]:
    said: list[str] = []
    settings = KafkaSettings(
        bootstrap_servers=(f"127.0.0.1:{port}",),
        topics=(TopicRule(name="logs"),),
        **options,  # type: ignore[arg-type]
    )
    return KafkaSource(settings, say=said.append), said


def test_a_worker_waits_for_a_broker_that_is_not_there_and_can_be_ended_meanwhile() -> None:
    source, said = new_source(unused_port())
    source.seek({})
    deadline = time.monotonic() + 60
    while not said and time.monotonic() < deadline:
        assert source.poll(records_max=1, bytes_max=1, timeout_s=0.05) == []
    assert "no broker at 127.0.0.1" in said[0]
    source.finish()
    assert source.is_exhausted
    source.close()


def test_a_fault_is_raised_by_the_next_poll() -> None:
    source, _ = new_source()
    source.fail(OSError("no route"))
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1.*no route"):
        source.poll(records_max=1, bytes_max=1, timeout_s=0)


def test_our_own_errors_are_told_in_their_own_words() -> None:
    error = ConfigError("kafka", "tls_ca", "cannot be read")
    assert as_source_error(error, new_source()[0].settings) is error


def begun(source: KafkaSource, **known: int) -> None:
    given = {"stored": None, "committed": None, "beginning": 0, "end": 100, **known}
    source.begin({LOGS: Known(**given)}, is_assigned=True)  # type: ignore[arg-type]


def test_the_group_is_told_what_is_stored_and_before_that_where_reading_began() -> None:
    source, _ = new_source()
    begun(source, committed=40)
    assert source.durable([LOGS]) == {LOGS: 40}
    source.take({LOGS: Fetch(40, 50, [])}, is_sound=True)
    source.poll(records_max=10, bytes_max=10, timeout_s=0)
    assert source.durable([LOGS]) == {LOGS: 40}
    source.ack([Position(*KEY, 50)])
    assert source.durable([LOGS, TopicPartition("logs", 7)]) == {LOGS: 50}


def test_the_group_is_not_set_back_by_a_partition_that_came_back() -> None:
    source, _ = new_source()
    source.ack([Position(*KEY, 20)])
    begun(source, stored=20, committed=70)
    assert source.durable([LOGS]) == {LOGS: 70}


def test_the_group_is_not_told_of_what_lies_behind_a_gap_that_is_not_stored() -> None:
    """A gap whose dead letter was dropped in a rebalance was forgotten: the group had been told."""
    source, _ = new_source()
    begun(source, stored=10, beginning=50)
    assert source.durable([LOGS]) == {LOGS: 10}
    (gap,) = source.poll(records_max=9, bytes_max=9, timeout_s=0)
    source.ack([Position(*KEY, gap.next_offset)])
    assert source.durable([LOGS]) == {LOGS: 50}


def test_who_is_about_to_store_is_told_that_the_worker_has_failed() -> None:
    source, _ = new_source()
    source.check()
    source.fail(SourceError("kafka: gone"))
    with pytest.raises(SourceError, match="gone"):
        source.check()


def test_an_unsound_fetch_is_not_taken() -> None:
    source, _ = new_source()
    begun(source)
    with pytest.raises(OutOfStepError):
        source.take({LOGS: Fetch(0, 9, [])}, is_sound=False)
    assert source.next_offsets() == {LOGS: 0}


def test_lags_are_counted_from_what_is_stored() -> None:
    source, _ = new_source()
    begun(source, committed=40)
    source.show_lags({LOGS: 100})
    (lag,) = source.lags()
    assert (lag.source, lag.partition, lag.position, lag.end, lag.lag) == (*KEY, 40, 100, 60)


def test_what_could_not_be_stored_in_time_ends_the_run() -> None:
    source, _ = new_source()
    source._woken = asyncio.Event()
    begun(source)
    source.take({LOGS: Fetch(0, 9, [])}, is_sound=True)
    source.poll(records_max=10, bytes_max=10, timeout_s=0)
    with pytest.raises(SourceError, match="logs/0 went to another worker"):
        asyncio.run(source.drain([LOGS], 0.05))
    source.ack([Position(*KEY, 9)])
    asyncio.run(source.drain([LOGS], 0.05))


def test_what_is_known_of_a_partition_is_the_further_of_here_and_its_peers() -> None:
    settings = KafkaSettings(bootstrap_servers=("127.0.0.1:1",), topics=(TopicRule(name="logs"),))
    source = KafkaSource(settings, say=print, peer_positions=lambda: {KEY: 7})
    other = TopicPartition("logs", 1)
    assert asyncio.run(source.stored([LOGS, other])) == {LOGS: 7, other: None}
    source.ack([Position(*KEY, 9)])
    assert asyncio.run(source.stored([LOGS])) == {LOGS: 9}
