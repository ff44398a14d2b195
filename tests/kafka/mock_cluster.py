"""librdkafka's mock cluster, for faults that no real broker has on command.

It speaks Kafka's protocol over real sockets and keeps records in memory; it is part of the library
in the confluent-kafka wheel, and is reached here through ctypes. So that a fault of its own cannot
end the tests, it runs as a program, which takes a command a line (a JSON list: the function and its
arguments) and answers each with the function's result in a line:

    python mock_cluster.py BROKERS

What it has not: transactions that other clients can read, records that outlive it, and the making
of topics over the protocol.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import confluent_kafka

#: A handle of this kind is what the mock cluster belongs to; nothing is produced with it.
_PRODUCER = 0

_TEXT, _INT, _SIZE, _POINTER = ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p
#: What is called by name, and what each function takes behind the cluster.
_FUNCTIONS = {
    "broker_set_down": (_INT,),
    "broker_set_up": (_INT,),
    "broker_set_rtt": (_INT, _INT),
    "topic_create": (_TEXT, _INT, _INT),
    "topic_set_error": (_TEXT, _INT),
    "partition_set_leader": (_TEXT, _INT, _INT),
    "partition_delete_records": (_TEXT, _INT, ctypes.c_int64),
    "coordinator_set": (_TEXT, _TEXT, _INT),
    "group_initial_rebalance_delay_ms": (_INT,),
    "clear_request_errors": (ctypes.c_int16,),
}
#: These return nothing; the register that would hold a result has anything in it.
_SILENT = {"topic_set_error", "group_initial_rebalance_delay_ms", "clear_request_errors"}


class Cluster:
    """The C functions, over one mock cluster."""

    def __init__(self, brokers: int) -> None:
        package = Path(confluent_kafka.__file__).parent
        libraries = list(package.with_name("confluent_kafka.libs").glob("librdkafka-*.so*"))
        assert len(libraries) == 1, f"no librdkafka of its own beside {package}"
        self._library = ctypes.CDLL(str(libraries[0]))
        configuration = self._call("rd_kafka_conf_new", _POINTER)
        # It has no broker of its own to connect to, and would say so.
        types = (_POINTER, _TEXT, _TEXT, _TEXT, _SIZE)
        quiet = (configuration, b"log_level", b"0", None, 0)
        self._call("rd_kafka_conf_set", _INT, types, *quiet)
        reason = ctypes.create_string_buffer(512)
        types = (_INT, _POINTER, _TEXT, _SIZE)
        given = (_PRODUCER, configuration, reason, len(reason))
        handle = self._call("rd_kafka_new", _POINTER, types, *given)
        assert handle, reason.value.decode()
        types = (_POINTER, _INT)
        self._cluster = self._call("rd_kafka_mock_cluster_new", _POINTER, types, handle, brokers)
        self.call("group_initial_rebalance_delay_ms", 0)
        self._mock("start_request_tracking", None)

    def bootstraps(self) -> str:
        """Returns the addresses of all brokers, with commas between them."""
        return str(self._mock("cluster_bootstraps", _TEXT).decode())

    def call(self, name: str, *given: object) -> int:
        """Calls a function that is in the table; returns 0 or librdkafka's number of an error."""
        encoded = [each.encode() if isinstance(each, str) else each for each in given]
        result = None if name in _SILENT else _INT
        return self._mock(name, result, _FUNCTIONS[name], *encoded) or 0

    def push_errors(self, api: int, *errors: int) -> int:
        """Lets the next requests of a kind be answered with these errors, whoever sends them."""
        array = (_INT * len(errors))(*errors)
        types = (ctypes.c_int16, _SIZE, _POINTER)
        self._mock("push_request_errors_array", None, types, api, len(errors), array)
        return 0

    def requests(self, api: int) -> int:
        """Returns how many requests of a kind have come since the start."""
        count = _SIZE()
        types = (ctypes.POINTER(_SIZE),)
        listed = self._mock("get_requests", ctypes.POINTER(_POINTER), types, ctypes.byref(count))
        types = (_POINTER,)
        kinds = [
            self._call("rd_kafka_mock_request_api_key", ctypes.c_int16, types, listed[number])
            for number in range(count.value)
        ]
        types = (ctypes.POINTER(_POINTER), _SIZE)
        self._call("rd_kafka_mock_request_destroy_array", None, types, listed, count)
        return kinds.count(api)

    def _mock(self, name: str, result: Any, types: tuple[Any, ...] = (), *given: object) -> Any:
        types = (_POINTER, *types)
        return self._call(f"rd_kafka_mock_{name}", result, types, self._cluster, *given)

    def _call(self, name: str, result: Any, types: tuple[Any, ...] = (), *given: object) -> Any:
        function = self._library[name]
        function.restype = result
        function.argtypes = types
        return function(*given)


def main() -> None:
    """Serves until the end of its input."""
    cluster = Cluster(int(sys.argv[1]))
    own: dict[str, Callable[..., int]] = {
        "push_errors": cluster.push_errors,
        "requests": cluster.requests,
    }
    print(cluster.bootstraps(), flush=True)
    for line in sys.stdin:
        name, *given = json.loads(line)
        called = own[name](*given) if name in own else cluster.call(name, *given)
        print(called, flush=True)


if __name__ == "__main__":
    main()
