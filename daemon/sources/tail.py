"""Turn one open file into records, each with the position that follows it.

1. `read` takes a piece of the file, frames it and returns the records that are complete.
2. `flush` ends what is held back: an event that may go on, and a line without its newline.
3. `finish` flushes and, if a gzip stream broke off, adds one record that says so.

A file whose content was replaced under the same inode is never read on: `is_replaced` is set.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from dejalog.daemon.sources.identity import (
    HEAD_BYTES,
    FileState,
    Known,
    digest_head,
    is_in_place,
)
from dejalog.daemon.sources.labels import NO_PATH_LABELS, PathLabels
from dejalog.daemon.sources.readers import Reader
from dejalog.indexer.event import Labels, Record
from dejalog.indexer.framing import Frame, LineFramer

#: Bytes framed at a time; even two-byte lines then make no more than 65,536 records at once.
PIECE_BYTES = 1 << 17

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class TailSettings:
    """What every record of a file source is given; labels by path go before those of all."""

    source: str = "file"
    labels: Labels = ()
    encoding: str = "auto"
    record_bytes_max: int = 1 << 20
    path_labels: PathLabels = NO_PATH_LABELS


class Tail:
    """One file that is being read, from a given position on."""

    def __init__(
        self, reader: Reader, head: bytes, known: Known, settings: TailSettings, *, path: str
    ) -> None:
        self.reader = reader
        self.inode = known.state.inode
        self.path = path
        self.partition = known.partition
        self.is_replaced = False
        self.is_at_end = False
        self.has_pending = self.has_partial = False
        self._settings = settings
        self._head = head
        self._path = known.state.path
        self._labels = _labels_of(known.state.path, settings)
        self._offset = known.offset
        self._crc = known.state.crc
        self._fault = known.state.fault
        self._prefix = PrefixCrc(known.offset, known.state.crc[3], settings.record_bytes_max)
        self._framer: LineFramer | None = None
        self._held: Record | None = None
        self._state_start = self._state_end = ""
        self._write_state()

    @property
    def head(self) -> bytes:
        """The file's first bytes, as far as they were there."""
        return self._head

    @property
    def is_idle(self) -> bool:
        """Says whether everything there is has been read and handed out."""
        return self.is_at_end and not self.has_pending and not self.has_partial

    def known(self) -> Known:
        """Returns the position after the last record."""
        return Known(self.partition, self._offset, self._state())

    def read(self, received_at_ns: int) -> list[Record]:
        """Reads one piece; sets `is_at_end` if there was none."""
        data = self.reader.read(PIECE_BYTES)
        self.is_at_end = not data
        if not data:
            self.is_replaced = os.fstat(self.reader.fd).st_size < self.reader.raw_offset
            return []
        # Checked after reading: content that was replaced before cannot pass for the old.
        if not self.is_in_place():
            self.is_replaced = True
            return []
        self._refresh_head()
        self._forget_fault()
        self.has_pending, self.has_partial = True, not data.endswith(b"\n")
        self._prefix.feed(data)
        if self._framer is None:
            self._framer = self._new_framer(self.reader.offset - len(data))
        return self._records(self._framer.feed(data), received_at_ns)

    def is_in_place(self) -> bool:
        """Says whether the file still holds what was read from it."""
        if os.fstat(self.reader.fd).st_size < self.reader.raw_offset:
            return False
        if self.reader.is_gzip:
            return True
        head = os.pread(self.reader.fd, HEAD_BYTES, 0)
        return is_in_place(self.reader.fd, head, self.known())

    def flush(self, received_at_ns: int, *, is_end: bool = True) -> list[Record]:
        """Ends the event that is held back and, with `is_end`, the line that has no newline yet."""
        self.has_pending = False
        self.has_partial = self.has_partial and not is_end
        if self._framer is None:
            return []
        return self._records(self._framer.flush(is_end=is_end), received_at_ns)

    def finish(self, received_at_ns: int) -> list[Record]:
        """Flushes at the end of a file that is complete, or as complete as it will get."""
        records = self.flush(received_at_ns)
        fault = self.reader.fault
        if fault and (fault, self.reader.offset) != (self._fault, self._offset):
            self._fault = fault
            self._write_state()
            records += self._records([_fault_frame(self.reader.offset, fault)], received_at_ns)
        if self._held is not None:
            records.append(self._with_final(self._held))
            self._held = None
        return records

    def close(self) -> None:
        """Closes the file."""
        self.reader.close()

    def _records(self, frames: Iterable[Frame], received_at_ns: int) -> list[Record]:
        source, partition, labels = self._settings.source, self.partition, self._labels
        encoding, advance = self._settings.encoding, self._prefix.advance
        state_start, state_end = self._state_start, self._state_end
        records: list[Record] = []
        add = records.append
        start, start_crc, end, crc = self._crc
        for frame in frames:
            next_offset = frame.end
            value = advance(next_offset)
            if value >= 0:
                start, start_crc, end, crc = end, crc, next_offset, value
            add(
                Record(
                    source, partition, frame.start, next_offset, frame.data, received_at_ns,
                    encoding, (), labels,
                    f"{state_start}{start},{start_crc},{end},{crc}{state_end}",
                    frame.size_bytes, frame.fault,
                )
            )  # fmt: skip
        if records:
            self._crc, self._offset = (start, start_crc, end, crc), next_offset
        return self._hold_last(records) if self.reader.is_gzip else records

    def _hold_last(self, records: list[Record]) -> list[Record]:
        # The last record of a gzip file carries the mark that the whole file was read.
        if not records:
            return records
        held, self._held = self._held, records.pop()
        return records if held is None else [held, *records]

    def _with_final(self, record: Record) -> Record:
        status = os.fstat(self.reader.fd)
        final = (status.st_size, status.st_mtime_ns)
        return replace(record, state=msgspec.json.encode(self._state(final)).decode())

    def _state(self, final: tuple[int, int] = (0, 0)) -> FileState:
        return FileState(
            path=self._path,
            inode=self.inode,
            head=digest_head(self._head),
            crc=self._crc,
            gzip=self.reader.is_gzip,
            fault=self._fault,
            final=final,
        )

    def _new_framer(self, offset: int) -> LineFramer:
        return LineFramer(
            start=offset,
            record_bytes_max=self._settings.record_bytes_max,
            is_multiline=is_text(self._head),
        )

    def _refresh_head(self) -> None:
        if len(self._head) < HEAD_BYTES and not self.reader.is_gzip:
            self._head = os.pread(self.reader.fd, HEAD_BYTES, 0)
            self._write_state()

    def _forget_fault(self) -> None:
        if self._fault:
            self._fault = ""
            self._write_state()

    def _write_state(self) -> None:
        # Written by hand, split around the numbers that differ: encoding would cost 1 us a record.
        size_bytes, digest = digest_head(self._head)
        path = msgspec.json.encode(self._path).decode()
        names = f'"path":{path},"inode":"{self.inode}"'
        self._state_start = f'{{{names},"head":[{size_bytes},"{digest}"],"crc":['
        is_gzip = "true" if self.reader.is_gzip else "false"
        self._state_end = f'],"gzip":{is_gzip},"fault":"{self._fault}"}}'


class PrefixCrc:
    """The CRC-32 of a stream's first bytes, taken at ends of records.

    An end may lie before the bytes that came last, so those since the last end are kept, bounded:
    beyond that (in a record too long to keep) an end before the bound has no CRC of its own.
    """

    def __init__(self, offset: int, crc: int, kept_bytes_max: int) -> None:
        self._offset, self._crc = offset, crc
        self._kept_bytes_max = kept_bytes_max + 2 * PIECE_BYTES
        self._data, self._at = b"", 0

    def feed(self, data: bytes) -> None:
        """Appends bytes of the stream."""
        self._data, self._at = self._data[self._at :] + data, 0
        excess = len(self._data) - self._kept_bytes_max
        if excess > 0:
            self.advance(self._offset + excess)

    def advance(self, end: int) -> int:
        """Returns the CRC of the first `end` bytes, or -1 if they are no longer kept."""
        start = self._at
        stop = start + end - self._offset
        if stop < start:
            return -1
        self._at, self._offset = stop, end
        self._crc = crc = zlib.crc32(self._data[start:stop], self._crc)
        return crc


def is_text(head: bytes) -> bool:
    """Says whether lines may belong together; JSON lines never do, pretty-printed JSON does."""
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    return not text.startswith(b"{") or text.split(b"\n", 1)[0].strip() == b"{"


def _fault_frame(offset: int, fault: str) -> Frame:
    return Frame(data=b"", start=offset, end=offset, size_bytes=0, fault=fault)


def _labels_of(path: str, settings: TailSettings) -> Labels:
    """The labels of a file by where its content was first seen, so that rotation keeps them."""
    given = dict(settings.labels) | dict(settings.path_labels.of(path))
    return tuple(sorted({"file": os.path.basename(path), **given}.items()))
