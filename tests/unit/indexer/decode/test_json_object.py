"""Records as log shippers write them; the expected values follow their own documentation."""

from __future__ import annotations

import pytest

from dejalog.indexer.event import Decoded, Event, TimeOrigin

NS = 1_661_145_496_154_660_034


def event(decoded: Decoded) -> Event:
    assert decoded.dead_letters == ()
    assert len(decoded.events) == 1
    return decoded.events[0]


def test_fluent_bit(decode) -> None:
    got = event(
        decode(
            b'{"@timestamp":1661145496.154660034,"log":"ERROR: disk full\\n","stream":"stderr",'
            b'"kubernetes":{"pod_name":"a-1","namespace_name":"plant","labels":{"app":"hist"},'
            b'"host":"n1"}}'
        )
    )
    assert (got.text, got.time_ns, got.time_origin) == ("ERROR: disk full", NS, TimeOrigin.EVENT)
    assert dict(got.labels) == {
        "severity": "error", "stream": "stderr", "pod": "a-1", "namespace": "plant",
        "service": "hist", "node": "n1",
    }  # fmt: skip


def test_vector(decode) -> None:
    got = event(
        decode(
            b'{"message":"m","timestamp":"2022-08-22T05:18:16.154660034Z","host":"h",'
            b'"source_type":"file","file":"/var/log/x","line":7}'
        )
    )
    assert (got.text, got.time_ns) == ("m", NS)
    assert got.labels == (("host", "h"),)
    assert dict(got.attributes) == {"source_type": "file", "file": "/var/log/x", "line": "7"}


@pytest.mark.parametrize(
    "data",
    [
        b'{"@timestamp":"2022-08-22T05:18:16.154660034Z","log.level":"Error","message":"m",'
        b'"host.name":"h","service.name":"s","labels.site":"A"}',
        b'{"@timestamp":"2022-08-22T05:18:16.154660034Z","log":{"level":"Error"},"message":"m",'
        b'"host":{"name":"h"},"service":{"name":"s"},"labels":{"site":"A"}}',
    ],
)
def test_ecs_dotted_and_nested_are_the_same(decode, data: bytes) -> None:
    got = event(decode(data))
    assert (got.text, got.time_ns) == ("m", NS)
    assert dict(got.labels) == {"severity": "error", "host": "h", "service": "s", "site": "A"}


def test_the_stack_trace_of_ecs_is_part_of_the_text(decode) -> None:
    got = event(
        decode(b'{"message":"m","error":{"stack_trace":"java.lang.E: x\\n\\tat a.b(C:1)"}}')
    )
    assert got.text == "m\njava.lang.E: x\n\tat a.b(C:1)"


@pytest.mark.parametrize("message", ['"caf\u00e9"', "[99,97,102,195,169]"])
def test_journald_with_text_and_with_bytes(decode, message: str) -> None:
    data = (
        f'{{"__REALTIME_TIMESTAMP":"1661145496154660","PRIORITY":"3","MESSAGE":{message},'
        '"_HOSTNAME":"h","SYSLOG_IDENTIFIER":"sshd","_SYSTEMD_UNIT":"ssh.service","_PID":"9"}'
    )
    got = event(decode(data.encode()))
    assert (got.text, got.time_ns) == ("caf\u00e9", NS // 1000 * 1000)
    assert dict(got.labels) == {
        "severity": "error", "host": "h", "service": "sshd", "systemd_unit": "ssh.service",
    }  # fmt: skip
    assert ("_PID", "9") in got.attributes


def test_a_journald_message_that_is_not_utf8_is_a_dead_letter(decode) -> None:
    decoded = decode(b'{"__CURSOR":"c","MESSAGE":[97,255]}')
    assert decoded.events == ()
    assert (decoded.dead_letters[0].reason, decoded.dead_letters[0].data) == ("not-utf8", b"a\xff")


def test_gelf(decode) -> None:
    got = event(
        decode(
            b'{"version":"1.1","host":"h","short_message":"s","full_message":"s\\n\\tat x",'
            b'"timestamp":1661145496.154660034,"level":4,"_site":"A","_took":3}'
        )
    )
    assert (got.text, got.time_ns) == ("s\n\tat x", NS)
    assert dict(got.labels) == {"severity": "warn", "host": "h", "site": "A"}
    assert ("took", "3") in got.attributes


def test_bunyan_levels(decode) -> None:
    got = event(decode(b'{"name":"x","hostname":"h","pid":1,"level":50,"msg":"m","v":0}'))
    assert ("severity", "error") in got.labels


def test_a_number_that_may_be_any_level_stays_an_attribute(decode) -> None:
    got = event(decode(b'{"msg":"m","level":3}'))
    assert got.labels == ()
    assert got.attributes == (("level", "3"),)


def test_json_in_a_container_s_log_field_is_opened(decode) -> None:
    got = event(
        decode(
            b'{"log":"{\\"level\\":\\"warn\\",\\"msg\\":\\"slow\\",\\"time\\":\\"2022-08-22T'
            b'05:18:16.154660034Z\\"}\\n","stream":"stdout","time":"2022-08-22T05:18:17Z"}'
        )
    )
    assert (got.text, got.time_ns) == ("slow", NS)
    assert dict(got.labels) == {"severity": "warn", "stream": "stdout"}
    assert got.attributes == (("outer.time", "2022-08-22T05:18:17Z"),)


def test_an_object_without_a_message_is_its_own_text(decode) -> None:
    data = b'{ "pressure": 4.10, "site": "A", "ok": true }'
    got = event(decode(data))
    assert got.text == data.decode()
    assert (got.labels, got.attributes) == ((("site", "A"),), ())


def test_a_word_for_the_severity_other_than_ours_is_kept(decode) -> None:
    got = event(decode(b'{"msg":"m","level":"NOTICE"}'))
    assert got.labels == (("severity", "info"),)
    assert got.attributes == (("severity.written", "NOTICE"),)


@pytest.mark.parametrize("written", ['"2999-01-01T00:00:00Z"', '"0001-01-01T00:00:00Z"', '"soon"'])
def test_an_impossible_time_is_kept_and_replaced(decode, written: str, received_ns: int) -> None:
    got = event(decode(f'{{"msg":"m","time":{written}}}'.encode()))
    assert (got.time_ns, got.time_origin) == (received_ns, TimeOrigin.RECEIVED)
    assert dict(got.attributes)["time.written"] == written.strip('"')


def test_the_second_time_field_serves_where_the_first_cannot(decode) -> None:
    got = event(decode(b'{"msg":"m","timestamp":"?","ts":1661145496.154660034}'))
    assert (got.time_ns, got.time_origin) == (NS, TimeOrigin.EVENT)
    assert got.attributes == (("timestamp", "?"),)


def test_the_time_at_the_head_of_the_message_serves_where_no_field_has_one(decode) -> None:
    got = event(decode(b'{"message":"2022-08-22T05:18:16.154660034Z WARN x"}'))
    assert (got.time_ns, got.labels) == (NS, (("severity", "warn"),))
