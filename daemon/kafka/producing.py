"""A producer whose records are waited for: who sends them keeps them until they are acknowledged.

kafka-python is imported where the first record is sent, so that nobody else waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any, Final

from dejalog.daemon.kafka.broker import connect, tool_arguments
from dejalog.daemon.kafka.settings import KafkaSettings

#: How soon a stop is heard while the broker is waited for.
_TICK_S: Final = 0.2
#: What is in flight at a stop is given so long; who sent it has it still.
_CLOSE_S: Final = 1.0

Arguments = dict[str, Any]


class Producing:
    """One producer, connected with the first record and again after `disconnect`.

    `name` is a part of its client id; `adapt` returns what it is made with besides, given what
    every tool is made with. `stop` ends the waiting.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        name: str,
        *,
        adapt: Callable[[Arguments], Arguments],
        stop: Event,
    ) -> None:
        self._settings = settings
        self._name = name
        self._adapt = adapt
        self._stop = stop
        self._producer: Any = None

    def connect(self) -> Any:
        """Returns kafka-python's producer; raises SourceError where no broker is reached."""
        if self._producer is None:
            from kafka import KafkaProducer

            arguments = tool_arguments(self._settings, self._name)
            # Within a connection no attempt is stored twice.
            arguments |= {"acks": "all", "enable_idempotence": True, **self._adapt(arguments)}
            self._producer = connect(self._settings, KafkaProducer, arguments)
        return self._producer

    def outcome(self, future: Any) -> BaseException | None:
        """Waits for an acknowledgement; returns what the broker said instead, or TimeoutError."""
        while not future.is_done:
            if self._stop.is_set():
                return TimeoutError("the daemon stops")
            try:
                future.get(timeout=_TICK_S)
            except Exception:
                continue  # The future keeps it.
        failure: BaseException | None = future.exception  # None once it is acknowledged
        return failure

    def disconnect(self) -> None:
        """Ends the producer; what is in flight may or may not be there."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        from kafka.errors import KafkaError

        try:
            producer.close(timeout=_CLOSE_S)
        except KafkaError:
            # What is in flight holds it up.
            producer._sender.force_close()
            producer._sender.join(_CLOSE_S)
