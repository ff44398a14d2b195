from __future__ import annotations

import pytest

from dejalog.indexer.decode.draft import Draft, Finisher, Refusal
from dejalog.indexer.decode.json_object import Reading
from dejalog.indexer.decode.settings import DecodeSettings
from dejalog.indexer.event import Record, TimeOrigin


@pytest.fixture
def finisher(reading: Reading) -> Finisher:
    return Finisher(DecodeSettings(dead_letter_bytes_max=4), reading.times)


def record(received_ns: int, **fields: object) -> Record:
    return Record("s", "p", 7, 8, b"", received_ns, **fields)


def test_a_possible_time_is_the_event_s(finisher: Finisher, received_ns: int) -> None:
    event = finisher.event(Draft("x", 5, "five"), record(received_ns), 3)
    assert (event.time_ns, event.time_origin, event.attributes) == (5, TimeOrigin.EVENT, ())
    assert (event.source, event.partition, event.offset, event.sub) == ("s", "p", 7, 3)


@pytest.mark.parametrize("time_ns", [None, -1, 1 << 63])
def test_an_impossible_time_is_kept_as_it_was_written(
    finisher: Finisher, received_ns: int, time_ns: int | None
) -> None:
    event = finisher.event(Draft("x", time_ns, "in 2999"), record(received_ns), 0)
    assert (event.time_ns, event.time_origin) == (received_ns, TimeOrigin.RECEIVED)
    assert event.attributes == (("time.written", "in 2999"),)


def test_the_record_s_labels_are_in_every_event(finisher: Finisher, received_ns: int) -> None:
    made = record(received_ns, labels=(("site", "A"),))
    event = finisher.event(Draft("x", severity="warn"), made, 0)
    assert event.labels == (("severity", "warn"), ("site", "A"))
    assert event.attributes == ()


def test_a_severity_of_the_record_does_not_hide_the_event_s(
    finisher: Finisher, received_ns: int
) -> None:
    made = record(received_ns, labels=(("severity", "info"),))
    for _ in range(2):  # the second is taken from the cache
        event = finisher.event(Draft("x", severity="warn"), made, 0)
        assert event.labels == (("severity", "warn"),)
        assert event.attributes == (("record.severity", "info"),)


def test_a_dead_letter_keeps_the_first_bytes_and_the_full_length(
    finisher: Finisher, received_ns: int
) -> None:
    letter = finisher.dead_letter(Refusal("bad", "why", b"123456"), record(received_ns), 2)
    assert (letter.data, letter.size_bytes, letter.sub) == (b"1234", 6, 2)
    assert (letter.reason, letter.detail, letter.offset) == ("bad", "why", 7)
