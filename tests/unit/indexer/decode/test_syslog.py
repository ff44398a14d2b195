from __future__ import annotations

import pytest


def test_rfc_5424_with_structured_data(decode) -> None:
    (event,) = decode(
        b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 88 ID47 "
        b'[exampleSDID@32473 iut="3" eventSource="App\\"lication\\]"][x@1 a="b"] '
        b"\xef\xbb\xbfAn application event log entry"
    ).events
    assert event.text == "An application event log entry"
    assert event.time_ns == 1_065_910_455_003_000_000
    assert dict(event.labels) == {
        "facility": "local4", "host": "mymachine.example.com", "service": "evntslog",
        "severity": "info",
    }  # fmt: skip
    assert dict(event.attributes) == {
        "exampleSDID@32473.eventSource": 'App"lication]', "exampleSDID@32473.iut": "3",
        "msgid": "ID47", "pid": "88", "x@1.a": "b",
    }  # fmt: skip


def test_rfc_5424_with_nothing_but_nil_values_keeps_the_raw_text(decode) -> None:
    (event,) = decode(b"<0>1 - - - - - -").events
    assert event.text == "<0>1 - - - - - -"
    assert dict(event.labels) == {"facility": "kern", "severity": "fatal"}


def test_rfc_3164(decode) -> None:
    (event,) = decode(
        b"<34>Apr 11 22:14:15 mymachine su[12]: 'su root' failed on /dev/pts/8"
    ).events
    assert event.text == "'su root' failed on /dev/pts/8"
    assert event.time_ns == 1_712_873_655 * 10**9
    assert dict(event.labels) == {
        "facility": "auth", "host": "mymachine", "service": "su", "severity": "fatal",
    }  # fmt: skip
    assert event.attributes == (("pid", "12"),)


@pytest.mark.parametrize(
    ("line", "text", "labels"),
    [
        ("<13>Apr 11 22:14:15 cron[1]: x", "x", {"service": "cron"}),
        ("<13>2024-04-11T22:14:15.1+00:00 h t: x", "x", {"host": "h", "service": "t"}),
        ("<13>Apr 11 22:14:15 h no tag here", "no tag here", {"host": "h"}),
        ("<13>anything goes", "anything goes", {}),
        ("<13>1 not-a-time h a p m - x", "1 not-a-time h a p m - x", {}),
        ("<13>1 2024-04-11T22:14:15Z h a p m [broken x", "h a p m [broken x", None),
    ],
)
def test_what_only_begins_like_syslog_is_kept(decode, line: str, text: str, labels) -> None:
    (event,) = decode(line.encode()).events
    assert text in event.text
    if labels is not None:
        assert dict(event.labels) == {"facility": "user", "severity": "info", **labels}


def test_a_priority_is_not_needed_where_the_encoding_is_syslog(decode) -> None:
    (event,) = decode(b"Apr 11 22:14:15 h su: x", encoding="syslog").events
    assert (event.text, dict(event.labels)) == ("x", {"host": "h", "service": "su"})


def test_a_priority_that_cannot_be_is_text(decode) -> None:
    (event,) = decode(b"<999>x").events
    assert (event.text, event.labels) == ("<999>x", ())


def test_html_is_not_syslog(decode) -> None:
    (event,) = decode(b"<html> x").events
    assert (event.text, event.labels) == ("<html> x", ())
