from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dejalog.indexer.answer import Change
from dejalog.indexer.append import ShardLimits
from dejalog.indexer.diff import diff_patterns
from dejalog.indexer.errors import QueryError
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.request import DiffRequest, Window

SECOND = 10**9
BEFORE, AFTER = Window(0, 640 * SECOND), Window(1000 * SECOND, 1320 * SECOND)


def every(seconds: float, window: Window) -> list[int]:
    step = int(seconds * SECOND)
    return list(range(window.since_ns + step // 2, window.until_ns, step))


@pytest.fixture
def shards(make_index) -> OpenShards:
    """Several shards, in an order that is not that of the times."""
    maker = make_index(ShardLimits(events_max=60))
    times = {
        "heartbeat": every(10, BEFORE) + every(10, AFTER),
        "queue is full": every(8, AFTER),
        "all jobs done": every(8, BEFORE),
        "retrying": every(40, BEFORE) + every(4, AFTER),
        "cache hit": every(4, BEFORE) + every(40, AFTER),
        "stack trace": [AFTER.since_ns + 100 * SECOND + n for n in range(40)],
        "one of a kind": [AFTER.since_ns],
        "between": [800 * SECOND] * 30,
    }
    events = [maker.event(text, time_ns=time) for text, own in times.items() for time in own]
    for start in range(0, len(events), 50):
        maker.add(*events[start : start + 50], is_indexed=False)
    return OpenShards(maker.directory, maker.encoder.fingerprint)


def test_changes_are_told_from_what_goes_on_as_before(shards: OpenShards) -> None:
    result = diff_patterns(shards, DiffRequest(BEFORE, AFTER))
    found = {each.pattern: each for each in result.changes}
    assert {text: each.change for text, each in found.items()} == {
        "queue is full": Change.APPEARED,
        "all jobs done": Change.VANISHED,
        "retrying": Change.MORE,
        "cache hit": Change.LESS,
    }
    assert result.changes_total == 4
    p = [each.p_value for each in result.changes]
    assert p == sorted(p)
    assert max(p) <= 0.01
    full, retrying = found["queue is full"], found["retrying"]
    assert (full.count_before, full.count_after, full.rate_ratio) == (0, 40, math.inf)
    assert found["all jobs done"].rate_ratio == 0
    # The window after is half as long; the one before begins with the oldest event.
    assert (retrying.count_before, retrying.count_after) == (16, 80)
    assert retrying.rate_ratio == pytest.approx(10, rel=0.01)
    assert full.first_ever_ns == full.example.event.time_ns - 39 * 8 * SECOND
    assert full.example.event.text == "queue is full"


def test_one_burst_is_no_change_and_rare_patterns_are_not_compared(shards: OpenShards) -> None:
    result = diff_patterns(shards, DiffRequest(BEFORE, AFTER, false_share=0.05))
    assert "stack trace" not in {each.pattern for each in result.changes}
    # Neither what lies between the windows nor a single event.
    assert result.patterns_compared == 6
    assert result.events_before == 64 + 80 + 16 + 160
    assert result.events_after == 32 + 40 + 80 + 8 + 40 + 1
    assert result.coverage.events_matched == result.events_before + result.events_after
    assert result.coverage.events_total == result.coverage.events_matched + 30


def test_pages_and_filters(shards: OpenShards) -> None:
    whole = diff_patterns(shards, DiffRequest(BEFORE, AFTER)).changes
    page = diff_patterns(shards, DiffRequest(BEFORE, AFTER, skip=1, limit=2))
    assert [c.pattern for c in page.changes] == [c.pattern for c in whole[1:3]]
    assert page.changes_total == 4
    quoted = diff_patterns(shards, DiffRequest(BEFORE, AFTER, text='"queue"'))
    assert [each.pattern for each in quoted.changes] == ["queue is full"]
    with pytest.raises(QueryError):
        diff_patterns(shards, DiffRequest(BEFORE, AFTER, text="queue"))


def test_the_later_window_may_be_given_first(shards: OpenShards) -> None:
    changes = diff_patterns(shards, DiffRequest(AFTER, BEFORE)).changes
    assert {each.pattern: each.change for each in changes}["queue is full"] is Change.VANISHED


def test_what_lies_before_the_index_is_not_silence(shards: OpenShards) -> None:
    """A window of a week over an index of minutes would make every rate rise."""
    week = Window(-7 * 86_400 * SECOND, BEFORE.until_ns)
    changes = diff_patterns(shards, DiffRequest(week, AFTER)).changes
    assert "heartbeat" not in {each.pattern for each in changes}
    with pytest.raises(QueryError, match="window before ends before the oldest event"):
        diff_patterns(shards, DiffRequest(Window(-99, -9), AFTER))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"before": Window(5, 5)}, "window before is empty"),
        ({"after": Window(9, 5)}, "window after is empty"),
        ({"before": Window(0, 1001 * SECOND)}, "overlap"),
        ({"before": Window(-(2**63), 5)}, "292 years"),
        ({"false_share": 0.0}, "above 0"),
        ({"false_share": 1.5}, "above 0"),
    ],
)
def test_questions_without_sense_say_what_to_do(
    shards: OpenShards, given: dict[str, object], says: str
) -> None:
    request = replace(DiffRequest(BEFORE, AFTER), **given)  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=says):
        diff_patterns(shards, request)


def test_an_empty_index_and_windows_without_events_have_no_changes(
    shards: OpenShards, make_index
) -> None:
    maker = make_index()
    empty = OpenShards(maker.directory, maker.encoder.fingerprint)
    later = Window(5000 * SECOND, 6000 * SECOND)
    for each, windows in ((empty, (BEFORE, AFTER)), (shards, (later, Window(7 * 10**12, 10**13)))):
        result = diff_patterns(each, DiffRequest(*windows))
        assert (result.changes, result.changes_total, result.patterns_compared) == ((), 0, 0)
        assert (result.events_before, result.events_after) == (0, 0)
