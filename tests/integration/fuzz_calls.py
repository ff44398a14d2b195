"""What is done to a running daemon: wild requests, calls that stall or vanish, and noise.

Each function does one kind of harm for a while and counts the answers; `fuzz_daemon.py` says what
must hold afterwards.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc

from dejalog.proto.v1 import ingest_pb2, search_pb2

from . import fuzz_http2 as http2
from .fuzz_daemon import CODES, Daemon
from .fuzz_messages import MIB, Method, extreme, methods, wild

#: A request that a bound of ours lets through is answered in this time, whatever the machine does.
ANSWER_TIME_S = 60.0
#: Streams without an end, and calls without a message, are left after this time.
LEAVE_TIME_S = 0.2
#: Responses of one call that are read; it is cancelled then.
RESPONSES_MAX = 50
APPEND = "/dejalog.v1.IngestService/Append"
FOLLOW = "/dejalog.v1.SearchService/Follow"
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


@dataclass(slots=True)
class Tally:
    """Answers by method and code, and what was wrong with some."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def by_code(self) -> Counter[str]:
        """Answers by code."""
        found: Counter[str] = Counter()
        for (_, code), count in self.codes.items():
            found[code] += count
        return found


class Caller:
    """Calls any method with any bytes."""

    def __init__(self, daemon: Daemon, tally: Tally) -> None:
        self._tally = tally
        self._channels = [
            grpc.insecure_channel(address, options=OPTIONS)
            for address in (daemon.address, daemon.otlp_address)
        ]

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels:
            channel.close()

    def call(self, method: Method, messages: list[bytes], *, timeout_s: float = 0.0) -> str:
        """Sends the messages, and returns the code of the answer."""
        is_left = not messages or not method.has_end
        timeout_s = timeout_s or (LEAVE_TIME_S if is_left else ANSWER_TIME_S)
        call = self._channels[method.is_otlp].stream_stream(method.path)
        started = time.monotonic()
        details = ""
        answer = call(iter(messages), timeout=timeout_s)
        try:
            for number, _ in enumerate(answer):
                if number >= RESPONSES_MAX:
                    answer.cancel()
            code = "OK"
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or ""
        self._tally.codes[method.path.rpartition("/")[2], code] += 1
        is_late = code == "DEADLINE_EXCEEDED" and time.monotonic() - started >= ANSWER_TIME_S
        if code not in CODES or is_late or "Traceback" in details:
            sent = [message[:200] for message in messages]
            self._tally.wrong.append(f"{method.path}: {code}: {details} for {sent}")
        return code


def wild_requests(
    daemon: Daemon, random_: random.Random, tally: Tally, *, rounds: int = 1_000_000, ends_at: float
) -> None:
    """Calls every method in turn, round after round, until the time is up."""
    known = methods()
    with Caller(daemon, tally) as caller:
        for _ in range(rounds):
            for method in known:
                if time.monotonic() > ends_at:
                    return
                count = random_.choices((1, 0, 2, 5), (12, 1, 2, 1))[0]
                caller.call(method, [wild(known, method, random_) for _ in range(count)])


def large_requests(daemon: Daemon, random_: random.Random, tally: Tally) -> None:
    """Sends every method a message just below and one beyond the bound, as it is and compressed."""
    with Caller(daemon, tally) as caller:
        for method in methods():
            sizes = (16 * MIB - 100,) if random_.random() < 0.3 else ()
            for size in (*sizes, 16 * MIB + 1):
                # A text or bytes in field 1, of which a part is missing now and then.
                data = b"\x0a" + _varint(size - random_.choice((0, 7))) + b"x" * size
                caller.call(method, [data], timeout_s=0.0 if method.has_end else 5.0)
    with ExitStack() as stack:
        for address in (daemon.address, daemon.otlp_address):
            options = [*OPTIONS, ("grpc.default_compression_algorithm", 2)]
            channel = stack.enter_context(grpc.insecure_channel(address, options=options))
            for method in random_.sample([each for each in methods() if each.has_end], 3):
                answer = channel.stream_stream(method.path)(
                    iter([bytes(64 * MIB)]), timeout=ANSWER_TIME_S
                )
                code = answer.code()
                tally.codes[method.path.rpartition("/")[2], code.name] += 1
                if code.name not in CODES:
                    tally.wrong.append(f"64 MiB of zeros: {method.path}: {answer.details()}")


def cancelled_calls(daemon: Daemon, random_: random.Random, tally: Tally, count: int) -> None:
    """Begins calls and cancels them at once, after a message, or half-way through a stream."""
    known = [each for each in methods() if not each.is_otlp]
    with grpc.insecure_channel(daemon.address, options=OPTIONS) as channel:
        for _ in range(count):
            method = random_.choice(known)

            def messages(method: Method = method) -> Iterator[bytes]:
                yield extreme(method.request, random_, 0.1).SerializeToString()
                time.sleep(random_.choice((0.0, 0.005)))
                yield extreme(method.request, random_, 0.1).SerializeToString()

            call = channel.stream_stream(method.path)(messages(), timeout=ANSWER_TIME_S)
            time.sleep(random_.choice((0.0, 0.001, 0.02)))
            call.cancel()
            tally.codes[method.path.rpartition("/")[2], "cancelled by its client"] += 1


def noise(daemon: Daemon, random_: random.Random, stack: ExitStack, count: int) -> None:
    """Opens connections that speak no HTTP/2, or speak it wrongly; half of them are left open."""
    for _ in range(count):
        address = random_.choice((daemon.address, daemon.address, daemon.otlp_address))
        path = random_.choice(methods()).path
        connection = http2.connect(address)
        # The daemon may hang up before it has read everything.
        with suppress(OSError):
            connection.sendall(http2.abuse(path, random_))
        if random_.random() < 0.5:
            connection.close()
        else:
            stack.callback(connection.close)


def idle_connections(daemon: Daemon, stack: ExitStack, count: int) -> None:
    """Opens connections and calls, and leaves them: no byte follows."""
    paths = [each.path for each in methods() if not each.is_otlp]
    for number in range(count):
        if number % 2:
            stack.callback(http2.connect(daemon.address).close)
            continue
        connection = http2.opened(daemon.address)
        block = http2.headers(paths[number % len(paths)])
        for stream in range(1, 9, 2):
            connection.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block))
        stack.callback(connection.close)


class SlowCall:
    """A call whose message comes byte by byte."""

    def __init__(self, daemon: Daemon, method: Method, message: bytes) -> None:
        address = daemon.otlp_address if method.is_otlp else daemon.address
        self._connection = http2.opened(address)
        self._left = http2.call(method.path, message)
        # The headers come whole, or the stream would not begin.
        self._send(len(self._left) - len(message) - 20)

    def _send(self, count: int) -> None:
        with suppress(OSError):
            self._connection.sendall(self._left[:count])
        self._left = self._left[count:]

    def step(self) -> None:
        """Sends one more byte."""
        self._send(1)

    def close(self) -> None:
        """Leaves, wherever it is."""
        self._connection.close()


def slow_calls(daemon: Daemon, random_: random.Random, stack: ExitStack) -> list[SlowCall]:
    """Begins two calls to each method that come byte by byte."""
    calls = []
    for method in methods() * 2:
        message = extreme(method.request, random_, 0.0).SerializeToString()
        calls.append(SlowCall(daemon, method, bytes(message)))
        stack.callback(calls[-1].close)
    return calls


def unread_follows(daemon: Daemon, stack: ExitStack, count: int) -> None:
    """Follows everything from the first event on, and reads nothing of it."""
    request = search_pb2.FollowRequest(after_event_id=-1).SerializeToString()
    for number in range(count):
        connection = http2.opened(daemon.address, window=0 if number % 2 else 65_535)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(http2.call(FOLLOW, request))
        stack.callback(connection.close)


def append(daemon: Daemon, count: int, each_bytes: int) -> int:
    """Stores records of a size, and returns how many were."""
    method = next(each for each in methods() if each.path == APPEND)
    text = b"unread " * (each_bytes // 7)
    records: list[Any] = [ingest_pb2.AppendRecord(data=text)] * 20
    request = ingest_pb2.AppendRequest(
        source="unread", encoding="text", labels={"asset": "fuzz"}, records=records
    )
    with grpc.insecure_channel(daemon.address, options=OPTIONS) as channel:
        call = channel.stream_unary(method.path)
        messages = iter([request.SerializeToString()] * (count // 20))
        return ingest_pb2.AppendResponse.FromString(call(messages, timeout=100)).accepted


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
