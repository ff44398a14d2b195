"""States, dead letters and what became of them survive the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.client.messages.admin import (
    letter_filter_from_message,
    letter_filter_to_message,
    retry_report_from_message,
    retry_report_to_message,
    status_from_message,
    status_request,
    status_to_message,
)
from dejalog.indexer.letters import LetterFilter, NumberRanges, RetryReport
from dejalog.indexer.status import IndexStatus, PartitionLag
from dejalog.proto.v1 import admin_pb2

from .anything import COUNTS, TEXTS, TIMES


def test_the_state_is_asked_for_without_a_field() -> None:
    assert status_request(None) == admin_pb2.StatusRequest()


@pytest.mark.parametrize("newest_ns", [None, 0, 5])
def test_a_status_survives_the_wire(newest_ns: int | None) -> None:
    lags = (PartitionLag("kafka:logs", "3+1", 4, 9, 5, lost=2),)
    status = IndexStatus("/d", "1", "f", 1, 2, 3, 4, 5, 6, None, newest_ns, 7, 0.5, 0.25, lags)
    assert status_from_message(status_to_message(status)) == status


@given(
    st.builds(
        LetterFilter,
        numbers=st.none()
        | st.lists(st.tuples(st.integers(0, 50), st.integers(50, 90)), min_size=1).map(
            NumberRanges.of
        ),
        reason=TEXTS,
        source=TEXTS,
        since_ns=st.none() | TIMES,
        until_ns=st.none() | TIMES,
    )
)
def test_which_dead_letters_are_meant_survives_the_wire(wanted: LetterFilter) -> None:
    message = letter_filter_to_message(wanted)
    assert letter_filter_from_message(message) == wanted
    assert message.all == (wanted == LetterFilter())


@given(st.builds(RetryReport, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_what_a_retry_did_survives_the_wire(report: RetryReport) -> None:
    assert retry_report_from_message(retry_report_to_message(report)) == report
