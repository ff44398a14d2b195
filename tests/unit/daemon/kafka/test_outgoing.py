from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.kafka.outgoing import is_published, lesser, outgoing
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.event import DeadLetter

SETTINGS = KafkaSettings(group="plant-7", dead_letter_suffix=".dlq")
LETTER = DeadLetter(
    "bad-json", "not JSON: \u00e9", b"{x", 2, 1_700_000_000_123_456_789, "kafka:logs", "3", 41, 2,
    b"P-101", (("trace", b"\x00"), ("trace", b"\x01")),
)  # fmt: skip


def test_a_record_keeps_what_it_had_and_says_what_became_of_it() -> None:
    made = outgoing(17, LETTER, SETTINGS)
    assert (made.topic, made.partition, made.key, made.value) == ("logs.dlq", 3, b"P-101", b"{x")
    assert made.timestamp_ms == 1_700_000_000_123
    assert made.headers[:2] == LETTER.headers
    added = dict(made.headers[2:])
    assert added["__connect.errors.topic"] == b"logs"
    assert added["__connect.errors.partition"] == b"3"
    assert added["__connect.errors.offset"] == b"41"
    assert added["__connect.errors.exception.class.name"] == b"dejalog.bad-json"
    assert added["__connect.errors.exception.message"] == "not JSON: \u00e9".encode()
    assert (added["dejalog.dead_letter"], added["dejalog.sub"]) == (b"17", b"2")
    assert "dejalog.value.cut" not in added


def test_a_cut_value_says_how_long_it_was() -> None:
    made = outgoing(17, replace(LETTER, size_bytes=5_000_000), SETTINGS)
    assert dict(made.headers)["dejalog.value.cut"] == b"5000000"


@pytest.mark.parametrize(
    ("source", "reason", "expected"),
    [
        ("kafka:logs", "bad-json", True),
        ("kafka:logs.dlq", "bad-json", False),
        ("kafka:.dlq", "bad-json", False),
        ("kafka:logs.dlq.old", "bad-json", True),
        ("kafka:logs", "gap", False),
        ("file", "bad-json", False),
        ("grpc:kafka:logs", "bad-json", False),
    ],
)
def test_letters_of_topics_are_published_and_go_round_once_only(
    source: str, reason: str, expected: bool
) -> None:
    assert is_published(replace(LETTER, source=source, reason=reason), ".dlq") is expected


@given(
    st.builds(
        DeadLetter,
        reason=st.text(max_size=9),
        detail=st.text(max_size=2_000),
        data=st.binary(max_size=40_000),
        size_bytes=st.integers(0, 2**40),
        received_at_ns=st.integers(-(2**63), 2**63 - 1),
        source=st.just("kafka:logs"),
        partition=st.sampled_from(["0", "7", "", "1:2"]),
        offset=st.integers(0, 2**62),
        key=st.none() | st.binary(max_size=30_000),
        headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9))).map(tuple),
    )
)
def test_any_letter_can_be_produced_and_its_lesser_form_is_small(letter: DeadLetter) -> None:
    for made in (outgoing(1, letter, SETTINGS), lesser(1, letter, SETTINGS)):
        assert all(isinstance(name, str) and isinstance(v, bytes) for name, v in made.headers)
        assert made.timestamp_ms is None or made.timestamp_ms > 0
        assert made.partition is None or made.partition >= 0
    small = lesser(1, letter, SETTINGS)
    assert small.timestamp_ms is None
    assert len(small.value) + len(small.key or b"") <= 32 << 10
    assert sum(len(name) + len(value) for name, value in small.headers) < 4096
    assert letter.data.startswith(small.value)
