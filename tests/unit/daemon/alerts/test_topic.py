"""Against a producer of the same shape; tests/kafka has real protocol."""

from __future__ import annotations

from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from kafka.future import Future

from dejalog.daemon.alerts.deliveries import DeliveryError
from dejalog.daemon.alerts.state import WaitingAlert
from dejalog.daemon.alerts.topic import TopicDelivery
from dejalog.daemon.kafka import producing as producing_module
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import SourceError

SETTINGS = KafkaSettings(bootstrap_servers=("127.0.0.1:9",))
ALERT = WaitingAlert(1, "id1", "dry", "kafka:alerts", b"{}", 5_000_000, 0, 0, "")


class Producer:
    def __init__(self, outcome: object) -> None:
        self.outcome = outcome
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.is_closed = False

    def send(self, topic: str, **record: Any) -> Any:
        self.sent.append((topic, record))
        future = Future()
        if isinstance(self.outcome, BaseException):
            future.failure(self.outcome)
        elif self.outcome is not None:
            future.success(self.outcome)
        return future

    def close(self, timeout: float) -> None:
        self.is_closed = True


def delivery(monkeypatch: pytest.MonkeyPatch, *producers: Producer) -> TopicDelivery:
    waiting = list(producers)
    monkeypatch.setattr(producing_module, "connect", lambda *_: waiting.pop(0))
    return TopicDelivery("alerts", SETTINGS, timeout_s=5)


def test_the_rule_is_the_key_and_the_id_is_in_the_headers(monkeypatch) -> None:
    producer = Producer("stored")
    opened = delivery(monkeypatch, producer)
    opened.deliver(ALERT)
    opened.deliver(ALERT)
    topic, record = producer.sent[0]
    assert (topic, record["key"], record["value"]) == ("alerts", b"dry", b"{}")
    assert record["timestamp_ms"] == 5
    assert ("X-Dejalog-Alert-Id", b"id1") in record["headers"]
    assert len(producer.sent) == 2, "one producer serves all"
    opened.close()
    assert producer.is_closed


@pytest.mark.parametrize(
    ("error", "is_down"), [(KafkaTimeoutError("late"), True), (MessageSizeTooLargeError(), False)]
)
def test_what_the_broker_says_of_one_record_is_no_fault_of_the_target(
    monkeypatch, error, is_down
) -> None:
    broken, good = Producer(error), Producer("stored")
    opened = delivery(monkeypatch, broken, good)
    with pytest.raises(DeliveryError) as caught:
        opened.deliver(ALERT)
    assert caught.value.is_down is is_down
    assert broken.is_closed
    opened.deliver(ALERT)
    assert good.sent


def test_a_broker_that_cannot_be_reached_is_down(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise SourceError("no broker can be reached at 127.0.0.1:9")

    monkeypatch.setattr(producing_module, "connect", refuse)
    with pytest.raises(DeliveryError, match="no broker") as caught:
        TopicDelivery("alerts", SETTINGS, timeout_s=5).deliver(ALERT)
    assert caught.value.is_down


def test_a_stop_ends_the_wait_for_the_broker(monkeypatch) -> None:
    opened = delivery(monkeypatch, Producer(None))
    opened.cancel()
    with pytest.raises(DeliveryError, match="stops"):
        opened.deliver(ALERT)
