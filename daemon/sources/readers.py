"""Read the bytes of one file, plain or gzip, from any offset of its uncompressed stream.

A reader never goes past what it can decode: a damaged or unfinished gzip stream yields everything
before the damage, then nothing, and `fault` says why.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from typing import Protocol

#: Files are read, and compressed streams inflated, in pieces of at most this size.
CHUNK_BYTES = 1 << 20

#: Compressed bytes read at a time; the decompressor's state is copied once for each.
COMPRESSED_BYTES = 1 << 16

GZIP_MAGIC = b"\x1f\x8b"

#: zlib's sign for a gzip header and trailer around a full window.
GZIP_WINDOW_BITS = 31

#: Reasons of the dead letter that ends a gzip file which cannot be read to its end.
TRUNCATED, CORRUPT = "truncated-gzip", "corrupt-gzip"


class Reader(Protocol):
    """Bytes of one file in order."""

    fd: int
    offset: int  # of the uncompressed stream, where the next read begins
    is_gzip: bool

    @property
    def raw_offset(self) -> int:
        """Where the next read begins in the file itself."""

    def read(self, bytes_max: int = CHUNK_BYTES) -> bytes:
        """Returns the next bytes; none at the end or where decoding cannot go on."""

    @property
    def fault(self) -> str:
        """The reason why reading ended before the stream did, or an empty string."""

    def close(self) -> None:
        """Closes the file."""


class PlainReader:
    """Reads a file as it is; bytes that are appended later can be read later."""

    is_gzip = False
    fault = ""

    def __init__(self, fd: int, offset: int = 0) -> None:
        self.fd = fd
        self.offset = offset

    @property
    def raw_offset(self) -> int:
        """The same as `offset`."""
        return self.offset

    def read(self, bytes_max: int = CHUNK_BYTES) -> bytes:
        """Returns the next bytes, none at the end."""
        data = os.pread(self.fd, bytes_max, self.offset)
        self.offset += len(data)
        return data

    def close(self) -> None:
        """Closes the file."""
        os.close(self.fd)


class GzipReader:
    """Inflates a gzip file of one or more members.

    Zero bytes after a member are padding, as gzip itself has it; other bytes are damage.
    """

    is_gzip = True

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.offset = 0
        self._raw_offset = 0
        self._input = b""
        self._inflate = zlib.decompressobj(GZIP_WINDOW_BITS)
        self._has_member_begun = False
        self._is_corrupt = False

    @property
    def raw_offset(self) -> int:
        """Compressed bytes taken in so far."""
        return self._raw_offset

    @property
    def fault(self) -> str:
        """Set where reading stopped before the stream's end; truncation can heal as it grows."""
        if self._is_corrupt:
            return CORRUPT
        return TRUNCATED if self._has_member_begun else ""

    def read(self, bytes_max: int = CHUNK_BYTES) -> bytes:
        """Returns the next uncompressed bytes; none at the end, or before a fault."""
        while not self._is_corrupt:
            if not self._input and not self._fill() and not self._has_member_begun:
                return b""
            if not self._has_member_begun and not self._begin_member():
                continue
            is_at_end = not self._input
            data = self._inflate_some(bytes_max)
            self.offset += len(data)
            if data or is_at_end:
                return data
        return b""

    def close(self) -> None:
        """Closes the file."""
        os.close(self.fd)

    def _fill(self) -> bool:
        self._input = os.pread(self.fd, COMPRESSED_BYTES, self._raw_offset)
        self._raw_offset += len(self._input)
        return bool(self._input)

    def _begin_member(self) -> bool:
        self._input = self._input.lstrip(b"\0")
        if not self._input:
            return False
        if not GZIP_MAGIC.startswith(self._input[:2]):
            self._is_corrupt = True
            return False
        self._inflate = zlib.decompressobj(GZIP_WINDOW_BITS)
        self._has_member_begun = True
        return True

    def _inflate_some(self, bytes_max: int) -> bytes:
        saved = self._inflate.copy()
        try:
            data = self._inflate.decompress(self._input, bytes_max)
        except zlib.error:
            self._is_corrupt = True
            return _inflate_up_to_damage(saved, self._input)
        self._input = self._inflate.unconsumed_tail
        if self._inflate.eof:
            self._input = self._inflate.unused_data
            self._has_member_begun = False
        return data


def _inflate_up_to_damage(inflate: zlib._Decompress, data: bytes) -> bytes:
    # zlib drops what a failing call had produced, so the last piece is fed byte by byte.
    produced = bytearray()
    with suppress(zlib.error):
        for index in range(len(data)):
            produced += inflate.decompress(data[index : index + 1])
    return bytes(produced)


def is_gzip(fd: int) -> bool:
    """Says whether a file begins as gzip files do, whatever its name."""
    return os.pread(fd, 2, 0) == GZIP_MAGIC


def gzip_trailer(fd: int) -> tuple[int, int]:
    """Returns CRC-32 and length modulo 2**32 as the last gzip member states them (RFC 1952)."""
    size = os.fstat(fd).st_size
    trailer = os.pread(fd, 8, max(0, size - 8))
    return int.from_bytes(trailer[:4], "little"), int.from_bytes(trailer[4:], "little")
