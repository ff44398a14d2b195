from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from dejalog.indexer.decode import ENCODINGS, Decoder, DecodeSettings
from dejalog.indexer.decode.draft import Items
from dejalog.indexer.event import Record, TimeOrigin

LOGS = Path(__file__).parents[4] / ".." / "shared" / "data" / "logs"


def test_a_fault_of_the_source_becomes_the_reason(decode) -> None:
    (letter,) = decode(b"start", fault="oversized", size_bytes=50_000_000).dead_letters
    assert (letter.reason, letter.data, letter.size_bytes) == ("oversized", b"start", 50_000_000)


def test_an_oversized_record_keeps_its_first_bytes(decode) -> None:
    (letter,) = decode(b"x" * ((1 << 20) + 1)).dead_letters
    assert letter.reason == "oversized"
    assert (len(letter.data), letter.size_bytes) == (1 << 16, (1 << 20) + 1)
    assert decode(b"x" * (1 << 20)).dead_letters == ()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("data", [b"", b" \r\n\t"])
def test_a_blank_record_is_an_empty_dead_letter(decode, data: bytes, encoding: str) -> None:
    decoded = decode(data, encoding=encoding)
    assert [d.reason for d in decoded.dead_letters] == ["empty"]
    assert decoded.events == ()


def test_white_space_of_unicode_is_blank_too(decode) -> None:
    for encoding in ("auto", "text", "syslog"):
        assert decode(b"\xc2\xa0\x1f", encoding=encoding).dead_letters[0].reason == "empty"


@pytest.mark.parametrize("encoding", ["auto", "text", "json", "syslog", "note"])
def test_bytes_that_are_not_utf8_are_a_dead_letter_that_says_where(decode, encoding: str) -> None:
    (letter,) = decode(b"caf\xe9 au lait", encoding=encoding).dead_letters
    assert letter.reason == "not-utf8"
    assert "byte 3 (0xe9)" in letter.detail
    assert letter.data == b"caf\xe9 au lait"
    assert (letter.source, letter.partition, letter.offset) == ("s", "p", 7)


def test_control_characters_are_text(decode) -> None:
    data = bytes(range(1, 10)) + b"\x00\x1b[31mred\x7f"
    assert decode(data).events[0].text == data.decode()


def test_an_unknown_encoding_is_a_dead_letter(decode) -> None:
    (letter,) = decode(b"x", encoding="xml").dead_letters
    assert letter.reason == "unknown-encoding"


def test_the_encoding_of_the_settings_serves_where_the_record_has_none(received_ns: int) -> None:
    decoder = Decoder(DecodeSettings(encoding="text"))
    (event,) = decoder.decode(Record("s", "p", 0, 1, b'{"msg":"x"}', received_ns)).events
    assert event.text == '{"msg":"x"}'
    made = Record("s", "p", 0, 1, b'{"msg":"x"}', received_ns, encoding="json")
    assert decoder.decode(made).events[0].text == "x"


@pytest.mark.parametrize(
    ("content_type", "data", "text"),
    [
        (b"text/plain", b'{"msg":"x"}', '{"msg":"x"}'),
        (b"Application/JSON; charset=utf-8", b'{"msg":"x"}', "x"),
        (b"application/vnd.acme+json", b'{"msg":"x"}', "x"),
        (b"application/octet-stream", b"x", "x"),
        (b"\xff", b"x", "x"),
    ],
)
def test_the_content_type_goes_before_the_first_bytes(
    decode, content_type: bytes, data: bytes, text: str
) -> None:
    assert decode(data, headers=(("Content-Type", content_type),)).events[0].text == text


@pytest.mark.parametrize(
    "line", ["2999-01-01T00:00:00Z x", "1066-10-14 09:00:00 x", "2022-99-99 05:18:16 x"]
)
def test_an_impossible_time_keeps_the_event(decode, line: str, received_ns: int) -> None:
    (event,) = decode(line.encode()).events
    assert (event.text, event.time_ns) == (line, received_ns)
    assert event.time_origin is TimeOrigin.RECEIVED
    assert event.attributes == (("time.written", line[:-2]),)


def test_events_beyond_the_bound_are_one_dead_letter(received_ns: int) -> None:
    decoder = Decoder(DecodeSettings(events_per_record_max=3))
    data = b"[" + b",".join([b'{"msg":"x"}'] * 10) + b"]"
    decoded = decoder.decode(Record("s", "p", 0, 1, data, received_ns))
    assert len(decoded.events) == 3
    (letter,) = decoded.dead_letters
    assert (letter.reason, letter.sub) == ("too-many-events", 3)
    assert "more than 3" in letter.detail
    assert letter.data == data


def test_a_fault_of_ours_is_a_dead_letter(
    received_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Items:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Decoder, "_items", broken)
    (letter,) = Decoder().decode(Record("s", "p", 0, 1, b"x", received_ns)).dead_letters
    assert (letter.reason, letter.data) == ("decode-failed", b"x")
    assert "ZeroDivisionError" in letter.detail


def test_random_bytes_are_all_accounted_for(decode) -> None:
    data = os.urandom(1 << 18)
    for encoding in ENCODINGS:
        for start in range(0, len(data), 1024):
            decoded = decode(data[start : start + 1024], encoding=encoding)
            assert decoded.events or decoded.dead_letters


@pytest.mark.skipif(not LOGS.is_dir(), reason="the shared log samples are not beside the clone")
@pytest.mark.parametrize("name", ["HDFS", "BGL", "Linux", "Zookeeper", "HealthApp", "Android"])
def test_every_line_of_real_logs_is_an_event_with_its_time(decode, name: str) -> None:
    lines = (LOGS / "loghub" / f"{name}_2k.log").read_bytes().splitlines()
    events = [event for line in lines for event in decode(line).events]
    assert len(events) == 2000
    assert {event.time_origin for event in events} == {TimeOrigin.EVENT}
    assert [event.text for event in events] == [line.decode() for line in lines]


@pytest.mark.skipif(not LOGS.is_dir(), reason="the shared log samples are not beside the clone")
def test_real_container_logs_have_times_to_the_nanosecond_and_severities(decode) -> None:
    with gzip.open(LOGS / "nezha_onlineboutique.log.gz") as stream:
        lines = [stream.readline() for _ in range(2000)]
    events = [decode(line).events[0] for line in lines]
    for event in events:
        fraction = f"{event.time_ns % 10**9:09}".rstrip("0")
        assert f".{fraction}" in event.text[:30]
    assert sum("severity" in dict(event.labels) for event in events) > 1500
