from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.alerts.gate import Admitted, Gate, QuietPattern, Window
from dejalog.daemon.alerts.settings import AlertRule

S = 10**9


def rule(**changes) -> AlertRule:
    return AlertRule(**{"name": "a", "query": "pump", "deliver": "http://h/", **changes})


def test_a_pattern_is_alerted_once_and_the_rest_is_told_with_the_next_alert() -> None:
    gate = Gate(rule(quiet_s=10))
    assert gate.admit("p", 1, 0) == Admitted(0, 0)
    assert gate.admit("p", 40, 5 * S) is None
    assert gate.admit("p", 1, 9 * S) is None
    assert gate.admit("p", 3, 10 * S) == Admitted(41, 0)
    assert gate.admit("p", 1, 20 * S) == Admitted(2, 0)
    assert gate.admit("q", 1, 20 * S) == Admitted(0, 0)


def test_beyond_the_rate_matches_are_held_back_and_told_later() -> None:
    gate = Gate(rule(alerts_max=2, per_s=60, quiet_s=0))
    assert gate.admit("a", 1, 0)
    assert gate.admit("b", 1, 1)
    assert gate.admit("c", 5, 2) is None
    assert gate.admit("d", 1, 59 * S) is None
    assert gate.admit("e", 1, 60 * S) == Admitted(0, 6)
    assert gate.admit("f", 1, 61 * S) == Admitted(0, 0)


def test_a_clock_that_was_set_back_does_not_close_the_gate() -> None:
    gate = Gate(rule(alerts_max=1))
    assert gate.admit("p", 1, 10**6 * S)
    assert gate.admit("p", 1, 5 * S)


def test_what_was_stored_goes_on_where_it_was() -> None:
    gate = Gate(rule(alerts_max=2, quiet_s=100))
    gate.admit("p", 2, 0)
    other = Gate(rule(alerts_max=2, quiet_s=100), gate.window, gate.changed.values())
    assert other.admit("p", 1, S) is None
    assert other.admit("q", 1, S) == Admitted(0, 0)
    assert other.admit("r", 1, S) is None
    assert other.admit("p", 1, 100 * S) == Admitted(2, 1)


def test_the_pattern_alerted_longest_ago_is_forgotten_and_its_repeats_are_told() -> None:
    gate = Gate(rule(alerts_max=100), patterns_max=2)
    gate.admit("a", 4, 0)
    gate.stored()
    gate.admit("b", 1, 1)
    gate.admit("c", 1, 2)
    assert gate.forgotten == {"a"}
    assert set(gate.changed) == {"b", "c"}
    assert gate.window.held_back == 3
    assert gate.admit("d", 1, 3) == Admitted(0, 3)
    known = [QuietPattern("y", 5), QuietPattern("x", 1)]
    gate = Gate(rule(), Window(), known, patterns_max=2)
    gate.admit("z", 1, 10 * S)
    assert gate.forgotten == {"x"}


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.integers(1, 9), st.integers(0, 20)), max_size=60
    ),
    st.integers(1, 3),
    st.integers(0, 30),
    st.integers(1, 4),
)
def test_every_event_is_alerted_or_told_or_still_counted(calls, alerts_max, quiet_s, kept) -> None:
    gate = Gate(rule(alerts_max=alerts_max, per_s=10, quiet_s=quiet_s), patterns_max=kept)
    now_s = given_events = told = 0
    for pattern, count, step in calls:
        now_s += step
        given_events += count
        admitted = gate.admit(pattern, count, now_s * S)
        if admitted is not None:
            told += 1 + admitted.repeats + admitted.held_back
    untold = gate.window.held_back + sum(each.repeats for each in gate._patterns.values())
    assert told + untold == given_events
