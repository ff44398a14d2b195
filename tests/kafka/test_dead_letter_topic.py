"""Dead letters reach the topic beside the one they came from, whatever the broker does."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from dejalog.daemon.kafka.dead_letter_topic import PUBLISHED_SOURCE, DeadLetterTopic
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.append import Batch
from dejalog.indexer.event import DeadLetter, Position

from .broker import PASSWORD, USER, Broker
from .endpoint import Endpoint, wait_for

#: kafka-python reads its schemas in a way that Python 3.11 alone advises against.
#: It also leaves sockets to the garbage collector where nobody listens.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

RECEIVED_NS = 1_700_000_000_123_000_000


def letter(topic: str, offset: int, **changes: object) -> DeadLetter:
    fields: dict[str, object] = {
        "reason": "not-utf8",
        "detail": "byte 0 (0xff): invalid start byte",
        "data": b"\xff %d" % offset,
        "received_at_ns": RECEIVED_NS + offset * 10**6,
        "source": f"kafka:{topic}",
        "partition": "0",
        "offset": offset,
        **changes,
    }
    fields.setdefault("size_bytes", len(fields["data"]))
    return DeadLetter(**fields)


class Publisher:
    """An index, and the thread over it, as often as it is started."""

    def __init__(self, maker) -> None:
        self.maker = maker
        self.said: list[str] = []
        self.failures: list[BaseException] = []
        self._thread: DeadLetterTopic | None = None

    def add(self, *letters: DeadLetter) -> None:
        self.maker.appender.append(Batch([], letters, [Position("kafka:t", "0", 1)]))
        if self._thread is not None:
            self._thread.notify()

    def start(self, endpoint: Endpoint, **settings: object) -> None:
        self._thread = DeadLetterTopic(
            KafkaSettings(
                bootstrap_servers=(endpoint.bootstrap,), dead_letter_suffix=".dlq", **settings
            ),
            self.maker.directory,
            self.maker.appender,
            self.failures.append,
            say=self.said.append,
            refused_s=0.5,
        )
        self._thread.start()

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.finish()
            self._thread = None

    def published(self) -> int:
        """How far it says it has come."""
        stored = [p.offset for p in self.maker.appender.positions() if p.source == PUBLISHED_SOURCE]
        return stored[0] if stored else 0

    def wait(self, number: int) -> None:
        wait_for(lambda: self.published() >= number or self.failures, f"{number} are published")
        assert self.failures == []


@pytest.fixture
def publisher(make_index: Callable[..., object]) -> Iterator[Publisher]:
    made = Publisher(make_index())
    yield made
    made.finish()
    gc.collect()


def text(headers: list[tuple[str, bytes]]) -> dict[str, str]:
    return {name: value.decode() for name, value in headers}


def test_a_dead_letter_is_its_record_with_the_headers_of_kafka_connect(
    broker: Endpoint, topic: str, publisher: Publisher
) -> None:
    dead = broker.create_topic(f"{topic}.dlq", 4)
    publisher.add(
        letter(topic, 7, partition="2", key=b"P-101", headers=(("trace", b"\x00\xff"),), sub=3),
        letter("elsewhere.dlq", 1),
        letter(topic, 8, source="file"),
        letter(topic, 9, reason="gap"),
        letter(topic, 10, partition="3", size_bytes=99),
    )
    publisher.start(broker, group="plant-7")
    publisher.wait(5)
    first, second = sorted(broker.read(dead), key=lambda each: each.partition())
    assert (first.partition(), first.key(), first.value()) == (2, b"P-101", b"\xff 7")
    assert first.timestamp()[1] == RECEIVED_NS // 10**6 + 7
    assert first.headers()[0] == ("trace", b"\x00\xff")
    assert text(first.headers()[1:]) == {
        "__connect.errors.topic": topic,
        "__connect.errors.partition": "2",
        "__connect.errors.offset": "7",
        "__connect.errors.connector.name": "plant-7",
        "__connect.errors.stage": "VALUE_CONVERTER",
        "__connect.errors.class.name": "dejalog.indexer.decode.Decoder",
        "__connect.errors.exception.class.name": "dejalog.not-utf8",
        "__connect.errors.exception.message": "byte 0 (0xff): invalid start byte",
        "dejalog.dead_letter": "0",
        "dejalog.sub": "3",
    }
    assert (second.partition(), second.key(), second.value()) == (3, None, b"\xff 10")
    assert text(second.headers())["dejalog.value.cut"] == "99"


def test_a_topic_with_fewer_partitions_keeps_a_keys_letters_together_and_in_order(
    broker: Endpoint, topic: str, publisher: Publisher
) -> None:
    dead = broker.create_topic(f"{topic}.dlq", 2)
    letters = [
        letter(topic, n, partition=str(4 + n % 3), key=b"asset-%d" % (n % 5)) for n in range(600)
    ]
    publisher.start(broker)
    for start in range(0, 600, 40):
        publisher.add(*letters[start : start + 40])
    publisher.wait(600)
    read = broker.read(dead)
    assert len(read) == 600
    for key in {message.key() for message in read}:
        of_key = [message for message in read if message.key() == key]
        assert len({message.partition() for message in of_key}) == 1
        numbers = [int(text(message.headers())["dejalog.dead_letter"]) for message in of_key]
        assert numbers == sorted(numbers)


def test_a_restart_goes_on_behind_what_was_acknowledged(
    broker: Endpoint, topic: str, publisher: Publisher
) -> None:
    dead = broker.create_topic(f"{topic}.dlq")
    publisher.add(letter(topic, 0), letter(topic, 1))
    publisher.start(broker)
    publisher.wait(2)
    publisher.finish()
    publisher.add(letter(topic, 2))
    publisher.start(broker)
    publisher.wait(3)
    assert [message.value() for message in broker.read(dead)] == [b"\xff 0", b"\xff 1", b"\xff 2"]


def test_letters_from_before_the_suffix_was_set_are_published_too(
    broker: Endpoint, topic: str, publisher: Publisher
) -> None:
    dead = broker.create_topic(f"{topic}.dlq")
    publisher.add(*(letter(topic, n) for n in range(1200)))
    publisher.maker.appender.seal()
    publisher.add(letter(topic, 1200))
    publisher.start(broker)
    publisher.wait(1201)
    assert [message.value() for message in broker.read(dead)] == [
        b"\xff %d" % n for n in range(1201)
    ]


def test_a_missing_topic_is_told_once_and_its_letters_wait_for_it(
    broker: Endpoint, topic: str, publisher: Publisher
) -> None:
    publisher.add(letter(topic, 0))
    publisher.start(broker)
    wait_for(lambda: publisher.said, "it is told that the topic is missing")
    publisher.add(letter(topic, 1))
    dead = broker.create_topic(f"{topic}.dlq")
    publisher.wait(2)
    assert len(publisher.said) == 2, publisher.said
    assert f"there is no topic {topic}.dlq" in publisher.said[0]
    assert "dejalog kafka topics create" in publisher.said[0]
    assert publisher.said[1] == "dead letters are published again"
    assert [message.value() for message in broker.read(dead)] == [b"\xff 0", b"\xff 1"]


def test_a_letter_that_the_topic_finds_too_large_is_published_cut_and_holds_up_no_other(
    broker: Endpoint, topic: str, publisher: Publisher
) -> None:
    dead = broker.create_topic(f"{topic}.dlq", max_message_bytes=60_000)
    publisher.add(
        letter(topic, 0),
        letter(topic, 1, data=bytes(range(256)) * 400, headers=(("h", b"1"),)),
        letter(topic, 2, headers=(("h", b"2"),)),
    )
    publisher.start(broker)
    publisher.wait(3)
    read = {text(m.headers())["dejalog.dead_letter"]: m for m in broker.read(dead)}
    assert sorted(read) == ["0", "1", "2"]
    assert read["1"].value() == bytes(range(256)) * 64
    assert text(read["1"].headers())["dejalog.value.cut"] == "102400"
    assert text(read["2"].headers())["h"] == "2"
    assert publisher.said == []


def test_a_broker_that_is_away_holds_letters_up_and_loses_none(
    own_broker: Broker, topic: str, publisher: Publisher
) -> None:
    dead = own_broker.create_topic(f"{topic}.dlq")
    publisher.start(own_broker, request_timeout_s=2.0, session_timeout_s=2.0)
    publisher.add(letter(topic, 0))
    publisher.wait(1)
    own_broker.kill()
    for offset in range(1, 4):
        publisher.add(letter(topic, offset))
    wait_for(lambda: publisher.said, "it is told that the broker is away")
    assert publisher.published() == 1
    own_broker.start()
    publisher.wait(4)
    values = [message.value() for message in own_broker.read(dead)]
    assert sorted(set(values)) == [b"\xff %d" % n for n in range(4)]
    assert publisher.said[-1] == "dead letters are published again"


def test_a_refused_user_is_told_once_and_ingest_goes_on(
    secure_broker: Broker, topic: str, publisher: Publisher
) -> None:
    publisher.add(letter(topic, 0))
    user = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": USER, "sasl_password": "wrong"}
    publisher.start(Endpoint(secure_broker.listener("SASL")), **user)
    wait_for(lambda: publisher.said, "it is told that the user is refused")
    publisher.add(letter(topic, 1))
    publisher.finish()
    assert "refused the user 'gateway'" in publisher.said[0]
    assert len(publisher.said) == 1
    assert publisher.failures == []
    secure_broker.create_topic(f"{topic}.dlq")
    publisher.start(Endpoint(secure_broker.listener("SASL")), **{**user, "sasl_password": PASSWORD})
    publisher.wait(2)
    assert len(secure_broker.read(f"{topic}.dlq")) == 2


def test_a_broker_that_is_absent_at_start_does_not_hold_up_the_end(
    publisher: Publisher, topic: str
) -> None:
    publisher.add(letter(topic, 0))
    publisher.start(Endpoint("127.0.0.1:1"))
    wait_for(lambda: publisher.said, "it is told that no broker is there")
    publisher.finish()
    assert "no broker can be reached at 127.0.0.1:1" in publisher.said[0]
    assert len(publisher.said) == 1
    assert publisher.failures == []
    assert publisher.published() == 0
