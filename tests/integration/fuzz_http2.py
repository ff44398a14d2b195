"""HTTP/2 as no library would send it: frames made by hand over a plain socket (RFC 9113, 7541)."""

from __future__ import annotations

import random
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0,
    1,
    3,
    4,
    6,
    7,
    8,
    9,
)
END_STREAM, END_HEADERS, PADDED = 1, 4, 8


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame, whatever its parts are."""
    size = len(payload)
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def headers(path: str, authority: str = "x") -> bytes:
    """The header block of a gRPC call: literals without indexing, which need no state."""
    fields = (
        *((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority)),
        *(("content-type", "application/grpc"), ("te", "trailers")),
    )
    return b"".join(literal(name.encode(), value.encode()) for name, value in fields)


def literal(name: bytes, value: bytes) -> bytes:
    """A header as a literal without indexing."""
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def _length(size: int) -> bytes:
    if size < 127:
        return bytes([size])
    found, size = bytearray([127]), size - 127
    while size >= 128:
        found.append(size & 127 | 128)
        size >>= 7
    return bytes([*found, size])


def connect(address: str) -> socket.socket:
    """A connection that has said nothing yet."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=10)


def opened(address: str, *, window: int = 65_535) -> socket.socket:
    """A connection with the preface sent; each stream may be sent `window` bytes."""
    connected = connect(address)
    settings = struct.pack(">HI", 4, window)
    connected.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
    return connected


def call(path: str, message: bytes, stream: int = 1) -> bytes:
    """A whole call with one message."""
    body = b"\x00" + struct.pack(">I", len(message)) + message
    begun = frame(HEADERS, END_HEADERS, stream, headers(path))
    parts = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
    sent = b"".join(frame(DATA, 0, stream, part) for part in parts[:-1])
    return begun + sent + frame(DATA, END_STREAM, stream, parts[-1])


def abuse(path: str, random_: random.Random) -> bytes:
    """What to send on a new connection: each time another way not to speak HTTP/2."""
    begun = PREFACE + frame(SETTINGS, 0, 0)
    block = headers(path)
    open_ = begun + frame(HEADERS, END_HEADERS, 1, block)
    noise = random_.randbytes(random_.randint(1, 3_000))
    ways = (
        noise,
        PREFACE[: random_.randrange(len(PREFACE))],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise,
        PREFACE + noise,
        begun + frame(random_.randrange(256), random_.randrange(256), random_.randrange(9), noise),
        begun + frame(HEADERS, END_HEADERS, 1, noise),
        begun
        + frame(HEADERS, 0, 1, block)
        + frame(CONTINUATION, 0, 1, literal(b"a", b"b")) * 3_000,
        begun + frame(HEADERS, END_HEADERS, 1, block + literal(b"x", b"y" * 16_000)),
        begun + frame(HEADERS, END_HEADERS, 1, block + literal(b"grpc-timeout", noise[:20])),
        begun
        + frame(HEADERS, END_HEADERS, 1, block + literal(b"grpc-encoding", b"gzip"))
        + frame(DATA, END_STREAM, 1, b"\x01\x00\x00\x00\x05notgz"),
        begun + frame(HEADERS, END_HEADERS | END_STREAM, 1, block),
        open_ + frame(DATA, END_STREAM, 1, b"\x00\xff\xff\xff\xff"),
        open_ + frame(DATA, END_STREAM, 1, b"\x07\x00\x00\x00\x01x"),
        open_ + frame(DATA, PADDED, 1, b"\xff"),
        open_ + frame(DATA, END_STREAM, 1, b"\x00\x00\x00\x00\x02\x0a"),
        open_ + frame(RST_STREAM, 0, 1, b"\x00\x00\x00\x08"),
        begun
        + b"".join(
            frame(HEADERS, END_HEADERS, n, block) + frame(RST_STREAM, 0, n, b"\x00\x00\x00\x08")
            for n in range(1, 601, 2)
        ),
        begun + frame(PING, 0, 0, b"12345678") * 2_000,
        begun + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)) * 500,
        begun + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
        begun + frame(GOAWAY, 0, 0, b"\x00" * 8) + frame(HEADERS, END_HEADERS, 1, block),
        begun + frame(HEADERS, END_HEADERS, 2, block) + frame(DATA, 0, 99, b"x"),
    )
    return random_.choice(ways)
