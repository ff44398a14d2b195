"""Alerts as records of a Kafka topic: the body as the value, the rule as the key."""

from __future__ import annotations

from threading import Event

from dejalog.daemon.alerts.deliveries import DeliveryError, headers_of
from dejalog.daemon.alerts.state import WaitingAlert
from dejalog.daemon.kafka.broker import explain
from dejalog.daemon.kafka.producing import Arguments, Producing
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import SourceError


class TopicDelivery:
    """One producer, connected with the first alert and again after a failure."""

    def __init__(self, topic: str, settings: KafkaSettings, *, timeout_s: float) -> None:
        self._topic = topic
        self._settings = settings
        self._timeout_s = timeout_s
        self._stop = Event()
        self._producing = Producing(settings, "alerts", adapt=self._adapted, stop=self._stop)

    def deliver(self, alert: WaitingAlert) -> None:
        """Returns once all in-sync replicas have the record; raises DeliveryError."""
        from kafka.errors import KafkaError

        try:
            headers = [(name, text.encode()) for name, text in headers_of(alert).items()]
            future = self._producing.connect().send(
                self._topic,
                value=alert.body,
                key=alert.rule.encode(),
                headers=headers,
                timestamp_ms=alert.created_ns // 1_000_000,
            )
            outcome = self._producing.outcome(future)
            if outcome is not None:
                raise outcome
        except TimeoutError as error:
            raise DeliveryError(str(error), is_down=True) from error
        except SourceError as error:
            self._producing.disconnect()
            raise DeliveryError(str(error), is_down=True) from error
        except KafkaError as error:
            self._producing.disconnect()
            is_down = not isinstance(error, _of_record())
            raise DeliveryError(explain(error, self._settings), is_down=is_down) from error

    def cancel(self) -> None:
        """Ends the wait for the broker."""
        self._stop.set()

    def close(self) -> None:
        """Ends the producer."""
        self._producing.disconnect()

    def _adapted(self, arguments: Arguments) -> Arguments:
        timeout_ms = int(self._timeout_s * 1000)
        return {
            "request_timeout_ms": min(arguments["request_timeout_ms"], timeout_ms),
            "delivery_timeout_ms": timeout_ms,
            "max_block_ms": timeout_ms,
        }


def _of_record() -> tuple[type[BaseException], ...]:
    """What the broker says of one record; it would take another one in its place."""
    from kafka import errors

    return (errors.MessageSizeTooLargeError, errors.InvalidRecordError, errors.CorruptRecordError)
