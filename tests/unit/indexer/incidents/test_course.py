from __future__ import annotations

from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.event import Kind
from dejalog.indexer.incidents.course import NEW_BITS_MIN, UNUSUAL_BITS_MIN, Stretch, read_course
from dejalog.indexer.incidents.timeline import Timeline

SECOND = 10**9
LABELS = (("asset", "P-101"),)


def compact(maker) -> None:
    """Compacts what there is, as a restart of the daemon a week later would."""
    maker.appender.seal()
    compact_directory(maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0))


def fill(maker, *, is_split: bool = False):
    """A pump that logs the same every minute, and at minute 30 something else, too."""
    for minute in range(60):
        at = minute * 60 * SECOND
        maker.add(
            maker.event(f"pressure {minute + 100}.5 bar", time_ns=at, labels=LABELS),
            maker.event("valve opened", time_ns=at + SECOND, labels=LABELS),
            is_indexed=False,
        )
        if minute == 30:
            maker.add(
                *(
                    maker.event("vibration too high", time_ns=at + n * SECOND, labels=LABELS)
                    for n in (2, 5)
                ),
                maker.event("motor overload", time_ns=at + 7 * SECOND, labels=LABELS),
                maker.event("elsewhere", time_ns=at, labels=(("asset", "P-102"),)),
                maker.event("seen", time_ns=at, labels=LABELS, kind=Kind.NOTE),
                is_indexed=False,
            )
        if is_split and minute == 29:
            maker.index_words()
            compact(maker)
    return maker


def course_of(maker, limit: int = 8, low: int = 29, high: int = 31):
    with maker.searcher().shards.held() as held:
        timeline = Timeline(held, ("asset",))
        asset = timeline.numbers.number(LABELS)
        return read_course(timeline, Stretch(asset, low * 60 * SECOND, high * 60 * SECOND), limit)


def test_the_course_has_what_is_unusual_for_the_asset_in_the_order_of_time(make_index) -> None:
    steps = course_of(fill(make_index()))
    assert [(step.pattern, step.count) for step in steps] == [
        ("vibration too high", 2),
        ("motor overload", 1),
    ]
    assert steps[0].first_seen_ns == (30 * 60 + 2) * SECOND
    assert steps[0].example.event.text == "vibration too high"
    assert steps[0].example.event.time_ns == steps[0].first_seen_ns
    assert steps[0].unusual > steps[1].unusual > NEW_BITS_MIN


def test_a_course_over_two_shards_is_the_same(make_index) -> None:
    whole, split = course_of(fill(make_index())), course_of(fill(make_index(), is_split=True))
    assert [(s.pattern, s.count, s.unusual) for s in split] == [
        (s.pattern, s.count, s.unusual) for s in whole
    ]


def test_only_the_most_unusual_are_kept(make_index) -> None:
    maker = fill(make_index())
    assert [step.pattern for step in course_of(maker, limit=1)] == ["vibration too high"]
    assert course_of(maker, limit=0) == ()


def test_a_stretch_of_all_time_has_nothing_unusual(make_index) -> None:
    assert course_of(fill(make_index()), low=0, high=60) == ()


def test_a_pattern_that_the_asset_has_elsewhere_too_needs_more(make_index) -> None:
    maker = fill(make_index())
    maker.add(maker.event("motor overload", time_ns=3 * SECOND, labels=LABELS))
    assert [step.pattern for step in course_of(maker)] == ["vibration too high"]
    assert UNUSUAL_BITS_MIN > NEW_BITS_MIN
