"""Alerts as records of a Kafka topic: the body as the value, the rule as the key."""

from __future__ import annotations

from threading import Event
from typing import Any, Final

from dejalog.daemon.alerts.deliveries import DeliveryError, headers_of
from dejalog.daemon.alerts.state import WaitingAlert
from dejalog.daemon.kafka.broker import connect, explain, tool_arguments
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import SourceError

#: How soon a stop is heard while the broker is waited for.
_TICK_S: Final = 0.2
#: What is in flight at a stop is given so long; it is sent again by the next run otherwise.
_CLOSE_S: Final = 1.0


class TopicDelivery:
    """One producer, connected with the first alert and again after a failure."""

    def __init__(self, topic: str, settings: KafkaSettings, *, timeout_s: float) -> None:
        self._topic = topic
        self._settings = settings
        self._timeout_s = timeout_s
        self._producer: Any = None
        self._stop = Event()

    def deliver(self, alert: WaitingAlert) -> None:
        """Returns once all in-sync replicas have the record; raises DeliveryError."""
        from kafka.errors import KafkaError

        try:
            self._connect()
            headers = [(name, text.encode()) for name, text in headers_of(alert).items()]
            future = self._producer.send(
                self._topic,
                value=alert.body,
                key=alert.rule.encode(),
                headers=headers,
                timestamp_ms=alert.created_ns // 1_000_000,
            )
            self._wait(future)
        except SourceError as error:
            self._disconnect()
            raise DeliveryError(str(error), is_down=True) from error
        except KafkaError as error:
            self._disconnect()
            is_down = not isinstance(error, _of_record())
            raise DeliveryError(explain(error, self._settings), is_down=is_down) from error

    def cancel(self) -> None:
        """Ends the wait for the broker."""
        self._stop.set()

    def close(self) -> None:
        """Ends the producer."""
        self._disconnect()

    def _wait(self, future: Any) -> None:
        while not future.is_done:
            if self._stop.is_set():
                raise DeliveryError("the daemon stops", is_down=True)
            try:
                future.get(timeout=_TICK_S)
            except Exception:
                continue  # The future keeps it.
        if future.exception is not None:
            raise future.exception

    def _connect(self) -> None:
        if self._producer is not None:
            return
        from kafka import KafkaProducer

        arguments = tool_arguments(self._settings, "alerts")
        timeout_ms = int(self._timeout_s * 1000)
        arguments |= {
            "request_timeout_ms": min(arguments["request_timeout_ms"], timeout_ms),
            "delivery_timeout_ms": timeout_ms,
            "max_block_ms": timeout_ms,
            "acks": "all",
            # Within a connection no attempt is stored twice; the id is for attempts beyond it.
            "enable_idempotence": True,
        }
        self._producer = connect(self._settings, KafkaProducer, arguments)

    def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        from kafka.errors import KafkaError

        try:
            producer.close(timeout=_CLOSE_S)
        except KafkaError:
            # What is in flight holds it up; it still waits in the state, and is sent again.
            producer._sender.force_close()
            producer._sender.join(_CLOSE_S)


def _of_record() -> tuple[type[BaseException], ...]:
    """What the broker says of one record; it would take another one in its place."""
    from kafka import errors

    return (errors.MessageSizeTooLargeError, errors.InvalidRecordError, errors.CorruptRecordError)
