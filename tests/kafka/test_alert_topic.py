"""An alert is a record of its topic, and a broker that went away gets it when it is back."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator

import pytest

from dejalog.daemon.alerts.deliveries import DeliveryError
from dejalog.daemon.alerts.state import WaitingAlert
from dejalog.daemon.alerts.topic import TopicDelivery
from dejalog.daemon.kafka.settings import KafkaSettings

from .broker import Broker
from .endpoint import Endpoint

#: As in test_dead_letter_topic.py.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


def alert(number: int) -> WaitingAlert:
    body = json.dumps({"alert_id": f"id{number}"}).encode()
    created_ns = 1_700_000_000_123 * 10**6
    return WaitingAlert(number, f"id{number}", "dry", "kafka:x", body, created_ns, 0, 0, "")


@pytest.fixture
def open_topic() -> Iterator[list[TopicDelivery]]:
    """Deliveries that are closed afterwards."""
    made: list[TopicDelivery] = []
    yield made
    for each in made:
        each.close()
    gc.collect()


def opened(made: list[TopicDelivery], endpoint: Endpoint, topic: str) -> TopicDelivery:
    settings = KafkaSettings(bootstrap_servers=tuple(endpoint.bootstrap.split(",")))
    made.append(TopicDelivery(topic, settings, timeout_s=10))
    return made[-1]


def test_an_alert_is_a_record_with_its_rule_and_id(
    broker: Endpoint, topic: str, open_topic: list[TopicDelivery]
) -> None:
    broker.create_topic(topic, 2)
    delivery = opened(open_topic, broker, topic)
    delivery.deliver(alert(1))
    delivery.deliver(alert(2))
    records = broker.read(topic)
    assert sorted(json.loads(r.value())["alert_id"] for r in records) == ["id1", "id2"]
    assert {r.key() for r in records} == {b"dry"}
    assert len({r.partition() for r in records}) == 1
    assert records[0].timestamp()[1] == 1_700_000_000_123
    headers = dict(records[0].headers())
    assert headers["X-Dejalog-Alert-Id"] == headers["Idempotency-Key"] == b"id1"


def test_a_broker_that_is_away_takes_the_alert_when_it_is_back(
    own_broker: Broker, topic: str, open_topic: list[TopicDelivery]
) -> None:
    own_broker.create_topic(topic, 1)
    delivery = opened(open_topic, own_broker, topic)
    delivery.deliver(alert(1))
    own_broker.kill()
    with pytest.raises(DeliveryError) as caught:
        delivery.deliver(alert(2))
    assert caught.value.is_down
    own_broker.start()
    delivery.deliver(alert(2))
    found = [json.loads(record.value())["alert_id"] for record in own_broker.read(topic)]
    # The try that failed may have arrived all the same: at least once.
    assert sorted(set(found)) == ["id1", "id2"]
