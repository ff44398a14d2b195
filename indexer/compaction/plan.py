"""What to compact and what to drop: descriptions of shards in, jobs out, nothing else.

Compaction, in this order:

1. Shards that hold no more than what they may be merged with are groups of their own; adjacent
   fresh shards are one group, up to the bounds.
2. A run of at least `merge_factor` adjacent groups becomes one where no group has more than half
   of the run's events. So whatever is written again lands in a shard at least twice as large, and
   an event is written again at most about log2(all events / those of one shard) times.
3. The last step is repeated until nothing changes, so that planning again after the plan was run
   finds nothing to do. A job is a group with a fresh shard, with several shards, or with enough
   that is deleted or expired.

The shard that is appended to is never touched. Damaged shards, fresh ones whose word index is not
complete, other models, other masking rules and wide gaps in the numbering divide groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dejalog.indexer.errors import ConfigError
from dejalog.indexer.store.environment import SHARD_BYTES_MAX
from dejalog.indexer.store.manifest import Tier

#: Numbers between two shards that were trimmed away come back as empty rows when they are merged;
#: so many cost 2 MB.
GAP_EVENTS_MAX: Final = 100_000

#: Label sets are in memory in every process that searches, about 0.5 kB each.
LABELSETS_MAX: Final = 400_000


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """One shard, as planning and `dejalog shards` see it.

    `events` counts rows, of which `deleted` are hollow. `pending_deletions` are not applied yet
    and reach `pending_events` events; `expired_events` are older than what is retained.
    `originals_bytes` are kept int8 vectors, `drift` the share of tokens beyond the threshold of
    the codebook before. A shard with a `damage` has nothing but its number, tier and bytes.
    """

    number: int
    tier: Tier
    first_event: int = 0
    events: int = 0
    deleted: int = 0
    oldest_ns: int = 0
    newest_ns: int = 0
    patterns: int = 0
    tokens: int = 0
    labelsets: int = 0
    dead_letters: int = 0
    bytes: int = 0
    bits: int = 0
    centroids: int = 0
    codebook_version: int = 0
    drift: float = 0.0
    originals_bytes: int = 0
    encoder_fingerprint: str = ""
    mask_version: int = 0
    is_active: bool = False
    is_indexed: bool = True
    pending_deletions: int = 0
    pending_events: int = 0
    expired_events: int = 0
    damage: str = ""

    @property
    def end_event(self) -> int:
        """The number behind its last event."""
        return self.first_event + self.events

    @property
    def is_movable(self) -> bool:
        """Whether another process may replace or remove it."""
        is_left_alone = self.tier is Tier.COMPACTED or self.is_indexed
        return is_left_alone and not self.is_active and not self.damage


@dataclass(frozen=True, slots=True)
class PlanRules:
    """When shards are merged and rewritten, and how large a compacted shard becomes."""

    merge_factor: int = 4
    events_max: int = 16_000_000
    patterns_max: int = 2_000_000
    bytes_max: int = SHARD_BYTES_MAX
    expired_share_min: float = 0.5

    def __post_init__(self) -> None:
        if self.merge_factor < 2:
            raise ConfigError("compact", "merge_factor", "must be at least 2")


@dataclass(frozen=True, slots=True)
class Job:
    """Adjacent shards, oldest first, that become one compacted shard."""

    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RetainRules:
    """What is kept: events up to an age, bytes in all, free percent of the disk; 0 is off."""

    age_max_s: float = 0.0
    bytes_max: int = 0
    disk_free_percent_min: float = 0.0

    def expire_before_ns(self, now_ns: int) -> int | None:
        """Returns the time before which events are expired, or None."""
        return now_ns - int(self.age_max_s * 1e9) if self.age_max_s else None


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Bytes of the disk that the index lies on."""

    total: int
    free: int


@dataclass(frozen=True, slots=True)
class _Group:
    shards: tuple[ShardInfo, ...]

    @property
    def weight(self) -> int:
        return max(1, sum(shard.events for shard in self.shards))


def plan_compaction(shards: Sequence[ShardInfo], rules: PlanRules) -> tuple[Job, ...]:
    """Returns disjoint jobs, oldest first; `shards` are all of the index, in their order."""
    jobs: list[Job] = []
    for run in _runs(shards):
        groups = _merged(_initial_groups(run, rules), rules)
        jobs.extend(
            Job(tuple(shard.number for shard in group.shards))
            for group in groups
            if _is_due(group, rules)
        )
    return tuple(jobs)


def plan_retention(
    shards: Sequence[ShardInfo],
    rules: RetainRules,
    disk: DiskSpace,
    *,
    now_ns: int,
) -> tuple[int, ...]:
    """Returns the numbers of the shards to drop: expired ones, then the oldest until it fits."""
    cutoff_ns = rules.expire_before_ns(now_ns)
    movable = [shard for shard in shards if shard.is_movable]
    dropped = {s.number for s in movable if cutoff_ns is not None and s.newest_ns < cutoff_ns}
    used = sum(shard.bytes for shard in shards if shard.number not in dropped)
    free = disk.free + sum(shard.bytes for shard in shards if shard.number in dropped)
    for shard in movable:
        is_too_large = 0 < rules.bytes_max < used
        is_too_full = free * 100 < rules.disk_free_percent_min * disk.total
        if not is_too_large and not is_too_full:
            break
        if shard.number not in dropped:
            dropped.add(shard.number)
            used, free = used - shard.bytes, free + shard.bytes
    return tuple(shard.number for shard in shards if shard.number in dropped)


def _runs(shards: Sequence[ShardInfo]) -> list[list[ShardInfo]]:
    """Adjacent shards that could all become one, were they small enough."""
    runs: list[list[ShardInfo]] = []
    previous: ShardInfo | None = None
    for shard in shards:
        if not shard.is_movable:
            previous = None
            continue
        if previous is not None and _are_alike(previous, shard):
            runs[-1].append(shard)
        else:
            runs.append([shard])
        previous = shard
    return runs


def _are_alike(older: ShardInfo, newer: ShardInfo) -> bool:
    return (
        older.encoder_fingerprint == newer.encoder_fingerprint
        and older.mask_version == newer.mask_version
        and newer.first_event - older.end_event <= GAP_EVENTS_MAX
    )


def _initial_groups(run: Sequence[ShardInfo], rules: PlanRules) -> list[_Group]:
    groups: list[_Group] = []
    for shard in run:
        joined = (*groups[-1].shards, shard) if groups else (shard,)
        are_fresh = all(each.tier is Tier.FRESH for each in joined)
        if groups and are_fresh and _is_small(joined, rules):
            groups[-1] = _Group(joined)
        else:
            groups.append(_Group((shard,)))
    return groups


def _merged(groups: list[_Group], rules: PlanRules) -> list[_Group]:
    while (found := _find_merge(groups, rules)) is not None:
        first, end = found
        shards = tuple(shard for group in groups[first:end] for shard in group.shards)
        groups = [*groups[:first], _Group(shards), *groups[end:]]
    return groups


def _find_merge(groups: Sequence[_Group], rules: PlanRules) -> tuple[int, int] | None:
    """The first place where groups can be merged, and as many as can."""
    for first in range(len(groups) - rules.merge_factor + 1):
        best: int | None = None
        for end in range(first + 1, len(groups) + 1):
            run = groups[first:end]
            if not _is_small([shard for group in run for shard in group.shards], rules):
                break
            weights = [group.weight for group in run]
            if len(run) >= rules.merge_factor and 2 * max(weights) <= sum(weights):
                best = end
        if best is not None:
            return first, best
    return None


def _is_small(shards: Sequence[ShardInfo], rules: PlanRules) -> bool:
    """Whether one shard may hold all that these have; of patterns they may share some."""
    return (
        shards[-1].end_event - shards[0].first_event <= rules.events_max
        and sum(shard.patterns for shard in shards) <= rules.patterns_max
        and sum(shard.bytes for shard in shards) <= rules.bytes_max
        and sum(shard.labelsets for shard in shards) <= LABELSETS_MAX
    )


def _is_due(group: _Group, rules: PlanRules) -> bool:
    if len(group.shards) > 1:
        return True
    (shard,) = group.shards
    living = shard.events - shard.deleted
    is_expired = shard.expired_events > 0 and (
        shard.expired_events >= rules.expired_share_min * living
    )
    return shard.tier is Tier.FRESH or shard.pending_events > 0 or is_expired
