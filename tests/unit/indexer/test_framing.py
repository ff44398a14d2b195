from __future__ import annotations

import gzip
import itertools
import os
from pathlib import Path

import pytest

from dejalog.indexer.framing import BLANK_LINES_MAX, CUT_BYTES, LINES_MAX, Frame, LineFramer

SAMPLE = Path(__file__).parents[3] / ".." / "shared" / "data" / "logs" / "nezha_trainticket.log.gz"


def frames(stream: bytes, **options: object) -> list[Frame]:
    framer = LineFramer(**options)
    return framer.feed(stream) + framer.flush()


def texts(stream: bytes, **options: object) -> list[bytes]:
    return [frame.data for frame in frames(stream, **options)]


def test_each_line_is_a_frame_with_its_offsets() -> None:
    assert frames(b"one\ntwo\r\nthree", start=100) == [
        Frame(b"one", 100, 104, 3),
        Frame(b"two", 104, 109, 3),
        Frame(b"three", 109, 114, 5),
    ]


def test_a_frame_is_given_when_the_next_event_starts() -> None:
    framer = LineFramer()
    assert framer.feed(b"one\n") == []
    assert (framer.offset, framer.pending_bytes) == (0, 4)
    assert [frame.data for frame in framer.feed(b"two\nth")] == [b"one"]
    assert (framer.offset, framer.pending_bytes) == (4, 6)
    assert [frame.data for frame in framer.flush()] == [b"two", b"th"]
    assert (framer.offset, framer.pending_bytes) == (10, 0)


def test_single_lines_are_given_at_their_newline() -> None:
    framer = LineFramer(is_multiline=False)
    assert [frame.data for frame in framer.feed(b"one\n two\nth")] == [b"one", b" two"]


def test_an_idle_flush_leaves_the_line_that_is_being_written() -> None:
    framer = LineFramer()
    framer.feed(b"one\ntw")
    assert [frame.data for frame in framer.flush(is_end=False)] == [b"one"]
    assert framer.pending_bytes == 2
    framer.feed(b"o\n")
    assert [frame.data for frame in framer.flush()] == [b"two"]


JAVA = (
    b"2022-08-22 ERROR failed\njava.lang.IllegalStateException: x\n\tat a.b.C(C.java:1)\n"
    b"\t... 3 more\nCaused by: java.io.IOException: y\n\tat a.b.D(D.java:2)\n... 5 more\n"
)
PYTHON = (
    b"ERROR:root:failed\nTraceback (most recent call last):\n  File 'a.py', line 1, in f\n"
    b"    x()\nKeyError: 'k'\n\nDuring handling of the above exception, another exception occurred:"
    b"\n\nTraceback (most recent call last):\n  File 'a.py', line 2, in g\nmy.pkg.CustomError\n"
)
GO = (
    b"panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n"
    b"\t/a/main.go:10 +0x20\ncreated by main.start\nexit status 2\n"
)
JSON = b'{\n  "a": 1,\n  "b": [\n    2\n  ]\n}\n'


@pytest.mark.parametrize(
    "event", [JAVA, PYTHON, GO, JSON, b"[\n  1\n]\n", b"a\n  indented\n\n  b\n"]
)
def test_an_event_of_many_lines_is_one_frame(event: bytes) -> None:
    assert texts(event + b"INFO next\n" + event) == [event[:-1], b"INFO next", event[:-1]]


@pytest.mark.parametrize(
    "stream",
    [
        b"one\ntwo\n",
        b"a b\nat noon\nerror: x\ncom.example started\n",
        b"KeyError: x\nValueError: y\n",
        b"{}\n{}\n[1]\n",
        b"  one\n  two\n",  # all indented alike: a column, not a trace
        b"goroutines: 4\nmain.main()\n",
        b"ERROR x\nTraceback of the part\nINFO y\n",
    ],
)
def test_lines_that_can_be_events_are_events(stream: bytes) -> None:
    assert texts(stream) == stream.splitlines()


def test_after_a_traceback_the_next_line_is_a_new_event() -> None:
    stream = b"Traceback (most recent call last):\n  x\nKeyError: k\nINFO: next\n"
    assert texts(stream) == [stream[:-12], b"INFO: next"]


def test_blank_lines_belong_to_the_frame_before_or_else_after() -> None:
    assert frames(b"\n \none\n\n\ntwo\n\n") == [Frame(b"one", 0, 9, 3), Frame(b"two", 9, 14, 3)]
    assert frames(b"one\n\ntwo\n", is_multiline=False) == [
        Frame(b"one", 0, 4, 3),
        Frame(b"two", 4, 9, 3),
    ]


def test_blank_lines_alone_are_no_frame() -> None:
    framer = LineFramer()
    assert framer.feed(b"\n\n \n") + framer.flush() == []
    assert framer.pending_bytes == 4


def test_too_many_blank_lines_end_an_event() -> None:
    few, many = b"\n" * BLANK_LINES_MAX, b"\n" * (BLANK_LINES_MAX + 1)
    assert len(texts(b"one\n" + few + b"  two\n")) == 1
    assert texts(b"one\n" + many + b"  two\n") == [b"one", b"  two"]


def test_an_oversized_line_is_cut_and_counted() -> None:
    stream = b"one\n" + b"x" * 200_000 + b"\n  two\n"
    first, second, third = frames(stream, record_bytes_max=100_000)
    assert (first.data, third.data) == (b"one", b"  two")
    assert second == Frame(b"x" * CUT_BYTES, 4, 200_005, 200_000, "oversized")


def test_a_line_of_fifty_megabytes_is_not_kept_in_memory() -> None:
    framer = LineFramer()
    for _ in range(50):
        assert framer.feed(b"y" * 1_000_000) == []
        assert sum(map(len, framer._parts)) <= 1 << 20
    (frame,) = framer.feed(b"\n")[:1]
    assert (frame.size_bytes, len(frame.data), frame.end) == (50_000_000, CUT_BYTES, 50_000_001)


def test_an_event_of_too_many_bytes_or_lines_is_cut_into_frames_with_nothing_lost() -> None:
    stream = b"head\n" + b"  line of a trace\n" * 3000
    for options in ({}, {"record_bytes_max": 500}):
        got = frames(stream, **options)
        assert b"\n".join(frame.data for frame in got) + b"\n" == stream
        assert all(len(frame.data) <= options.get("record_bytes_max", 1 << 20) for frame in got)
        assert all(frame.data.count(b"\n") < LINES_MAX for frame in got)
        assert all(not frame.fault for frame in got)
    assert len(frames(stream)) == 4


def test_random_bytes_are_tiled() -> None:
    stream = os.urandom(1 << 20)
    got = frames(stream)
    assert got[0].start == 0
    assert all(a.end == b.start for a, b in itertools.pairwise(got))
    assert got[-1].end == len(stream)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the shared log samples are not beside the clone")
def test_every_line_of_a_real_log_is_a_frame() -> None:
    framer, count, lines = LineFramer(), 0, 0
    with gzip.open(SAMPLE) as stream:
        while lines < 50_000 and (chunk := stream.read(1 << 16)):
            lines += chunk.count(b"\n")
            count += len(framer.feed(chunk))
    assert count + 1 == lines
