from __future__ import annotations

import json
import math

from dejalog.daemon.count_json import change_to_json, pattern_to_json, series_to_json
from dejalog.daemon.hit_json import to_line
from dejalog.indexer.answer import Change, PatternChange, PatternSummary, Series
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Occurrence

TIME_NS = 1_661_145_496_154_660_034
RFC = "2022-08-22T05:18:16.154660034Z"
EXAMPLE = Occurrence(2**60 + 1, Event(Kind.LOG, TIME_NS, TimeOrigin.EVENT, "a b", "s", "0", 7))


def test_a_pattern_has_its_counts_and_three_times() -> None:
    summary = PatternSummary("ab", "a <num>", 3, TIME_NS, TIME_NS + 1, TIME_NS - 1, (1, 2), EXAMPLE)
    value = json.loads(to_line(pattern_to_json(1, summary, start_ns=TIME_NS, width_ns=2**60 + 3)))
    assert value["count"] == 3
    assert value["first_seen"] == RFC
    assert value["last_seen_unix_nano"] == str(TIME_NS + 1)
    assert value["first_ever_unix_nano"] == str(TIME_NS - 1)
    assert value["buckets"] == {
        "start": RFC, "start_unix_nano": str(TIME_NS), "width_nano": str(2**60 + 3),
        "counts": [1, 2],
    }  # fmt: skip
    assert value["example"]["event_id"] == str(2**60 + 1)
    assert (value["rank"], value["pattern_id"], value["pattern"]) == (1, "ab", "a <num>")


def test_a_change_from_nothing_has_no_ratio() -> None:
    def value(ratio: float, change: Change) -> dict[str, object]:
        given = PatternChange("ab", "a", change, 0, 9, ratio, 1e-9, TIME_NS, EXAMPLE)
        found: dict[str, object] = json.loads(to_line(change_to_json(2, given)))
        return found

    appeared = value(math.inf, Change.APPEARED)
    assert (appeared["change"], appeared["rate_ratio"]) == ("appeared", None)
    assert (appeared["count_before"], appeared["count_after"]) == (0, 9)
    assert (appeared["p_value"], appeared["first_ever"]) == (1e-9, RFC)
    assert value(0.0, Change.VANISHED)["rate_ratio"] == 0
    assert value(2.5, Change.MORE)["rate_ratio"] == 2.5


def test_a_series_says_what_it_stands_for() -> None:
    def value(series: Series, by: str) -> tuple[object, ...]:
        found = json.loads(to_line(series_to_json(series, by=by, start_ns=TIME_NS, width_ns=5)))
        assert found["buckets"]["width_nano"] == "5"
        return found["by"], found["value"], found["is_rest"], found["count"]

    assert value(Series("gw7", (1, 2)), "host") == ("host", "gw7", False, 3)
    assert value(Series("", (4,)), "") == (None, None, False, 4)
    assert value(Series("", (4,), is_rest=True), "host") == ("host", None, True, 4)
