"""Send the records of files to a topic: for demonstrations, for load and to fill in the past.

1. Records come from the same sources as for `dejalog index`: what is one event there (a line with
   the stack trace beneath it) is one Kafka record here.
2. Each is given a partition, in turn or by its key, and its time to go, if there is a rate.
3. It is handed to the producer, which batches. What is not acknowledged yet is bounded by `Window`,
   since kafka-python's producer keeps no bound of its own.
4. The first delivery that fails ends it, after those before it were counted.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.kafka.broker import (
    ANSWER_S,
    connect,
    one_line_errors,
    tool_arguments,
)
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.kafka.topics import BATCH_BYTES, named_topics, topic_settings
from dejalog.daemon.sources.source import Progress, Source
from dejalog.indexer.errors import SourceError
from dejalog.indexer.event import Record

#: kafka-python sends 52,000 records of 100 bytes a second with its default of 16 KiB, 58,000 with
#: this and 69,000 with 256 KiB (2 cores, broker beside it): enough, in little memory.
_BATCH_BYTES = 64 << 10
#: What a record may wait for others. At 1,000 records/s a batch is then a few records, and a
#: record is with the broker long before anybody could search for it.
_LINGER_MS = 5
#: How long records are tried again while the broker is away: a restart takes seconds.
_DELIVERY_S = 45.0

#: What may be on its way, in records (a future of kafka-python takes about 1 KiB) and in bytes.
_WINDOW_RECORDS = 20_000
_WINDOW_BYTES = 16 << 20

#: How much of the schedule may be made up for at once after a pause.
BURST_S = 0.05
#: Sleeps shorter than this cost more than they order: the record goes a little early.
_SLEEP_MIN_S = 0.001
#: A sleep is interrupted this often, to look whether the end was asked for.
_TICK_S = 0.1
#: Between two updates of what is shown.
_SHOW_S = 0.1

#: Kafka's default of max.message.bytes, where the topic's own may not be read.
_MESSAGE_BYTES_MAX = (1 << 20) + 12

_POLL_RECORDS, _POLL_BYTES, _POLL_S = 1000, 1 << 20, 0.1


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to send where: a rate of 0 is as fast as it goes, a limit of 0 is everything.

    `key` is given to all records; with `is_keyed_by_file`, each gets its file's name instead.
    """

    topic: str
    rate: float = 0.0
    limit: int = 0
    key: str = ""
    is_keyed_by_file: bool = False
    compression: str = "none"


@dataclass(frozen=True, slots=True)
class Sent:
    """What has been done so far; `records` and `size_bytes` are acknowledged by the broker.

    `refused` counts records that are larger than the topic takes, or that a damaged file broke off.
    """

    records: int = 0
    size_bytes: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """The topic that is written to: its partitions, and what it takes as one batch."""

    partitions: tuple[int, ...]
    message_bytes_max: int


def find_target(admin: Any, settings: KafkaSettings, topic: str) -> Target:
    """Looks a topic up; raises SourceError where it is not there. `admin` is an open client."""
    partitions = [
        each["partition_index"]
        for found in admin.describe_topics([topic])
        for each in found["partitions"]
    ]
    if not partitions:
        at = ", ".join(settings.bootstrap_servers)
        name = "" if topic in named_topics(settings) else "name it in kafka.topics and "
        raise SourceError(
            f"the broker at {at} has no topic {visible_line(topic)}; "
            f"{name}run 'dejalog kafka topics create'"
        )
    largest = topic_settings(admin, [topic]).get(topic, {}).get("max.message.bytes")
    return Target(tuple(sorted(partitions)), int(largest or _MESSAGE_BYTES_MAX))


class Pacer:
    """Spreads records evenly over time: the generic cell rate algorithm (ITU-T I.371, annex A).

    Each record is due `1 / rate` after the one before it. Who is late makes up for at most
    `burst_s` of the schedule, so that a pause is not followed by a flood.
    """

    def __init__(self, rate: float, *, start_s: float, burst_s: float = BURST_S) -> None:
        self._interval_s = 1 / rate if rate else 0.0
        self._burst_s = burst_s
        self._due_s = start_s

    def wait_s(self, now_s: float) -> float:
        """Takes one record's turn; returns how long to wait before it goes."""
        if not self._interval_s:
            return 0.0
        due_s = max(self._due_s, now_s - self._burst_s)
        self._due_s = due_s + self._interval_s
        return max(0.0, due_s - now_s)


def choose_partition(number: int, key: bytes | None, partitions: Sequence[int]) -> int:
    """Returns the partition of the record of this number: by its key, or else in turn.

    A key's partition is the one that Kafka's own clients choose (murmur2, as in Utils.java).
    """
    if key is None:
        return partitions[number % len(partitions)]
    return partitions[_hash(key) % len(partitions)]


@lru_cache(maxsize=4096)
def _hash(key: bytes) -> int:
    from kafka.partitioner.default import murmur2

    return int(murmur2(key)) & 0x7FFFFFFF


class Window:
    """What is sent and not acknowledged yet, oldest first, and what came of the rest."""

    def __init__(
        self, *, records_max: int = _WINDOW_RECORDS, bytes_max: int = _WINDOW_BYTES
    ) -> None:
        self._records_max, self._bytes_max = records_max, bytes_max
        self._waiting: deque[tuple[Any, int]] = deque()
        self._waiting_bytes = 0
        self.records = 0
        self.size_bytes = 0
        self.failure: BaseException | None = None

    def add(self, future: Any, size_bytes: int) -> None:
        """Takes in what the producer returned for a record."""
        self._waiting.append((future, size_bytes))
        self._waiting_bytes += size_bytes

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be sent for now."""
        return len(self._waiting) >= self._records_max or self._waiting_bytes >= self._bytes_max

    def settle(self) -> None:
        """Counts what has been answered; later records wait behind one that has not."""
        while self._waiting and self._waiting[0][0].is_done:
            future, size_bytes = self._waiting.popleft()
            self._waiting_bytes -= size_bytes
            if future.succeeded():
                self.records += 1
                self.size_bytes += size_bytes
            elif self.failure is None:
                self.failure = future.exception


class Replay:
    """Sends what a source yields, once. `stop` may be called from a signal handler."""

    def __init__(
        self,
        source: Source,
        settings: KafkaSettings,
        options: ReplayOptions,
        *,
        message_bytes_max: int,
        on_progress: Callable[[Sent, Progress], None] = lambda _sent, _progress: None,
    ) -> None:
        self._source = source
        self._settings, self._options = settings, options
        self._record_bytes_max = message_bytes_max - BATCH_BYTES
        self._on_progress = on_progress
        self._window = Window()
        self._number = self._refused = 0
        self._shown_s = 0.0
        #: From the first record to the last answer, once it has run.
        self.elapsed_s = 0.0
        self._is_stopping = False

    @property
    def is_whole(self) -> bool:
        """Whether everything was sent that was asked for, up to now."""
        return self._is_enough or self._source.is_exhausted

    @property
    def sent(self) -> Sent:
        """What has been acknowledged so far."""
        return Sent(self._window.records, self._window.size_bytes, self._refused)

    def stop(self) -> None:
        """Sends nothing more; what is on its way is waited for."""
        self._is_stopping = True

    def run(self, partitions: Sequence[int]) -> Sent:
        """Sends everything and returns what was acknowledged; raises SourceError."""
        producer = self._open_producer()
        with one_line_errors(self._settings, self._so_far):
            try:
                began_s = time.monotonic()
                self._send_all(producer, sorted(partitions))
                self._drain(producer)
                self.elapsed_s = time.monotonic() - began_s
            finally:
                _close(producer)
            if self._window.failure is not None:
                raise self._window.failure
        return self.sent

    def _open_producer(self) -> Any:
        from kafka import KafkaProducer

        options = self._options
        arguments = tool_arguments(self._settings, "replay")
        return connect(
            self._settings,
            KafkaProducer,
            {
                **arguments,
                "acks": "all",
                "batch_size": _BATCH_BYTES,
                "linger_ms": _LINGER_MS,
                "compression_type": None if options.compression == "none" else options.compression,
                "delivery_timeout_ms": int(_DELIVERY_S * 1000),
                "max_block_ms": int(_DELIVERY_S * 1000),
                "max_request_size": max(1 << 20, self._record_bytes_max + 2 * BATCH_BYTES),
                "allow_auto_create_topics": False,
                # Counting each send costs a tenth of the speed, and nobody reads the counts.
                "metrics_enabled": False,
            },
        )

    def _send_all(self, producer: Any, partitions: Sequence[int]) -> None:
        pacer = Pacer(self._options.rate, start_s=time.monotonic())
        while not self._is_over():
            records = self._source.poll(
                records_max=_POLL_RECORDS, bytes_max=_POLL_BYTES, timeout_s=_POLL_S
            )
            for record in records:
                key = self._key(record)
                if record.fault or len(record.data) + len(key or b"") > self._record_bytes_max:
                    # One that is cut would be indexed as if it were whole.
                    self._refused += 1
                    continue
                self._sleep(pacer.wait_s(time.monotonic()))
                if self._is_over():
                    break
                self._send(producer, record, key, partitions)
            self._settle()
            if not records and self._source.is_exhausted:
                return

    def _is_over(self) -> bool:
        return self._is_enough or self._is_stopping or self._window.failure is not None

    @property
    def _is_enough(self) -> bool:
        return bool(self._options.limit) and self._number >= self._options.limit

    def _send(
        self, producer: Any, record: Record, key: bytes | None, partitions: Sequence[int]
    ) -> None:
        from kafka.errors import KafkaError, UnknownTopicOrPartitionError

        partition = choose_partition(self._number, key, partitions)
        try:
            future = producer.send(
                self._options.topic, value=record.data, key=key, partition=partition
            )
        except KafkaError as error:
            self._window.failure = error
            return
        except ValueError:
            # How kafka-python says that the topic has lost the partition, or is gone.
            self._window.failure = UnknownTopicOrPartitionError("the topic was deleted meanwhile")
            return
        self._number += 1
        self._window.add(future, len(record.data))
        while self._window.is_full and self._window.failure is None:
            self._settle()
            time.sleep(_SLEEP_MIN_S)

    def _key(self, record: Record) -> bytes | None:
        if self._options.is_keyed_by_file:
            name = dict(record.labels).get("file", "") or record.partition
            return os.fsencode(name)
        return os.fsencode(self._options.key) if self._options.key else None

    def _sleep(self, wait_s: float) -> None:
        if wait_s < _SLEEP_MIN_S:
            return
        until_s = time.monotonic() + wait_s
        while not self._is_stopping and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _TICK_S))
            self._settle()

    def _settle(self) -> None:
        self._window.settle()
        now_s = time.monotonic()
        if now_s - self._shown_s >= _SHOW_S:
            self._shown_s = now_s
            self._on_progress(self.sent, self._source.progress())

    def _drain(self, producer: Any) -> None:
        """Waits until everything is answered, which the delivery timeout bounds."""
        from kafka.errors import KafkaError

        try:
            producer.flush(timeout=1.0 if self._window.failure else _DELIVERY_S + ANSWER_S)
        except KafkaError as error:
            self._window.failure = self._window.failure or error
        self._window.settle()
        self._on_progress(self.sent, self._source.progress())

    def _so_far(self) -> str:
        done = f"{grouped(self._window.records)} records were acknowledged before it"
        return f"topic {self._options.topic}: sending failed, {done}: "


def _close(producer: Any) -> None:
    """Ends the producer's thread, also where records are left that cannot be sent."""
    from kafka.errors import KafkaError

    try:
        producer.close(timeout=1)
    except KafkaError:
        # It stays open where its flush fails: what is left was counted as not sent.
        producer._sender.force_close()
        producer._sender.join(1)
        producer.close(timeout=1)
