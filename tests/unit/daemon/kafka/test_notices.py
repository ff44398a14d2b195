from __future__ import annotations

import logging

from dejalog.daemon.kafka.notices import quiet_libraries


def test_a_warning_is_said_once_until_some_time_has_passed() -> None:
    said: list[str] = []
    now = [0.0]
    with quiet_libraries(said.append, lambda: now[0]):
        for port in (1, 2, 3):
            logging.getLogger("aiokafka.conn").warning("cannot reach broker %d\nmore", port)
        now[0] = 301.0
        logging.getLogger("aiokafka.conn").warning("cannot reach broker %d", 4)
    assert said == ["kafka: cannot reach broker 1", "kafka: cannot reach broker 4"]


def test_housekeeping_is_not_said_and_loggers_are_as_before_afterwards() -> None:
    said: list[str] = []
    logger = logging.getLogger("mode")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with quiet_libraries(said.append):
        logging.getLogger("mode.timers").warning("a timer is late")
        logging.getLogger("aiokafka").info("joined the group")
    assert said == []
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
