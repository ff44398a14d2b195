from __future__ import annotations

import base64
import json

import pytest

ENVELOPE = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/plant/north",
    "type": "com.example.alarm",
    "subject": "P-101",
    "time": "2022-08-22T05:18:16Z",
    "partitionkey": "k",
}
NS = 1_661_145_496 * 10**9


@pytest.mark.parametrize(
    "data",
    [
        {"data": {"msg": "m", "level": "error"}},
        {"data": '{"msg":"m","level":"error"}'},
        {"data_base64": base64.b64encode(b'{"msg":"m","level":"error"}').decode()},
    ],
)
def test_structured_data_is_decoded_as_a_record_of_its_own(decode, data: dict[str, object]) -> None:
    (event,) = decode(json.dumps({**ENVELOPE, **data}).encode()).events
    assert (event.text, event.time_ns) == ("m", NS)
    assert dict(event.labels) == {
        "event_source": "/plant/north", "event_subject": "P-101",
        "event_type": "com.example.alarm", "severity": "error",
    }  # fmt: skip
    assert dict(event.attributes) == {"event_id": "e-1", "partitionkey": "k"}


def test_binary_mode_takes_the_envelope_from_headers(decode) -> None:
    headers = tuple((f"ce_{name}", value.encode()) for name, value in ENVELOPE.items())
    headers += (("content-type", b"text/plain; charset=utf-8"),)
    (event,) = decode(b"{pressure low}", headers=headers).events
    assert (event.text, event.time_ns) == ("{pressure low}", NS)
    assert ("event_type", "com.example.alarm") in event.labels


def test_the_time_of_the_data_goes_before_the_envelope_s(decode) -> None:
    data = {**ENVELOPE, "data": "2022-08-22T05:18:10Z x"}
    (event,) = decode(json.dumps(data).encode()).events
    assert event.time_ns == NS - 6 * 10**9


def test_an_envelope_without_data_says_its_type_and_subject(decode) -> None:
    (event,) = decode(json.dumps(ENVELOPE).encode()).events
    assert (event.text, event.time_ns) == ("com.example.alarm P-101", NS)


def test_a_batch_gives_an_event_for_each(decode) -> None:
    batch = [{**ENVELOPE, "data": "a"}, {**ENVELOPE, "data": "b"}]
    headers = (("content-type", b"application/cloudevents-batch+json"),)
    assert [e.text for e in decode(json.dumps(batch).encode(), headers=headers).events] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize("extra", [{"data_base64": "?"}, {"id": 7}])
def test_a_broken_envelope_is_a_dead_letter(decode, extra: dict[str, object]) -> None:
    data = json.dumps({**ENVELOPE, **extra}).encode()
    (letter,) = decode(data, encoding="cloudevents").dead_letters
    assert letter.reason == "bad-cloudevent"


def test_an_envelope_in_an_envelope_is_not_opened(decode) -> None:
    inner = {**ENVELOPE, "data": {"msg": "m"}}
    (event,) = decode(json.dumps({**ENVELOPE, "data": inner}).encode()).events
    assert '"specversion"' in event.text


def test_data_that_cannot_be_read_is_a_dead_letter(decode) -> None:
    headers = (("ce_specversion", b"1.0"), ("ce_type", b"t"))
    (letter,) = decode(b"\xff", headers=headers).dead_letters
    assert letter.reason == "not-utf8"
