"""What can be said of the Faust app without a broker; tests/kafka has the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dejalog.daemon.app import _App, _Consumer, _Fetcher
from dejalog.daemon.kafka.settings import KafkaSettings, TopicRule
from dejalog.daemon.kafka.source import KafkaSource


@pytest.fixture
def source() -> KafkaSource:
    settings = KafkaSettings(
        bootstrap_servers=("127.0.0.1:1", "[::1]:2"),
        topics=(TopicRule(name="logs"), TopicRule(pattern="x.*")),
        group="plant",
        session_timeout_s=6,
    )
    return KafkaSource(settings, say=print)


def test_the_app_consumes_as_the_settings_say_and_produces_nothing(
    source: KafkaSource, tmp_path: Path
) -> None:
    async def check() -> None:
        app = _App(source, str(tmp_path / "unused"))
        app.finalize()
        assert app.conf.id == "plant"
        assert [str(url) for url in app.conf.broker] == ["kafka://127.0.0.1:1", "kafka://[::1]:2"]
        assert app.conf.broker_session_timeout == 6
        assert not app.boot_strategy._should_enable_kafka_producer()
        assert not app.boot_strategy._should_enable_web()
        assert isinstance(app.consumer, _Consumer)
        assert isinstance(app._fetcher, _Fetcher)
        # It was made for a thread that does not start.
        app.consumer._thread.thread_loop.close()

    asyncio.run(check())


def test_what_we_override_is_there_in_this_version_of_faust() -> None:
    """An override of a method that was renamed would be called by nobody, in silence."""
    from faust.transport.consumer import Consumer, Fetcher
    from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
    from faust.transport.drivers.aiokafka import Consumer as AiokafkaConsumer

    for name in ("_drain_messages", "on_partitions_revoked", "force_commit", "_wait_next_records"):
        assert name in vars(Consumer), name
    assert "_fetcher" in vars(Fetcher)
    assert {"verify_event_path", "_new_consumer_thread"} <= set(vars(AiokafkaConsumer))
    for name in ("_create_worker_consumer", "subscribe", "_fetch_records"):
        assert hasattr(AIOKafkaConsumerThread, name), name
