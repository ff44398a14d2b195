from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.compaction.plan import (
    GAP_EVENTS_MAX,
    LABELSETS_MAX,
    DiskSpace,
    Job,
    PlanRules,
    RetainRules,
    ShardInfo,
    plan_compaction,
    plan_retention,
)
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.store.manifest import Tier

RULES = PlanRules()
PLENTY = DiskSpace(total=1000, free=1000)


def row(*shards: ShardInfo) -> list[ShardInfo]:
    """Numbered shards that follow each other; the last one is appended to."""
    made, first_event = [], 0
    for number, shard in enumerate(shards, 1):
        made.append(replace(shard, number=number, first_event=first_event + shard.first_event))
        first_event = made[-1].end_event
    active = ShardInfo(len(made) + 1, Tier.FRESH, first_event=first_event, is_active=True)
    return [*made, active]


def fresh(events: int = 10, **changes: object) -> ShardInfo:
    return replace(ShardInfo(0, Tier.FRESH, events=events, patterns=min(events, 9)), **changes)


def compacted(events: int = 10, **changes: object) -> ShardInfo:
    return replace(fresh(events), tier=Tier.COMPACTED, **changes)


def sources(shards: Sequence[ShardInfo], rules: PlanRules = RULES) -> list[tuple[int, ...]]:
    return [job.sources for job in plan_compaction(shards, rules)]


def test_adjacent_fresh_shards_become_one_and_the_active_one_is_left_alone() -> None:
    assert sources(row(fresh(), fresh())) == [(1, 2)]
    assert sources(row(fresh())) == [(1,)]
    assert sources(row()) == []


def test_a_fresh_shard_waits_for_its_word_index_and_divides_the_others() -> None:
    assert sources(row(fresh(), fresh(is_indexed=False), fresh())) == [(1,), (3,)]


@pytest.mark.parametrize(
    "divider",
    [
        {"damage": "its data.mdb is missing"},
        {"mask_version": 9},
        {"encoder_fingerprint": "another model"},
        {"first_event": GAP_EVENTS_MAX + 1},
    ],
)
def test_what_cannot_be_one_shard_is_not_merged(divider: dict[str, object]) -> None:
    shards = row(*[fresh()] * 2, fresh(**divider), *[fresh()] * 2)
    assert all(not {1, 2} < set(job) and not {3, 4} < set(job[:1]) for job in sources(shards))
    assert (1, 2) in sources(shards)


@pytest.mark.parametrize(
    ("limit", "changes"),
    [
        (replace(RULES, events_max=25), {}),
        (replace(RULES, patterns_max=20), {}),
        (replace(RULES, bytes_max=250), {"bytes": 100}),
        (RULES, {"labelsets": LABELSETS_MAX // 2}),
    ],
)
def test_a_run_of_fresh_shards_is_cut_at_the_bounds(
    limit: PlanRules, changes: dict[str, object]
) -> None:
    assert sources(row(*[fresh(**changes)] * 5), limit) == [(1, 2), (3, 4), (5,)]


def test_four_of_one_size_are_merged_and_three_are_not() -> None:
    assert sources(row(*[compacted()] * 3)) == []
    assert sources(row(*[compacted()] * 4)) == [(1, 2, 3, 4)]
    assert sources(row(*[compacted()] * 3, fresh())) == [(1, 2, 3, 4)]


def test_a_large_shard_is_not_written_again_for_small_neighbours() -> None:
    assert sources(row(compacted(1000), *[compacted()] * 3)) == []
    assert sources(row(compacted(1000), *[compacted()] * 4)) == [(2, 3, 4, 5)]


def test_merges_that_follow_from_a_merge_are_done_at_once() -> None:
    shards = row(*[compacted(40)] * 3, *[compacted(10)] * 4)
    assert sources(shards) == [(1, 2, 3, 4, 5, 6, 7)]


def test_shards_at_the_bound_stay_as_they_are() -> None:
    rules = replace(RULES, events_max=100)
    assert sources(row(*[compacted(60)] * 8), rules) == []


def test_a_shard_is_written_again_for_deleted_and_for_enough_expired_events() -> None:
    assert sources(row(compacted(pending_events=1))) == [(1,)]
    assert sources(row(compacted(pending_deletions=1))) == []
    assert sources(row(compacted(expired_events=5))) == [(1,)]
    assert sources(row(compacted(expired_events=4))) == []
    assert sources(row(compacted(deleted=4, expired_events=3))) == [(1,)]


def test_a_merge_factor_of_one_would_never_end() -> None:
    with pytest.raises(ConfigError, match="merge_factor"):
        PlanRules(merge_factor=1)


shard_infos = st.builds(
    ShardInfo,
    number=st.just(0),
    tier=st.sampled_from(Tier),
    first_event=st.sampled_from([0, 0, 0, 1, GAP_EVENTS_MAX + 1]),
    events=st.integers(0, 100),
    patterns=st.integers(0, 30),
    bytes=st.integers(0, 1000),
    mask_version=st.sampled_from([1, 1, 1, 2]),
    newest_ns=st.integers(0, 100),
    is_indexed=st.sampled_from([True, True, True, False]),
    pending_events=st.sampled_from([0, 0, 1]),
    expired_events=st.integers(0, 3),
    damage=st.sampled_from(["", "", "", "broken"]),
)
rows = st.lists(shard_infos, max_size=30).map(lambda shards: row(*shards))
rules = st.builds(
    PlanRules,
    merge_factor=st.integers(2, 6),
    events_max=st.integers(50, 1000),
    patterns_max=st.integers(20, 200),
)


@given(rows, rules)
def test_jobs_are_of_adjacent_shards_that_may_be_moved_each_once(
    shards: list[ShardInfo], limits: PlanRules
) -> None:
    by_number = {shard.number: shard for shard in shards}
    seen: list[int] = []
    for job in plan_compaction(shards, limits):
        assert list(job.sources) == list(range(job.sources[0], job.sources[-1] + 1))
        assert all(by_number[number].is_movable for number in job.sources)
        assert len({by_number[number].mask_version for number in job.sources}) == 1
        if len(job.sources) > 1:
            assert sum(by_number[number].patterns for number in job.sources) <= limits.patterns_max
        seen += job.sources
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)


def after(shards: Sequence[ShardInfo], jobs: Sequence[Job], keep: float = 1.0) -> list[ShardInfo]:
    """The shards once the jobs have run; merging leaves a share of the patterns."""
    by_first = {job.sources[0]: job for job in jobs}
    merged = {number for job in jobs for number in job.sources[1:]}
    result = []
    for shard in shards:
        if shard.number in by_first:
            parts = [s for s in shards if s.number in by_first[shard.number].sources]
            result.append(
                replace(
                    shard,
                    tier=Tier.COMPACTED,
                    events=parts[-1].end_event - parts[0].first_event,
                    patterns=int(keep * sum(p.patterns for p in parts)),
                    bytes=sum(p.bytes for p in parts),
                    pending_events=0,
                    expired_events=0,
                )
            )
        elif shard.number not in merged:
            result.append(shard)
    return result


@given(rows, rules)
def test_planning_again_after_the_plan_was_run_gives_nothing(
    shards: list[ShardInfo], limits: PlanRules
) -> None:
    assert plan_compaction(after(shards, plan_compaction(shards, limits)), limits) == ()


@given(rows, rules)
def test_patterns_that_merging_saves_lead_to_an_end_too(
    shards: list[ShardInfo], limits: PlanRules
) -> None:
    for _ in range(len(shards) + 1):
        jobs = plan_compaction(shards, limits)
        if not jobs:
            return
        shards = after(shards, jobs, keep=0.5)
    raise AssertionError("it goes on and on")


@given(st.lists(st.integers(1, 100), min_size=1, max_size=200), st.integers(2, 6))
def test_an_event_is_written_again_only_when_its_shard_doubles(
    sizes: list[int], factor: int
) -> None:
    """Shards come one by one, as a stream makes them."""
    limits = PlanRules(merge_factor=factor)
    shards: list[tuple[int, int]] = []  # events, how often they were written
    for size in sizes:
        shards.append((size, 1))
        infos = row(*[compacted(events, patterns=0) for events, _ in shards])
        for job in reversed(plan_compaction(infos, limits)):
            low, high = job.sources[0] - 1, job.sources[-1]
            part = shards[low:high]
            shards[low:high] = [(sum(e for e, _ in part), max(w for _, w in part) + 1)]
    total = sum(sizes)
    assert all(written <= 2 + log2(total) for _, written in shards)
    # Among so many neighbours the largest has more than all others: so there are few.
    assert len(shards) <= factor * (2 + log2(total))


def test_nothing_is_dropped_without_a_rule() -> None:
    assert plan_retention(row(compacted(), fresh()), RetainRules(), PLENTY, now_ns=10**18) == ()


def test_shards_whose_newest_event_is_too_old_are_dropped_wherever_they_are() -> None:
    shards = row(compacted(newest_ns=50), compacted(newest_ns=200), fresh(newest_ns=60))
    limits = RetainRules(age_max_s=1e-7)
    assert plan_retention(shards, limits, PLENTY, now_ns=250) == (1, 3)
    assert plan_retention(shards, limits, PLENTY, now_ns=10**18) == (1, 2, 3)
    assert limits.expire_before_ns(250) == 150


def test_the_oldest_shards_go_until_the_rest_fits() -> None:
    shards = row(*[compacted(bytes=100)] * 4)
    assert plan_retention(shards, RetainRules(bytes_max=250), PLENTY, now_ns=0) == (1, 2)
    assert plan_retention(shards, RetainRules(bytes_max=1), PLENTY, now_ns=0) == (1, 2, 3, 4)
    disk = DiskSpace(total=1000, free=50)
    assert plan_retention(shards, RetainRules(disk_free_percent_min=20), disk, now_ns=0) == (1, 2)
    assert plan_retention(shards, RetainRules(disk_free_percent_min=5), disk, now_ns=0) == ()


def test_a_damaged_shard_is_not_dropped_but_counts() -> None:
    shards = row(compacted(bytes=100, damage="broken"), compacted(bytes=100), fresh(bytes=100))
    assert plan_retention(shards, RetainRules(bytes_max=200), PLENTY, now_ns=0) == (2,)


@given(rows, st.integers(0, 100), st.integers(0, 20_000), st.floats(0, 50), st.integers(0, 1000))
def test_retention_never_takes_what_may_not_be_moved(
    shards: list[ShardInfo], age_ns: int, bytes_max: int, percent: float, free: int
) -> None:
    limits = RetainRules(age_ns / 1e9, bytes_max, percent)
    disk = DiskSpace(total=1000, free=free)
    dropped = plan_retention(shards, limits, disk, now_ns=100)
    by_number = {shard.number: shard for shard in shards}
    assert all(by_number[number].is_movable for number in dropped)
    assert list(dropped) == sorted(set(dropped))
    left = [shard for shard in shards if shard.number not in dropped]
    freed = DiskSpace(1000, free + sum(by_number[number].bytes for number in dropped))
    assert plan_retention(left, limits, freed, now_ns=100) == ()
