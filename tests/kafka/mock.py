"""The mock cluster as tests use it; mock_cluster.py is the program behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from enum import IntEnum
from pathlib import Path

from .broker import with_us
from .endpoint import Endpoint

_PROGRAM = Path(__file__).with_name("mock_cluster.py")
_STOP_S = 10.0


class Api(IntEnum):
    """Requests by their number in Kafka's protocol."""

    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14


class Fault(IntEnum):
    """Errors by their number in Kafka's protocol, which is also librdkafka's."""

    CONNECTION_LOST = -195  # librdkafka's own: the broker closes the connection.
    UNKNOWN_SERVER_ERROR = -1
    NOT_LEADER_FOR_PARTITION = 6
    COORDINATOR_LOAD_IN_PROGRESS = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    ILLEGAL_GENERATION = 22
    UNKNOWN_MEMBER_ID = 25
    REBALANCE_IN_PROGRESS = 27
    TOPIC_AUTHORIZATION_FAILED = 29
    GROUP_AUTHORIZATION_FAILED = 30


class MockError(Exception):
    """The mock cluster did not do what it was asked for."""


class MockCluster(Endpoint):
    """A cluster of fake brokers, numbered from 1, whose faults are commanded."""

    def __init__(self, brokers: int = 3) -> None:
        self._process = subprocess.Popen(
            [*with_us(), sys.executable, str(_PROGRAM), str(brokers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        super().__init__(self._answer())

    def create_topic(self, name: str, partitions: int = 1, **config: object) -> str:
        """Makes a topic with a copy on each broker; it has no settings."""
        assert not config
        self._ask("topic_create", name, partitions, len(self.bootstrap.split(",")))
        return name

    def delete_records(self, topic: str, partition: int, before_offset: int) -> None:
        self._ask("partition_delete_records", topic, partition, before_offset)

    def set_down(self, broker: int) -> None:
        """Closes a broker's connections and takes no new ones; what it leads has no leader."""
        self._ask("broker_set_down", broker)

    def set_up(self, broker: int) -> None:
        self._ask("broker_set_up", broker)

    def set_leader(self, topic: str, partition: int, broker: int) -> None:
        self._ask("partition_set_leader", topic, partition, broker)

    def set_coordinator(self, group: str, broker: int) -> None:
        self._ask("coordinator_set", "group", group, broker)

    def set_rtt(self, broker: int, rtt_ms: int) -> None:
        self._ask("broker_set_rtt", broker, rtt_ms)

    def set_topic_error(self, topic: str, fault: Fault) -> None:
        self._ask("topic_set_error", topic, fault)

    def push_errors(self, api: Api, *faults: Fault) -> None:
        """Lets the next requests of a kind be answered with these errors, whoever sends them."""
        self._ask("push_errors", api, *faults)

    def clear_errors(self, api: Api) -> None:
        self._ask("clear_request_errors", api)

    def requests(self, api: Api) -> int:
        """Returns how many requests of a kind have come since the start."""
        return int(self._tell("requests", api))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_STOP_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _ask(self, name: str, *given: object) -> None:
        answer = self._tell(name, *given)
        if answer != "0":
            raise MockError(f"{name}{given}: librdkafka's error {answer}")

    def _tell(self, name: str, *given: object) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, *given]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise MockError(f"the mock cluster ended with {self._process.wait(_STOP_S)}")
        return line.strip()
