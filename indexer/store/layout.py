"""How keys and values look in a shard, byte by byte; docs/FORMAT.md says the same in prose.

Every value is sealed: 8 bytes of header (tag, version, CRC-32C of the payload) and the payload,
because LMDB itself has no checksums. Numbers are little-endian in values and big-endian in keys,
so that LMDB's byte order is numeric order and appends go to the end of the tree.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
import numpy as np
import zstandard
from crc32c import crc32c
from numpy.typing import NDArray

#: Raised whenever bytes written before could not be read any more.
FORMAT_VERSION = 1

#: The named databases that every shard has.
_SHARED = (
    b"meta",
    b"positions",
    b"pattern_ids",
    b"patterns",
    b"labelsets",
    b"texts",
    b"dead_letters",
)
#: A fresh shard has vectors and columns in the batches that it was given ...
FRESH_DATABASES = (*_SHARED, b"vectors", b"columns")
#: ... and a compacted one has them as arrays, which are mapped and never copied.
COMPACTED_DATABASES = (*_SHARED, b"sections")

_HEADER = struct.Struct("<2sBBI")
_TAG = b"dj"
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")

#: Level 3 is zstd's default: measured 0.4 GB/s here at a ratio of 8 to 12 on logs, while level 9
#: is five times slower for a tenth less.
_ZSTD_LEVEL = 3

#: No value is larger uncompressed; a damaged length cannot make the reader ask for more.
_DECOMPRESSED_BYTES_MAX = 1 << 30

T = TypeVar("T")


class DamagedValueError(ValueError):
    """A stored value is not what was written."""


def seal(payload: bytes) -> bytes:
    """Returns the payload behind its header."""
    return _HEADER.pack(_TAG, FORMAT_VERSION, 0, crc32c(payload)) + payload


def unseal(value: bytes) -> bytes:
    """Returns the payload, or raises DamagedValueError if its bytes have changed."""
    if len(value) < _HEADER.size:
        raise DamagedValueError(f"value of {len(value)} bytes has no header")
    tag, version, _, checksum = _HEADER.unpack_from(value)
    if tag != _TAG:
        raise DamagedValueError(f"header begins with {tag!r} instead of {_TAG!r}")
    if version != FORMAT_VERSION:
        raise DamagedValueError(f"format version {version} instead of {FORMAT_VERSION}")
    payload = value[_HEADER.size :]
    if crc32c(payload) != checksum:
        raise DamagedValueError("checksum does not fit the payload")
    return payload


def payload_view(value: bytes | memoryview) -> NDArray[np.uint8]:
    """Returns the payload as uint8[size] without a copy; its checksum is not compared."""
    array = np.frombuffer(value, np.uint8)
    if len(array) < _HEADER.size or bytes(array[:2]) != _TAG or array[2] != FORMAT_VERSION:
        raise DamagedValueError("its header is not one of ours")
    return array[_HEADER.size :]


def seal_struct(value: object) -> bytes:
    """Returns a msgspec struct as a sealed MessagePack value."""
    return seal(msgspec.msgpack.encode(value))


def unseal_struct(value: bytes, kind: type[T]) -> T:
    """Returns the struct, or raises DamagedValueError."""
    try:
        return msgspec.msgpack.decode(unseal(value), type=kind)
    except msgspec.DecodeError as error:
        raise DamagedValueError(f"not a {kind.__name__}: {error}") from error


def seal_compressed(value: object) -> bytes:
    """Returns a msgspec struct as a sealed, zstd-compressed MessagePack value."""
    return seal(zstandard.compress(msgspec.msgpack.encode(value), _ZSTD_LEVEL))


def unseal_compressed(value: bytes, kind: type[T]) -> T:
    """Returns the struct, or raises DamagedValueError."""
    try:
        plain = zstandard.ZstdDecompressor().decompress(
            unseal(value), max_output_size=_DECOMPRESSED_BYTES_MAX
        )
        return msgspec.msgpack.decode(plain, type=kind)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise DamagedValueError(f"not a {kind.__name__}: {error}") from error


def key_u32(number: int) -> bytes:
    """Returns the key of a pattern or label set."""
    return _U32.pack(number)


def key_u64(number: int) -> bytes:
    """Returns the key of an event or dead letter."""
    return _U64.pack(number)


def number_of(key: bytes) -> int:
    """Returns the number that a 4 or 8 byte key stands for."""
    return int.from_bytes(key, "big")


def digest(*parts: str) -> bytes:
    """Returns the 16 byte name of a text or tuple of texts; the parts cannot run together."""
    state = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        if len(parts) > 1:
            state.update(len(encoded).to_bytes(8, "little"))
        state.update(encoded)
    return state.digest()


class Header(msgspec.Struct, frozen=True):
    """What a shard says of itself, written once."""

    format_version: int
    shard: int
    created_ns: int
    first_event: int
    first_dead_letter: int
    encoder_fingerprint: str
    mask_version: int
    dim: int
    pooled_dim: int
    page_size: int
    machine: str


class Counters(msgspec.Struct, frozen=True):
    """What a shard holds, rewritten in each transaction.

    `events` counts the numbers that are given to events here; `deleted` of them, in a compacted
    shard, have a row and nothing else any more. Times are those of the others.
    """

    events: int = 0
    patterns: int = 0
    tokens: int = 0
    labelsets: int = 0
    dead_letters: int = 0
    truncated_patterns: int = 0
    oldest_ns: int = 0
    newest_ns: int = 0
    deleted: int = 0


class BlockShape(msgspec.Struct, frozen=True, array_like=True):
    """A compacted shard's patterns from `first` on, whose vectors are in sections of their own.

    Original int8 vectors are kept for a later merge where there was room for them.
    """

    first: int
    patterns: int
    tokens: int
    has_originals: bool = False


class Coded(msgspec.Struct, frozen=True):
    """How a compacted shard's vectors are coded; the arrays of its codebook are sections.

    `residual_threshold` is the 0.75 quantile of the residuals' norms in training, and
    `share_beyond` the share of the shard's own tokens beyond the threshold of the codebook
    before it (its drift; 0.25 is none). `mean_cosine` is that of original and reconstruction.
    """

    bits: int
    centroids: int
    zero: int
    weight_step: float
    norm_low: float
    norm_step: float
    blocks: tuple[BlockShape, ...]
    codebook_version: int = 0
    trained_tokens: int = 0
    residual_threshold: float = 0.0
    share_beyond: float = 0.0
    mean_cosine: float = 0.0
    sources: tuple[int, ...] = ()


class TextBlock(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive events' texts and origins, as columns.

    `origins` lists (source, partition) pairs; `origin_index` uint32[n] points into it. `offsets`
    is int64[n], `subs` uint32[n], `time_origins` uint8[n], `text_lengths` uint32[n] in bytes, and
    `texts` their UTF-8 concatenation.
    """

    origins: list[tuple[str, str]]
    origin_index: bytes
    offsets: bytes
    subs: bytes
    time_origins: bytes
    attributes: list[list[tuple[str, str]]]
    text_lengths: bytes
    texts: bytes


@dataclass(frozen=True, slots=True)
class Columns:
    """What filters and counts need of consecutive events.

    times int64[n] (ns since 1970 UTC), patterns uint32[n], labelsets uint32[n], kinds uint8[n].
    """

    times: NDArray[np.int64]
    patterns: NDArray[np.uint32]
    labelsets: NDArray[np.uint32]
    kinds: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Token vectors and pooled vectors of consecutive patterns, as int8 with a scale per row.

    lengths uint32[n] (tokens of each pattern), codes int8[tokens, dim], scales float32[tokens],
    pooled_codes int8[n, pooled_dim], pooled_scales float32[n].
    """

    lengths: NDArray[np.uint32]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    pooled_codes: NDArray[np.int8]
    pooled_scales: NDArray[np.float32]


_COUNT = struct.Struct("<I")
_SHAPE = struct.Struct("<IIII")


def seal_columns(columns: Columns) -> bytes:
    """Returns the columns of one batch as a sealed value."""
    return seal(
        _COUNT.pack(len(columns.times))
        + columns.times.astype("<i8").tobytes()
        + columns.patterns.astype("<u4").tobytes()
        + columns.labelsets.astype("<u4").tobytes()
        + columns.kinds.tobytes()
    )


def unseal_columns(value: bytes) -> Columns:
    """Returns the columns, or raises DamagedValueError."""
    reader = _Reader(unseal(value))
    (count,) = reader.unpack(_COUNT)
    columns = Columns(
        times=reader.array("<i8", count),
        patterns=reader.array("<u4", count),
        labelsets=reader.array("<u4", count),
        kinds=reader.array("u1", count),
    )
    reader.finish()
    return columns


def seal_vectors(vectors: Vectors) -> bytes:
    """Returns the vectors of one batch's new patterns as a sealed value."""
    tokens, dim = vectors.codes.shape
    count, pooled_dim = vectors.pooled_codes.shape
    return seal(
        _SHAPE.pack(count, tokens, dim, pooled_dim)
        + vectors.lengths.astype("<u4").tobytes()
        + vectors.scales.astype("<f4").tobytes()
        + vectors.pooled_scales.astype("<f4").tobytes()
        + vectors.codes.tobytes()
        + vectors.pooled_codes.tobytes()
    )


def unseal_vectors(value: bytes) -> Vectors:
    """Returns the vectors, or raises DamagedValueError."""
    reader = _Reader(unseal(value))
    count, tokens, dim, pooled_dim = reader.unpack(_SHAPE)
    vectors = Vectors(
        lengths=reader.array("<u4", count),
        scales=reader.array("<f4", tokens),
        pooled_scales=reader.array("<f4", count),
        codes=reader.array("i1", tokens * dim).reshape(tokens, dim),
        pooled_codes=reader.array("i1", count * pooled_dim).reshape(count, pooled_dim),
    )
    reader.finish()
    if int(vectors.lengths.sum()) != tokens:
        raise DamagedValueError("token counts do not add up")
    return vectors


class _Reader:
    """Takes arrays off the front of a payload and knows when it is too short or too long."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        self._need(layout.size)
        values = layout.unpack_from(self._payload, self._at)
        self._at += layout.size
        return values

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize * count
        self._need(size)
        values = np.frombuffer(self._payload, dtype, count, self._at)
        self._at += size
        return values

    def finish(self) -> None:
        if self._at != len(self._payload):
            raise DamagedValueError(f"{len(self._payload) - self._at} bytes too many")

    def _need(self, size: int) -> None:
        if self._at + size > len(self._payload):
            raise DamagedValueError(f"{self._at + size - len(self._payload)} bytes missing")
