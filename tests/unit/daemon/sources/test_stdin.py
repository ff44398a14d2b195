from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from dejalog.daemon.sources.stdin import StdinSource
from dejalog.daemon.sources.timing import Timing
from dejalog.indexer.event import Position, Record

QUICK = Timing(idle_flush_s=0.02, partial_line_s=0.1)


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb", buffering=0) as writer:
        yield reader, writer


def drain(source: StdinSource) -> list[Record]:
    records = []
    while not source.is_exhausted:
        records += source.poll(records_max=3, bytes_max=1 << 20, timeout_s=0.2)
    return records


def test_a_pipe_is_read_to_its_end_and_every_byte_is_counted(
    pipe: tuple[BinaryIO, BinaryIO],
) -> None:
    reader, writer = pipe
    source = StdinSource(reader, partition="press", labels=(("site", "north"),))
    writer.write(b"one\ntwo\n\nthree without an end")
    writer.close()
    records = drain(source)
    assert [record.data for record in records] == [b"one", b"two", b"three without an end"]
    assert [record.next_offset for record in records] == [4, 9, 29]
    assert {(record.source, record.partition, record.labels) for record in records} == {
        ("stdin", "press", (("site", "north"),))
    }


def test_an_open_pipe_gives_nothing_until_something_comes(
    pipe: tuple[BinaryIO, BinaryIO],
) -> None:
    reader, writer = pipe
    source = StdinSource(reader, timing=QUICK)
    assert source.poll(records_max=9, bytes_max=99, timeout_s=0.01) == []
    assert not source.is_exhausted
    writer.write(b"an event\n")
    assert [r.data for r in source.poll(records_max=9, bytes_max=99, timeout_s=5)] == [b"an event"]


def test_a_line_without_an_end_is_waited_for_longer_than_an_event(
    pipe: tuple[BinaryIO, BinaryIO],
) -> None:
    reader, writer = pipe
    source = StdinSource(reader, timing=Timing(idle_flush_s=0.02, partial_line_s=60))
    writer.write(b"whole\nha")
    assert [r.data for r in source.poll(records_max=9, bytes_max=99, timeout_s=5)] == [b"whole"]
    assert source.poll(records_max=9, bytes_max=99, timeout_s=0.05) == []
    writer.write(b"lf\n")
    assert [r.data for r in source.poll(records_max=9, bytes_max=99, timeout_s=5)] == [b"half"]
    impatient = StdinSource(reader, timing=QUICK)
    writer.write(b"never ended")
    records = impatient.poll(records_max=9, bytes_max=99, timeout_s=5)
    assert [record.data for record in records] == [b"never ended"]


def test_a_stream_of_the_same_name_goes_on_counting(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reader, writer = pipe
    source = StdinSource(reader, partition="press")
    source.seek({("stdin", "press"): Position("stdin", "press", 100)})
    writer.write(b"abc\n")
    writer.close()
    assert [(record.offset, record.next_offset) for record in drain(source)] == [(100, 104)]


def test_unnamed_streams_are_told_apart(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reader, writer = pipe
    writer.write(b"a\n")
    writer.close()
    assert drain(StdinSource(reader))[0].partition != StdinSource(reader)._partition


def test_limits_of_a_poll_hold_and_nothing_is_lost(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reader, writer = pipe
    source = StdinSource(reader)
    writer.write(b"".join(b"%03d\n" % number for number in range(100)))
    writer.close()
    sizes = []
    lines: list[bytes] = []
    while not source.is_exhausted:
        records = source.poll(records_max=50, bytes_max=30, timeout_s=1)
        sizes.append(len(records))
        lines += [record.data for record in records]
    assert max(sizes) == 10
    assert lines == [b"%03d" % number for number in range(100)]


def test_finishing_hands_out_what_was_taken_and_takes_no_more(
    pipe: tuple[BinaryIO, BinaryIO],
) -> None:
    # Stopping lost all that one read had taken from the pipe beyond the first batch, and the last
    # line, which was still held back in case that more of it came.
    reader, writer = pipe
    source = StdinSource(reader, timing=Timing(idle_flush_s=60, partial_line_s=60))
    writer.write(b"one\ntwo\nthree\nfo")
    records = source.poll(records_max=1, bytes_max=99, timeout_s=5)
    source.finish()
    writer.write(b"ur\n")
    assert not source.is_exhausted
    records += drain(source)
    assert [record.data for record in records] == [b"one", b"two", b"three", b"fo"]
    assert records[-1].next_offset == 16
    assert os.read(reader.fileno(), 99) == b"ur\n"
