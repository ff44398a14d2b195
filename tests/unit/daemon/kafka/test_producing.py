"""Against nobody and kafka-python's own futures; tests/kafka has a real broker."""

from __future__ import annotations

import threading
from threading import Event
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from kafka.future import Future

from dejalog.daemon.kafka import producing as producing_module
from dejalog.daemon.kafka.producing import Arguments, Producing
from dejalog.daemon.kafka.settings import KafkaSettings

SETTINGS = KafkaSettings(bootstrap_servers=("127.0.0.1:9",))


class Producer:
    """Stands in for kafka-python's; `is_stuck` where something in flight holds its end up."""

    def __init__(self, *, is_stuck: bool = False) -> None:
        self.is_stuck = is_stuck
        self.ends: list[str] = []
        self._sender = self

    def close(self, timeout: float) -> None:
        self.ends.append("close")
        if self.is_stuck:
            raise KafkaTimeoutError("something is in flight")

    def force_close(self) -> None:
        self.ends.append("force")

    def join(self, timeout: float) -> None:
        self.ends.append("join")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Arguments]:
    """What producers were made with."""
    made: list[Arguments] = []

    def connect(settings: KafkaSettings, kind: Any, arguments: Arguments) -> Producer:
        made.append(arguments)
        return Producer(is_stuck=len(made) == 2)

    monkeypatch.setattr(producing_module, "connect", connect)
    return made


def producing(stop: Event | None = None) -> Producing:
    def adapt(arguments: Arguments) -> Arguments:
        return {"max_block_ms": arguments["request_timeout_ms"] + 1}

    return Producing(SETTINGS, "alerts", adapt=adapt, stop=stop or Event())


def test_a_producer_is_made_once_and_again_after_it_was_ended(made: list[Arguments]) -> None:
    here = producing()
    here.disconnect()  # There is none yet.
    first = here.connect()
    assert here.connect() is first
    assert (made[0]["acks"], made[0]["enable_idempotence"]) == ("all", True)
    assert made[0]["max_block_ms"] == made[0]["request_timeout_ms"] + 1
    assert "alerts" in made[0]["client_id"]
    here.disconnect()
    assert first.ends == ["close"]
    stuck = here.connect()
    assert stuck is not first
    here.disconnect()
    assert stuck.ends == ["close", "force", "join"]


def test_an_outcome_is_what_the_broker_said(made: list[Arguments]) -> None:
    refusal = MessageSizeTooLargeError("1 MiB")
    assert producing().outcome(Future().success(1)) is None
    assert producing().outcome(Future().failure(refusal)) is refusal


def test_a_stop_ends_the_wait_for_a_broker_that_says_nothing(made: list[Arguments]) -> None:
    stop, outcomes = Event(), []
    here = producing(stop)
    thread = threading.Thread(target=lambda: outcomes.append(here.outcome(Future())))
    thread.start()
    stop.set()
    thread.join(30)
    (outcome,) = outcomes
    assert isinstance(outcome, TimeoutError)
