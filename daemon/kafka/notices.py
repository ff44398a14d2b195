"""What the client libraries log, as notices to a person: each one once in a while, and no more.

aiokafka logs every try to reach a broker that is away, twice a second for hours. A fault that ends
the worker is raised, not logged, and does not come through here.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Loggers of the libraries that talk to the broker, and from which level on they are heard. What
#: mode and Faust warn of is their own housekeeping (a timer that was late).
_LOGGERS = {
    "aiokafka": logging.WARNING,
    "kafka": logging.WARNING,
    "faust": logging.ERROR,
    "mode": logging.ERROR,
}
#: The same notice again after so long.
_QUIET_S = 300.0
#: Kinds of notices remembered; a library has some dozens.
_NOTICES_MAX = 256
_VOLATILE = re.compile(r"\d+|0x[0-9a-f]+|\s+")


class _Notices(logging.Handler):
    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self._clock = clock
        self._said_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Says it, unless it was said lately in the same words but for numbers."""
        lines = record.getMessage().strip().splitlines()
        text = lines[0][:300] if lines else record.msg
        kind = _VOLATILE.sub(" ", f"{record.name} {text}")
        now = self._clock()
        if now - self._said_at.get(kind, -_QUIET_S) < _QUIET_S:
            return
        if len(self._said_at) >= _NOTICES_MAX:
            self._said_at.clear()
        self._said_at[kind] = now
        self._say(f"kafka: {text}")


@contextmanager
def quiet_libraries(
    say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Turns the libraries' warnings into notices while the block runs."""
    handler = _Notices(say, clock)
    loggers = {logging.getLogger(name): level for name, level in _LOGGERS.items()}
    before = [(logger, logger.propagate, logger.level) for logger in loggers]
    for logger, level in loggers.items():
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, propagate, level in before:
            logger.removeHandler(handler)
            logger.propagate = propagate
            logger.setLevel(level)
