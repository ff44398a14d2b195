"""Calls a second, calls at once, hits: what is beyond is refused with a time to come back."""

from __future__ import annotations

from contextlib import ExitStack

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.limits import NO_LIMITS, QUOTAS_MAX, Bucket, Limits, Quotas, check_hits
from dejalog.daemon.rpc_errors import ServiceError


@given(
    st.floats(0.1, 100),
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_no_window_lets_more_through_than_what_was_saved_and_what_dropped_in(rate, gaps):
    size = max(1.0, rate)
    bucket, now, taken = Bucket(rate, size, 0.0), 0.0, []
    for gap in gaps:
        now += gap
        wait_s = bucket.take(now)
        assert 0 <= wait_s <= 1 / rate * 1.000001
        if not wait_s:
            taken.append(now)
    for first, start in enumerate(taken):
        for last, end in enumerate(taken[first:], start=first):
            assert last - first + 1 <= size + (end - start) * rate + 1e-6


def test_who_comes_back_when_told_is_let_through():
    bucket = Bucket(2.0, 1.0, 0.0)
    assert bucket.take(0.0) == 0.0
    wait_s = bucket.take(0.1)
    assert wait_s == pytest.approx(0.4)
    assert bucket.take(0.1 + wait_s) == 0.0


def test_a_clock_that_stands_still_gives_nothing():
    bucket = Bucket(1.0, 1.0, 5.0)
    assert bucket.take(5.0) == 0.0
    assert bucket.take(5.0) == 1.0
    assert bucket.take(4.0) == 1.0


def test_each_credential_and_role_is_counted_apart():
    quotas, limits = Quotas(), Limits(concurrent_calls=1)
    with ExitStack() as running:
        for name, role in (("a", "read"), ("a", "write"), ("b", "read")):
            running.enter_context(quotas.taken(name, role, limits, 0.0))
        with pytest.raises(ServiceError, match="a has 1 read calls running") as caught:
            running.enter_context(quotas.taken("a", "read", limits, 0.0))
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.reason == "TOO_MANY_CALLS"
    assert caught.value.retry_after_s is not None
    with quotas.taken("a", "read", limits, 0.0):
        pass


def test_calls_a_second_are_refused_with_the_time_of_the_next():
    quotas, limits = Quotas(), Limits(calls_per_s=2)
    for _ in range(2):
        with quotas.taken("a", "read", limits, 7.0):
            pass
    with (
        pytest.raises(ServiceError, match="2 read calls a second") as caught,
        quotas.taken("a", "read", limits, 7.0),
    ):
        pass
    assert (caught.value.reason, caught.value.retry_after_s) == ("RATE_LIMITED", 0.5)
    with quotas.taken("a", "read", limits, 7.5):
        pass


def test_a_refused_call_and_a_failed_one_leave_their_place():
    quotas, limits = Quotas(), Limits(concurrent_calls=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), quotas.taken("a", "read", limits, 0.0):
            _ = 1 // 0


def test_idle_counts_are_forgotten_and_running_ones_are_not():
    quotas, limits = Quotas(), Limits(concurrent_calls=1)
    with quotas.taken("busy", "read", limits, 0.0):
        for number in range(QUOTAS_MAX + 10):
            with quotas.taken(f"n{number}", "read", limits, 0.0):
                pass
        with pytest.raises(ServiceError), quotas.taken("busy", "read", limits, 0.0):
            pass
    assert len(quotas._quotas) <= QUOTAS_MAX


def test_without_limits_nothing_is_kept():
    quotas = Quotas()
    with quotas.taken("a", "read", NO_LIMITS, 0.0), quotas.taken("a", "read", NO_LIMITS, 0.0):
        assert quotas._quotas == {}


def test_own_limits_stand_over_those_of_the_role():
    assert Limits(hits_max=5).over(Limits(2.0, 3, 9, 4.0)) == Limits(2.0, 3, 5, 4.0)


def test_a_request_for_more_hits_than_allowed_names_the_field():
    check_hits(Limits(hits_max=50), 50)
    check_hits(NO_LIMITS, 10**6)
    with pytest.raises(ServiceError, match="51 is over 50") as caught:
        check_hits(Limits(hits_max=50), 51)
    assert (caught.value.code, caught.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, "limit")
