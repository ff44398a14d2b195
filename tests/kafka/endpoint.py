"""What tests do to a cluster as its clients, over librdkafka: a second, independent opinion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import uuid4

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

#: No client waits longer than this for anything.
TIMEOUT_S = 30.0

#: A broker that has just started coordinates no group before somebody asks for the first one.
_NO_GROUP_YET = {
    KafkaError.GROUP_ID_NOT_FOUND,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
#: The client's own map is older than a partition that was just made, or that has moved.
_NO_LEADER_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


class Endpoint:
    """A cluster that answers at `bootstrap` (host:port, several with commas between them)."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._kept: AdminClient | None = None

    def create_topic(self, name: str, partitions: int = 1, **config: object) -> str:
        """Makes a topic and returns its name; `cleanup_policy="compact"` sets cleanup.policy."""
        settings = {key: str(value) for key, value in _dotted(config).items()}
        self._admin().create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(
            TIMEOUT_S
        )
        wait_for(lambda: len(self.partitions(name)) == partitions, f"topic {name} is there")
        return name

    def delete_topic(self, name: str) -> None:
        self._admin().delete_topics([name])[name].result(TIMEOUT_S)
        wait_for(lambda: not self.partitions(name), f"topic {name} is gone")

    def add_partitions(self, topic: str, partitions: int) -> None:
        wanted = NewPartitions(topic, partitions)
        self._admin().create_partitions([wanted])[topic].result(TIMEOUT_S)
        wait_for(lambda: len(self.partitions(topic)) == partitions, f"{topic} has grown")

    def configure_topic(self, topic: str, **config: object) -> None:
        entries = [
            ConfigEntry(key, str(value), incremental_operation=AlterConfigOpType.SET)
            for key, value in _dotted(config).items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        self._admin().incremental_alter_configs([resource])[resource].result(TIMEOUT_S)

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions that have a leader; empty where there is no such topic."""
        found = self._admin().list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        if found.error is not None:
            return []
        return sorted(number for number, each in found.partitions.items() if each.leader >= 0)

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int | None = None,
        key: bytes | Callable[[int], bytes] | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int | Callable[[int], int] = 0,
        **config: object,
    ) -> list[tuple[int, int]]:
        """Writes records and returns each one's (partition, offset), in the order given.

        `key` and `timestamp_ms` may be functions of a record's number. `config` are the producer's
        settings: `compression_type="zstd"`.
        """

        def fields() -> Iterator[dict[str, object]]:
            for number, value in enumerate(values):
                yield {
                    "value": value,
                    "key": key(number) if callable(key) else key,
                    "timestamp": timestamp_ms(number) if callable(timestamp_ms) else timestamp_ms,
                    "headers": list(headers),
                }

        return _write(Producer(self._settings(linger_ms=5, **config)), topic, partition, fields())

    def produce_transaction(
        self, topic: str, values: Iterable[bytes], *, commit: bool, partition: int | None = None
    ) -> list[tuple[int, int]]:
        """Writes records in one transaction, which is then committed or aborted."""
        producer = Producer(self._settings(transactional_id=f"tests-{uuid4()}"))
        producer.init_transactions(TIMEOUT_S)
        producer.begin_transaction()
        # All of it is in the log before an abort, which would drop what still waits to be sent.
        placed = _write(producer, topic, partition, ({"value": value} for value in values))
        end = producer.commit_transaction if commit else producer.abort_transaction
        end(TIMEOUT_S)
        return placed

    def read(
        self, topic: str, *, partition: int | None = None, isolation: str = "read_committed"
    ) -> list[Message]:
        """Returns every record that is visible from the beginning to the end as it is now."""
        settings = self._settings(
            group_id=f"tests-{uuid4()}",
            enable_auto_commit=False,
            enable_partition_eof=True,
            fetch_wait_max_ms=50,
            isolation_level=isolation,
            auto_offset_reset="earliest",
        )
        numbers = self.partitions(topic) if partition is None else [partition]
        consumer = Consumer(settings)
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
            return _read_all(consumer, len(numbers))
        finally:
            consumer.close()

    def begin_offsets(self, topic: str) -> dict[int, int]:
        """The first offset of each partition that is still there."""
        return self._offsets(topic, OffsetSpec.earliest())

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset behind each partition's last record, transaction markers counted."""
        return self._offsets(topic, OffsetSpec.latest())

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """What a group has committed, by topic and partition."""
        asked = [ConsumerGroupTopicPartitions(group)]
        try:
            found = self._admin().list_consumer_group_offsets(asked)[group].result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() in _NO_GROUP_YET:
                return {}
            raise
        offsets = {(each.topic, each.partition): each.offset for each in found.topic_partitions}
        return {place: offset for place, offset in offsets.items() if offset >= 0}

    def commit(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Sets what a group without members has committed."""
        wanted = [TopicPartition(topic, *each) for each in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(group, wanted)]
        self._admin().alter_consumer_group_offsets(asked)[group].result(TIMEOUT_S)

    def members(self, group: str) -> list[set[tuple[str, int]]]:
        """Each member's topics and partitions; empty where the group is not stable."""
        try:
            described = self._admin().describe_consumer_groups([group])[group].result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() in _NO_GROUP_YET:
                return []
            raise
        if described.state != ConsumerGroupState.STABLE:
            return []
        return [
            {(place.topic, place.partition) for place in each.assignment.topic_partitions}
            for each in described.members
        ]

    def delete_records(self, topic: str, partition: int, before_offset: int) -> None:
        """Moves the beginning of a partition, as retention does."""
        wanted = TopicPartition(topic, partition, before_offset)
        for future in self._admin().delete_records([wanted]).values():
            future.result(TIMEOUT_S)

    def _offsets(self, topic: str, spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(topic, number): spec for number in self.partitions(topic)}
        give_up_s = time.monotonic() + TIMEOUT_S
        while True:
            found = self._admin().list_offsets(
                wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=TIMEOUT_S
            )
            try:
                return {each.partition: found[each].result(TIMEOUT_S).offset for each in found}
            except KafkaException as error:
                if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > give_up_s:
                    raise
            time.sleep(0.05)

    def _admin(self) -> AdminClient:
        # Kept, since what it was asked for is lost with it, and made late: the broker may be away.
        if self._kept is None:
            self._kept = AdminClient(self._settings(reconnect_backoff_max_ms=500))
        return self._kept

    def _settings(self, **more: object) -> dict[str, object]:
        given = {"bootstrap_servers": self.bootstrap, "socket_timeout_ms": 20_000, **more}
        # A broker that is away is part of many tests, and no news.
        return _dotted(given) | {"log_level": 0}


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Returns once the condition holds; fails with `what` after `timeout_s`."""
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_s, f"waited {timeout_s:.0f} s in vain until {what}"
        time.sleep(0.05)


def _dotted(settings: dict[str, object]) -> dict[str, object]:
    return {key.replace("_", "."): value for key, value in settings.items()}


def _write(
    producer: Producer, topic: str, partition: int | None, records: Iterable[dict[str, object]]
) -> list[tuple[int, int]]:
    reports: list[tuple[int, KafkaError | None, Message]] = []
    where = {} if partition is None else {"partition": partition}
    for number, record in enumerate(records):

        def on_delivery(error: KafkaError | None, message: Message, number: int = number) -> None:
            reports.append((number, error, message))

        while True:
            try:
                producer.produce(topic, on_delivery=on_delivery, **where, **record)
            except BufferError:
                producer.poll(0.1)
                continue
            break
    left = producer.flush(TIMEOUT_S)
    assert not left, f"{left} records for {topic} were not taken in {TIMEOUT_S:.0f} s"
    for _, error, _ in reports:
        if error is not None:
            raise KafkaException(error)
    # Reports of different partitions come in any order.
    reports.sort(key=lambda report: report[0])
    return [(message.partition(), message.offset()) for _, _, message in reports]


def _read_all(consumer: Consumer, partitions: int) -> list[Message]:
    read: list[Message] = []
    give_up_s = time.monotonic() + TIMEOUT_S
    while partitions:
        assert time.monotonic() < give_up_s, f"read {len(read)} records, but no end"
        for message in consumer.consume(1000, timeout=0.2):
            error = message.error()
            if error is None:
                read.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                partitions -= 1
            elif not error.retriable():
                raise KafkaException(error)
    return read
