"""Tell whether a file still is, or again is, the content that a position was taken in.

A position keeps three things about its file: a digest of the first bytes, the CRC-32 of everything
before the position, and the CRC-32 up to where the last record before it began. The first and the
last record recognise a file at its own inode with two small reads. All of it recognises content
that has moved to another inode, as a copy or compressed; nothing less may skip data there.

The CRC is the one that gzip keeps in its trailer, so that a file that was read to its end and then
compressed is known again without being decompressed.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from dejalog.daemon.sources.printable import printable
from dejalog.daemon.sources.readers import CHUNK_BYTES, Reader, gzip_trailer
from dejalog.indexer.event import Position

#: Enough to tell nearly all files apart (their first lines carry times), and one small read.
HEAD_BYTES = 1024

#: What rotation adds to a file's name: counters and dates with the sign before them.
ROTATION_MARK = re.compile(r"[-_.]\d[\dT_:.-]*(?=[-_.]|$)")


class FileState(msgspec.Struct, frozen=True):
    """What a position remembers of its file; stored as JSON in `Position.state`.

    `path` is where the content was first seen (in printable form), `inode` the file that it was
    last read from.
    `crc` holds two prefix lengths, each followed by the CRC-32 of that many first bytes: up to the
    start of the last record and up to its end. `fault` is set once the file's damage has been
    reported; `final` is size and modification time in ns of a gzip file that was read to its end.
    """

    path: str
    inode: str
    head: tuple[int, str]
    crc: tuple[int, int, int, int]
    gzip: bool = False
    fault: str = ""
    final: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Known:
    """A position of a file, ready to be compared with files on disk."""

    partition: str
    offset: int
    state: FileState


def known_from(position: Position) -> Known | None:
    """Returns a stored position with its state decoded; none where the state is not ours."""
    try:
        state = msgspec.json.decode(position.state, type=FileState)
        return Known(position.partition, position.offset, state)
    except msgspec.MsgspecError:
        return None


def partition_name(inode: str, generation: int) -> str:
    """Names the given content of an inode."""
    return inode if generation == 1 else f"{inode}#{generation}"


def inode_and_generation(partition: str) -> tuple[str, int]:
    """Takes a partition's name apart."""
    inode, _, generation = partition.partition("#")
    return inode, int(generation) if generation.isdecimal() else 1


def digest_head(head: bytes) -> tuple[int, str]:
    """Returns length and digest of a file's first bytes."""
    return len(head), blake2b(head, digest_size=8).hexdigest()


def has_head(head: bytes, state: FileState) -> bool:
    """Says whether a file that begins with `head` begins as the state's file did."""
    size_bytes = state.head[0]
    return len(head) >= size_bytes and digest_head(head[:size_bytes]) == state.head


def is_in_place(fd: int, head: bytes, known: Known) -> bool:
    """Says whether a plain file still holds the position's content, by two small reads."""
    start, start_crc, end, end_crc = known.state.crc
    if known.state.gzip or os.fstat(fd).st_size < known.offset or not has_head(head, known.state):
        return False
    return crc_of_range(fd, start, end, start_crc) == end_crc


def is_final_in_place(fd: int, known: Known) -> bool:
    """Says whether a gzip file is unchanged since it was read to its end."""
    status = os.fstat(fd)
    return known.state.gzip and known.state.final == (status.st_size, status.st_mtime_ns)


def is_compressed_whole(fd: int, path: str, known: Known) -> bool:
    """Says whether a gzip file is the rotated form of a file that was read to its end.

    The trailer speaks for the last member only, so the name must be that of a rotation, too.
    """
    _, _, end, crc = known.state.crc
    is_rotated = is_rotation(path, known.state.path)
    return is_rotated and end == known.offset and gzip_trailer(fd) == (crc, end % (1 << 32))


def is_rotation(path: str, other: str) -> bool:
    """Says whether `path` is a name that rotation gives to the file known as `other`.

    Either may be in printable form, as paths in a state are.
    """
    path, other = printable(path), printable(other)
    stem = rotation_stem(path)
    is_rotated = stem != os.path.basename(path)
    is_same_folder = os.path.dirname(path) == os.path.dirname(other)
    return is_rotated and is_same_folder and stem == rotation_stem(other)


def rotation_stem(path: str) -> str:
    """Returns a file's name without the counters, dates and suffixes that rotation adds."""
    return ROTATION_MARK.sub("", os.path.basename(path).removesuffix(".gz"))


def may_have_moved(path: str, known: Known) -> bool:
    """Says whether content at `path` is worth comparing with that of a position elsewhere.

    A few first bytes may be equal by accident (a banner), and calling new content known would lose
    it. So short content is looked for under rotated names only.
    """
    return known.offset >= HEAD_BYTES or is_rotation(path, known.state.path)


def skip_to(reader: Reader, known: Known) -> Generator[None, None, int]:
    """Reads up to the position, a chunk at a time.

    Returns the CRC-32 of all of it, or -1 if the bytes are not those that the position was for.
    """
    _, _, end, end_crc = known.state.crc
    crc = 0
    while reader.offset < known.offset:
        bound = end if reader.offset < end else known.offset
        data = reader.read(min(CHUNK_BYTES, bound - reader.offset))
        if not data:
            return -1
        crc = zlib.crc32(data, crc)
        if reader.offset == end and crc != end_crc:
            return -1
        yield
    return crc


def crc_of_range(fd: int, start: int, end: int, crc: int) -> int:
    """Continues a CRC-32 over the bytes [start, end) of a file; a shorter file ends it early."""
    while start < end:
        data = os.pread(fd, min(CHUNK_BYTES, end - start), start)
        if not data:
            break
        crc = zlib.crc32(data, crc)
        start += len(data)
    return crc
