from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.kafka.starts import Known, Start, plan_start


def test_a_new_partition_is_read_from_where_the_settings_say() -> None:
    known = Known(stored=None, committed=None, beginning=5, end=90)
    assert plan_start(known, "earliest") == Start(5, 5)
    assert plan_start(known, "latest") == Start(90, 90)


def test_the_stored_position_wins_over_an_offset_of_the_group_that_lags() -> None:
    assert plan_start(Known(50, 40, 0, 90), "earliest") == Start(50, 50)


def test_a_partition_that_came_back_goes_on_where_the_other_worker_ended() -> None:
    assert plan_start(Known(50, 70, 0, 90), "earliest") == Start(70, 70)


def test_a_worker_with_an_empty_index_goes_on_where_the_group_is() -> None:
    assert plan_start(Known(None, 40, 0, 90), "earliest") == Start(40, 40)


def test_what_retention_took_lies_between_the_expected_and_the_first_offset() -> None:
    assert plan_start(Known(50, 40, 60, 90), "latest") == Start(50, 60)


def test_a_log_that_was_read_to_its_end_and_then_emptied_is_no_fault() -> None:
    assert plan_start(Known(90, 90, 90, 90), "earliest") == Start(90, 90)


@pytest.mark.parametrize(
    ("known", "whose"), [(Known(91, 40, 0, 90), "index"), (Known(40, 91, 0, 90), "group")]
)
def test_a_position_beyond_the_end_is_a_fault(known: Known, whose: str) -> None:
    start = plan_start(known, "earliest")
    assert whose in start.fault
    assert "91" in start.fault
    assert "90" in start.fault


OFFSET = st.integers(0, 100)


@given(
    st.none() | OFFSET, st.none() | OFFSET, OFFSET, OFFSET, st.sampled_from(["earliest", "latest"])
)
def test_nothing_stored_is_read_again_and_no_record_is_passed_by_in_silence(
    stored: int | None, committed: int | None, one: int, other: int, start: str
) -> None:
    beginning, end = sorted((one, other))
    planned = plan_start(Known(stored, committed, beginning, end), start)
    if planned.fault:
        assert max(stored or 0, committed or 0) > end
        return
    assert beginning <= planned.offset <= end
    assert planned.offset >= max(stored or 0, committed or 0)
    # What lies between is no longer in the log.
    assert planned.offset in (planned.expected, beginning)
