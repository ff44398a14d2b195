"""Decide where reading a file begins: go on, go on under another name, or from its start.

1. The file's own inode has a position and the content is in place: go on there.
2. A position whose content is gone from where it was, and this file begins with all of that
   content: go on there, under the old partition.
3. Otherwise the content is new and is read from its start, under a partition never used before.

While following, a file that may be a copy or a compressed form in the making is left for later:
its original is still there, and will be gone once the copy is complete.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.identity import (
    HEAD_BYTES,
    FileState,
    Known,
    crc_of_range,
    digest_head,
    has_head,
    is_compressed_whole,
    is_final_in_place,
    is_in_place,
    skip_to,
)
from dejalog.daemon.sources.printable import paths_printed_as, printable
from dejalog.daemon.sources.readers import GzipReader, PlainReader, Reader, is_gzip
from dejalog.daemon.sources.scan import Found, inode_of, refusal_by_head
from dejalog.daemon.sources.tail import Tail, TailSettings

#: How much of a growing copy's end is compared with its original.
COMPARED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Later:
    """The file is to be looked at again at the next scan."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """The file is not read until it changes.

    `reason` is set where a person should know; `known` is the position whose content was read from
    it, or from elsewhere, to the end.
    """

    reason: str = ""
    known: Known | None = None


Opened = Tail | Later | Nothing
Steps = Generator[None, None, Opened]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known about the other files: those being read, and where each inode lies."""

    claims: Claims
    tails: Callable[[], Iterable[Tail]]
    path_of: Callable[[str], str | None]


def open_file(
    found: Found,
    around: Surroundings,
    settings: TailSettings,
    *,
    settle_s: float | None = None,
) -> Steps:
    """Opens a file; every step is a bounded piece of work. Raises OSError.

    With `settle_s`, files that change under the reader are expected: see above.
    """
    fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    opened: Opened = Later()
    try:
        opened = yield from _Opening(fd, found, around, settings, settle_s).decide()
    finally:
        if not isinstance(opened, Tail):
            os.close(fd)
    return opened


class _Opening:
    def __init__(
        self,
        fd: int,
        found: Found,
        around: Surroundings,
        settings: TailSettings,
        settle_s: float | None,
    ) -> None:
        self.fd, self.found, self.around, self.settings = fd, found, around, settings
        self.settle_s, self.is_following = settle_s or 0.0, settle_s is not None
        self.is_gzip = is_gzip(fd)
        self.head = read_head(self._new_reader())

    def decide(self) -> Steps:
        if inode_of(os.fstat(self.fd)) != self.found.inode:
            return Later()
        refused = refusal_by_head(self.head) if not self.is_gzip else ""
        if refused:
            return Nothing(refused)
        if self.is_gzip and self.is_following and not self._is_settled():
            return Later()
        in_place = [known for known in self._of_inode() if self._is_plausible(known)]
        if self.is_gzip and in_place and is_final_in_place(self.fd, in_place[0]):
            return self._claim_whole(in_place[0])
        opened = yield from self._go_on(in_place)
        return self._start() if opened is None else opened

    def _of_inode(self) -> list[Known]:
        return self.around.claims.of_inode(self.found.inode)

    def _is_plausible(self, known: Known) -> bool:
        if not self.is_gzip:
            return is_in_place(self.fd, self.head, known)
        return known.state.gzip and has_head(self.head, known.state)

    def _go_on(self, in_place: list[Known]) -> Generator[None, None, Opened | None]:
        # An inode may be reused for a copy that begins as the inode's former content did; more
        # content that has moved here is then the better match.
        for known in in_place:
            opened = yield from self._go_on_moved(known.offset)
            if opened is None:
                opened = yield from self._go_on_in_place(known)
            if opened is not None:
                return opened
        if self.is_following and self._may_be_copy_in_progress():
            return Later()
        opened = yield from self._go_on_moved(-1)
        return opened

    def _go_on_in_place(self, known: Known) -> Generator[None, None, Opened | None]:
        if not self.is_gzip:
            return self._resume_plain(known)
        opened = yield from self._resume_after_reading(known)
        return opened

    def _go_on_moved(self, longer_than: int) -> Generator[None, None, Opened | None]:
        for known in self.around.claims.of_content(self.found.path, self.head):
            is_same_file = known.state.inode == self.found.inode
            if known.offset <= longer_than or (is_same_file and known.state.gzip == self.is_gzip):
                continue
            is_gone = yield from self._is_gone(known)
            if not is_gone:
                continue
            if self.is_gzip and is_compressed_whole(self.fd, self.found.path, known):
                return self._claim_whole(known)
            tail = yield from self._resume_after_reading(known)
            if tail is not None:
                return tail
        return None

    def _start(self) -> Opened:
        if self.found.is_sibling:
            return Nothing()
        if self.is_following and not self.head and not self.is_gzip:
            return Later()
        partition = self.around.claims.new_partition(self.found.inode)
        head = digest_head(self.head)
        path, inode = printable(self.found.path), self.found.inode
        state = FileState(path, inode, head, (0, 0, 0, 0), self.is_gzip)
        return self._tail(self._new_reader(), Known(partition, 0, state))

    def _claim_whole(self, known: Known) -> Nothing:
        self.around.claims.claim(known)
        return Nothing(known=known)

    def _resume_plain(self, known: Known) -> Tail:
        _, _, end, end_crc = known.state.crc
        crc = crc_of_range(self.fd, end, known.offset, end_crc)
        self.around.claims.claim(known)
        return self._tail(PlainReader(self.fd, known.offset), _with_crc(known, crc))

    def _resume_after_reading(self, known: Known) -> Generator[None, None, Tail | None]:
        reader = self._new_reader()
        self.around.claims.claim(known)
        crc = yield from skip_to(reader, known)
        if crc < 0:
            self.around.claims.release(known)
            return None
        return self._tail(reader, _with_crc(known, crc))

    def _tail(self, reader: Reader, known: Known) -> Tail:
        here = msgspec.structs.replace(known.state, inode=self.found.inode)
        known = replace(known, state=here)
        return Tail(reader, self.head, known, self.settings, path=self.found.path)

    def _new_reader(self) -> Reader:
        return GzipReader(self.fd) if self.is_gzip else PlainReader(self.fd)

    def _is_settled(self) -> bool:
        # The change time, since copying tools set the modification time back.
        age_s = time.time() - os.fstat(self.fd).st_ctime_ns / 1e9
        return not 0 <= age_s < self.settle_s

    def _is_gone(self, known: Known) -> Generator[None, None, bool]:
        """Says whether a position's content is no longer at the inode it was read from."""
        try:
            fd = self._open_original(known)
        except OSError:
            return False  # It may be there.
        if fd is None:
            return True
        try:
            if not known.state.gzip:
                return not is_in_place(fd, os.pread(fd, HEAD_BYTES, 0), known)
            if not is_gzip(fd) or is_final_in_place(fd, known):
                return not is_gzip(fd)
            crc = yield from skip_to(GzipReader(fd), known)
            return crc < 0
        finally:
            os.close(fd)

    def _open_original(self, known: Known) -> int | None:
        path = self.around.path_of(known.state.inode)
        for each in paths_printed_as(known.state.path) if path is None else [path]:
            with suppress(FileNotFoundError):
                fd = os.open(each, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                if inode_of(os.fstat(fd)) == known.state.inode:
                    return fd
                os.close(fd)
        return None

    def _may_be_copy_in_progress(self) -> bool:
        for tail in self.around.tails():
            shared = min(len(tail.head), len(self.head))
            if tail.reader.is_gzip or not shared or tail.head[:shared] != self.head[:shared]:
                continue
            if not tail.is_in_place() or self.around.path_of(tail.inode) is None:
                return True  # About to be released; this may be where its content went.
            if not self._is_settled() and self._ends_like(tail):
                return True
        return False

    def _ends_like(self, tail: Tail) -> bool:
        size = os.fstat(self.fd).st_size
        if size > os.fstat(tail.reader.fd).st_size:
            return False
        start = max(0, size - COMPARED_BYTES)
        data = os.pread(self.fd, size - start, start)
        other = os.pread(tail.reader.fd, len(data), start)
        return data.startswith(other)


def read_head(reader: Reader) -> bytes:
    """Reads a stream's first bytes; a gzip reader may give them in several parts."""
    head = b""
    while len(head) < HEAD_BYTES and (data := reader.read(HEAD_BYTES - len(head))):
        head += data
    return head


def _with_crc(known: Known, crc: int) -> Known:
    _, _, end, end_crc = known.state.crc
    if end == known.offset:
        return known
    exact = (end, end_crc, known.offset, crc)
    return replace(known, state=msgspec.structs.replace(known.state, crc=exact))
