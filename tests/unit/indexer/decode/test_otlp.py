from __future__ import annotations

import json

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from dejalog.indexer.decode import otlp
from dejalog.indexer.event import TimeOrigin

TRACE_ID = bytes(range(16))
SPAN_ID = bytes(range(8))
NS = 1_661_145_496_154_660_034


def pair(key: str, text: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=text))


def logs(*records: LogRecord) -> LogsData:
    resource = Resource(
        attributes=[
            pair("service.name", "hist"),
            pair("device.id", "gw-1"),
            pair("plant.zone", "3"),
            pair("process.pid", "77"),
        ]
    )
    return LogsData(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=records)])]
    )


FULL = LogRecord(
    time_unix_nano=NS,
    severity_number=17,
    severity_text="ERROR",
    body=AnyValue(string_value="disk full\n"),
    attributes=[pair("path", "/data"), pair("exception.stacktrace", "E: x\n\tat y")],
    trace_id=TRACE_ID,
    span_id=SPAN_ID,
)


def as_json(data: LogsData) -> bytes:
    """OTLP/JSON as the specification has it: ids in hexadecimal, enums as numbers."""
    value = MessageToDict(data, use_integers_for_enums=True)
    for record in value["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        if "traceId" in record:
            record["traceId"], record["spanId"] = TRACE_ID.hex(), SPAN_ID.hex()
    return json.dumps(value).encode()


@pytest.mark.parametrize("encoding", ["auto", "otlp"])
@pytest.mark.parametrize("form", ["proto", "json"])
def test_protobuf_and_json_give_the_same_event(decode, encoding: str, form: str) -> None:
    data = logs(FULL).SerializeToString() if form == "proto" else as_json(logs(FULL))
    (event,) = decode(data, encoding=encoding if encoding == "auto" else f"otlp_{form}").events
    assert (event.time_ns, event.time_origin) == (NS, TimeOrigin.EVENT)
    assert event.text == "disk full\nE: x\n\tat y"
    assert dict(event.labels) == {
        "device": "gw-1", "plant.zone": "3", "service": "hist", "severity": "error",
    }  # fmt: skip
    assert dict(event.attributes) == {
        "path": "/data", "process.pid": "77", "span_id": SPAN_ID.hex(), "trace_id": TRACE_ID.hex(),
    }  # fmt: skip


def test_ids_in_base64_are_read_too(decode) -> None:
    (event,) = decode(json.dumps(MessageToDict(logs(FULL))).encode()).events
    assert dict(event.attributes)["trace_id"] == TRACE_ID.hex()
    assert dict(event.labels)["severity"] == "error"


def test_every_log_record_is_an_event(decode) -> None:
    records = [LogRecord(body=AnyValue(string_value=str(n))) for n in range(5)]
    decoded = decode(logs(*records).SerializeToString())
    assert [(e.text, e.sub) for e in decoded.events] == [(str(n), n) for n in range(5)]


def test_the_observed_time_serves_where_there_is_no_other(decode, received_ns: int) -> None:
    body = AnyValue(string_value="x")
    observed = LogRecord(body=body, observed_time_unix_nano=NS)
    first, second = decode(logs(observed, LogRecord(body=body)).SerializeToString()).events
    assert first.time_ns == NS
    assert (second.time_ns, second.time_origin) == (received_ns, TimeOrigin.RECEIVED)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (AnyValue(int_value=7), "7"),
        (AnyValue(bool_value=False), "false"),
        (AnyValue(bytes_value=b"ok"), "ok"),
        (AnyValue(bytes_value=b"\xff\x00"), "ff00"),
        (AnyValue(kvlist_value=KeyValueList(values=[pair("a", "b")])), '{"a":"b"}'),
        (AnyValue(kvlist_value=KeyValueList(values=[pair("msg", "m"), pair("a", "b")])), "m"),
    ],
)
def test_a_body_of_any_kind_becomes_text(decode, body: AnyValue, text: str) -> None:
    (event,) = decode(logs(LogRecord(body=body)).SerializeToString()).events
    assert event.text == text


def test_a_log_record_without_words_is_a_dead_letter_among_events(decode) -> None:
    decoded = decode(logs(LogRecord(), FULL).SerializeToString())
    assert [d.reason for d in decoded.dead_letters] == ["empty"]
    assert [e.sub for e in decoded.events] == [1]


def test_a_malformed_log_record_is_refused_alone(decode) -> None:
    value = json.loads(as_json(logs(FULL, FULL)))
    value["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"] = "soon"
    decoded = decode(json.dumps(value).encode())
    assert [d.reason for d in decoded.dead_letters] == ["bad-otlp"]
    assert [e.sub for e in decoded.events] == [1]


@pytest.mark.parametrize(
    "value",
    [
        {"resourceLogs": 7},
        {"resourceLogs": [7]},
        {"resourceLogs": [{"resource": 7}]},
        {"resourceLogs": [{"scopeLogs": [{"scope": [], "logRecords": [{}]}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [3]}]}]},
    ],
)
def test_json_of_the_wrong_shape_is_a_dead_letter(decode, value: object) -> None:
    decoded = decode(json.dumps(value).encode())
    assert decoded.events == ()
    assert decoded.dead_letters


def test_bytes_that_are_no_message_are_a_dead_letter(decode) -> None:
    (letter,) = decode(b"\x0a\x05hello", encoding="otlp_proto").dead_letters
    assert letter.reason == "bad-otlp"
    (letter,) = decode(b"[1]", encoding="otlp_json").dead_letters
    assert letter.reason == "bad-json"


def test_text_that_begins_with_a_newline_is_not_taken_for_protobuf(decode) -> None:
    assert not otlp.is_logs_data(b"\nhello world")
    assert decode(b"\nhello world").events[0].text == "\nhello world"


def test_a_key_that_comes_twice_keeps_both_values(decode) -> None:
    record = LogRecord(body=AnyValue(string_value="x"), attributes=[pair("k", "1"), pair("k", "2")])
    (event,) = decode(logs(record).SerializeToString()).events
    assert {("k", "1"), ("k#2", "2")} <= set(event.attributes)
