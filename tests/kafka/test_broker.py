"""The brokers that the other tests use are what they say: one real, one whose faults are made."""

from __future__ import annotations

from contextlib import suppress

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from .broker import PASSWORD, USER, Broker
from .endpoint import Endpoint, wait_for
from .mock import Api, Fault, MockCluster


def values(messages: list[object]) -> list[bytes]:
    return [message.value() for message in messages]


def test_what_is_produced_is_read_back_in_order(broker: Endpoint, topic: str) -> None:
    broker.create_topic(topic, partitions=2)
    sent = [f"line {number}".encode() for number in range(500)]
    placed = broker.produce(topic, sent, key=lambda number: b"%d" % number, timestamp_ms=1_000)
    read = {(each.partition(), each.offset()): each for each in broker.read(topic)}
    assert [read[place].value() for place in placed] == sent
    assert [read[place].key() for place in placed] == [b"%d" % n for n in range(500)]
    assert {partition for partition, _ in placed} == {0, 1}
    assert all(each.timestamp()[1] == 1_000 for each in read.values())


def test_headers_and_empty_values_are_kept(broker: Endpoint, topic: str) -> None:
    broker.create_topic(topic)
    broker.produce(topic, [None, b""], key=b"k", headers=[("site", b"plant-7")])
    first, second = broker.read(topic)
    assert first.value() is None
    assert second.value() == b""
    assert first.headers() == [("site", b"plant-7")]


def test_an_aborted_transaction_is_in_the_log_but_not_visible(broker: Endpoint, topic: str) -> None:
    broker.create_topic(topic)
    broker.produce_transaction(topic, [b"no", b"neither"], commit=False)
    broker.produce_transaction(topic, [b"yes"], commit=True)
    assert values(broker.read(topic)) == [b"yes"]
    assert values(broker.read(topic, isolation="read_uncommitted")) == [b"no", b"neither", b"yes"]
    # Three records, and a marker behind each transaction.
    assert broker.end_offsets(topic) == {0: 5}


def test_deleted_records_move_the_beginning(broker: Endpoint, topic: str) -> None:
    broker.create_topic(topic)
    broker.produce(topic, [b"a", b"b", b"c"])
    broker.delete_records(topic, 0, 2)
    assert broker.begin_offsets(topic) == {0: 2}
    assert values(broker.read(topic)) == [b"c"]


def test_a_compacted_topic_keeps_the_last_record_of_a_key(broker: Endpoint, topic: str) -> None:
    broker.create_topic(topic, **compacted_soon())
    broker.produce(topic, [b"1", b"2", b"3"], key=b"pump", timestamp_ms=1_000)
    # The active segment is not compacted; a record with a later time begins another.
    broker.produce(topic, [b"end"], key=b"end", timestamp_ms=900_000)
    wait_for(lambda: values(broker.read(topic)) == [b"3", b"end"], "the topic is compacted")
    assert broker.end_offsets(topic) == {0: 4}


def compacted_soon() -> dict[str, object]:
    return {
        "cleanup_policy": "compact",
        "segment_ms": 1000,
        "min_cleanable_dirty_ratio": 0.001,
    }


def test_a_topic_can_be_deleted_and_made_anew(broker: Endpoint, topic: str) -> None:
    broker.create_topic(topic)
    broker.produce(topic, [b"old"] * 3)
    broker.delete_topic(topic)
    broker.create_topic(topic)
    assert broker.end_offsets(topic) == {0: 0}


def test_what_a_group_committed_can_be_set_and_read(broker: Endpoint, topic: str) -> None:
    broker.create_topic(topic, partitions=2)
    assert broker.committed(topic) == {}
    broker.commit(topic, topic, {0: 3})
    assert broker.committed(topic) == {(topic, 0): 3}
    assert broker.members(topic) == []


def test_a_killed_broker_has_its_records_when_it_is_back(own_broker: Broker, topic: str) -> None:
    own_broker.create_topic(topic)
    own_broker.produce(topic, [b"before"])
    own_broker.kill()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": own_broker.bootstrap, "log_level": 0}).list_topics(
            timeout=0.5
        )
    own_broker.restart()
    own_broker.stop()
    own_broker.restart()
    assert values(own_broker.read(topic)) == [b"before"]


@pytest.mark.parametrize("listener", ["SASL", "SASLTLS"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_listener_with_sasl_asks_for_the_password(
    secure_broker: Broker, listener: str, mechanism: str
) -> None:
    settings = {"sasl.mechanism": mechanism, "sasl.username": USER}
    settings |= authority(secure_broker)
    settings["security.protocol"] = "SASL_SSL" if listener == "SASLTLS" else "SASL_PLAINTEXT"
    assert refusal(secure_broker, listener, {**settings, "sasl.password": PASSWORD}) is None
    wrong = {**settings, "sasl.password": "wrong"}
    assert refusal(secure_broker, listener, wrong) == KafkaError._AUTHENTICATION


def test_a_listener_with_tls_has_a_certificate_and_may_ask_for_one(secure_broker: Broker) -> None:
    files = secure_broker.certificates
    assert files is not None
    settings = {"security.protocol": "SSL", **authority(secure_broker)}
    assert refusal(secure_broker, "TLS", settings) is None
    unknown = {**settings, "ssl.ca.location": str(files.other_authority)}
    assert refusal(secure_broker, "TLS", unknown) == KafkaError._SSL
    # In TLS 1.3 a client learns of its missing certificate after it has connected.
    without = refusal(secure_broker, "MUTUAL", settings)
    assert without in (KafkaError._SSL, KafkaError._TRANSPORT)
    pair = {
        "ssl.certificate.location": str(files.client),
        "ssl.key.location": str(files.client_key),
    }
    assert refusal(secure_broker, "MUTUAL", {**settings, **pair}) is None


def authority(broker: Broker) -> dict[str, str]:
    assert broker.certificates is not None
    return {"ssl.ca.location": str(broker.certificates.authority)}


def refusal(broker: Broker, listener: str, settings: dict[str, str]) -> int | None:
    """The first error that a client meets; None if it is answered."""
    errors: list[KafkaError] = []
    address = {"bootstrap.servers": broker.listener(listener), "log_level": 0}
    client = AdminClient({**address, **settings, "error_cb": errors.append})

    def is_decided() -> bool:
        client.poll(0)
        with suppress(KafkaException):
            return bool(errors or client.list_topics(timeout=0.2).brokers)
        return False

    wait_for(is_decided, "the client is answered or refused")
    return errors[0].code() if errors else None


def test_the_mock_fails_as_often_as_it_is_told(mock_cluster: MockCluster, topic: str) -> None:
    mock_cluster.create_topic(topic, partitions=2)
    mock_cluster.produce(topic, [b"a", b"b"], partition=0)
    before = mock_cluster.requests(Api.FETCH)
    mock_cluster.push_errors(Api.FETCH, *[Fault.NOT_LEADER_FOR_PARTITION] * 3)
    assert values(mock_cluster.read(topic, partition=0)) == [b"a", b"b"]
    assert mock_cluster.requests(Api.FETCH) >= before + 4


def test_a_mock_broker_that_is_down_takes_nothing_until_another_leads(
    mock_cluster: MockCluster, topic: str
) -> None:
    mock_cluster.create_topic(topic)
    mock_cluster.set_leader(topic, 0, 1)
    mock_cluster.set_down(1)
    with pytest.raises(KafkaException):
        mock_cluster.produce(topic, [b"a"], message_timeout_ms=500)
    mock_cluster.set_leader(topic, 0, 2)
    assert mock_cluster.produce(topic, [b"a"]) == [(0, 0)]
