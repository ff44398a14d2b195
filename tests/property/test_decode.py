"""Properties of framing and decoding over arbitrary bytes."""

from __future__ import annotations

import itertools
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dejalog.indexer.decode import ENCODINGS, Decoder, DecodeSettings
from dejalog.indexer.event import Decoded, Record, TimeOrigin
from dejalog.indexer.framing import Frame, LineFramer

RECEIVED_NS = 1_714_651_200 * 10**9

_PIECES = st.sampled_from(
    [
        b"\n", b"\r\n", b" ", b"\t", b"\x00", b"\xff", b"x", b"\n\n\n\n\n\n", b"long line here\n",
        b"Traceback (most recent call last):\n", b"KeyError: 'k'\n", b"Caused by: x\n", b"}\n",
        b"  at a.b(C)\n", b"goroutine 1 [\n", b"main.main()\n", b"a.b.CException: x\n", b"{\n",
        b"2022-08-22T05:18:16Z ERROR x\n",
    ]
)  # fmt: skip
STREAMS = st.lists(_PIECES | st.binary(max_size=12), max_size=40).map(b"".join)


def framed(chunks: list[bytes], size_max: int, *, is_multiline: bool) -> list[Frame]:
    framer = LineFramer(start=5, record_bytes_max=size_max, is_multiline=is_multiline)
    got = [frame for chunk in chunks for frame in framer.feed(chunk)]
    got += framer.flush()
    assert framer.pending_bytes == 5 + sum(map(len, chunks)) - framer.offset
    return got


@given(STREAMS, st.lists(st.integers(0, 400), max_size=8), st.integers(1, 60), st.booleans())
def test_frames_are_the_same_for_any_chunking_and_tile_the_stream(
    stream: bytes, cuts: list[int], size_max: int, is_multiline: bool
) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    whole = framed([stream], size_max, is_multiline=is_multiline)
    assert framed(chunks, size_max, is_multiline=is_multiline) == whole
    bytewise = [stream[at : at + 1] for at in range(len(stream))]
    assert framed(bytewise, size_max, is_multiline=is_multiline) == whole
    at = 5
    for frame in whole:
        assert frame.start == at < frame.end
        covered = stream[frame.start - 5 : frame.end - 5]
        if frame.fault:
            assert covered.strip(b"\n\r\t \x0b\x0c").startswith(
                frame.data.strip(b"\n\r\t \x0b\x0c")
            )
            assert frame.size_bytes > size_max
        else:
            assert len(frame.data) == frame.size_bytes <= size_max
            assert covered.split() == frame.data.split()
        at = frame.end
    assert not stream[at - 5 :].strip()


def accounted(decoded: Decoded, record: Record) -> None:
    """Check what holds for every record: numbering, names, order, bounds and UTF-8."""
    subs = [item.sub for item in (*decoded.events, *decoded.dead_letters)]
    assert sorted(subs) == list(range(len(subs)))
    assert subs
    for event in decoded.events:
        assert (event.source, event.offset) == (record.source, record.offset)
        assert event.text.strip()
        event.text.encode()
        assert 0 <= event.time_ns < 1 << 63
        if event.time_origin is TimeOrigin.RECEIVED:
            assert event.time_ns == record.received_at_ns
        for pairs in (event.labels, event.attributes):
            names = [name for name, _ in pairs]
            assert names == sorted(set(names))
            assert all(value.encode() is not None for _, value in pairs)
    for letter in decoded.dead_letters:
        assert letter.reason
        assert letter.detail


DECODER = Decoder(DecodeSettings(attributes_max=8, labels_max=4, attribute_chars_max=64))
_NAMES = st.sampled_from(
    ["message", "msg", "log", "time", "timestamp", "level", "severity", "labels", "host", "site",
     "note", "action", "work_order", "resourceLogs", "scopeLogs", "logRecords", "body", "kind",
     "specversion", "id", "source", "type", "data", "short_message", "version", "MESSAGE",
     "__REALTIME_TIMESTAMP", "stack_trace", "a.b", "", "timeUnixNano", "traceId", "resource"]
) | st.text(max_size=5)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["2022-08-22T05:18:16Z", "error", "{\"msg\":\"x\"}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=6),
    max_leaves=25,
)  # fmt: skip
_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["content-type", "ce_specversion", "ce_time", "ce_type", "x"]),
        st.sampled_from([b"application/json", b"application/x-protobuf", b"1.0", b"", b"\xff"]),
    ),
    max_size=3,
).map(tuple)


@settings(max_examples=300)
@given(STREAMS, st.sampled_from(ENCODINGS), _HEADERS)
@example(b"\x0a\x00", "auto", ())
@example(b"<34>1 2003-10-11T22:14:15.003Z h a p m [", "syslog", ())
def test_any_bytes_are_accounted_for(
    data: bytes, encoding: str, headers: tuple[tuple[str, bytes], ...]
) -> None:
    record = Record("s", "p", 3, 4, data, RECEIVED_NS, encoding, headers)
    decoded = DECODER.decode(record)
    accounted(decoded, record)
    assert all(letter.reason != "decode-failed" for letter in decoded.dead_letters)


@settings(max_examples=300)
@given(_JSON, st.sampled_from(ENCODINGS))
def test_any_json_is_accounted_for(value: object, encoding: str) -> None:
    data = json.dumps(value).encode()
    record = Record("s", "p", 3, 4, data, RECEIVED_NS, encoding, labels=(("site", "A"),))
    decoded = DECODER.decode(record)
    accounted(decoded, record)
    assert all(letter.reason != "decode-failed" for letter in decoded.dead_letters)


@given(st.text(), st.integers(-(1 << 70), 1 << 70))
def test_any_line_after_any_head_keeps_its_whole_text(line: str, number: int) -> None:
    for head in (f"{number} ", f"[{number}] ", "2022-08-22 05:18:16 ", "Aug 22 05:18:16 h t: "):
        data = (head + line).encode(errors="replace")
        record = Record("s", "p", 3, 4, data, RECEIVED_NS, "text")
        decoded = DECODER.decode(record)
        accounted(decoded, record)
        assert decoded.events[0].text == data.decode().rstrip("\r\n")
