"""Patterns, histograms and windows over any mix of shards, against plain Python over all events."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer import diff
from dejalog.indexer.answer import Coverage
from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.counts import pattern_tally, tally
from dejalog.indexer.encode import Encoded, Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.filter import Condition
from dejalog.indexer.histogram import count_events
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.patterns import list_patterns
from dejalog.indexer.request import (
    DiffRequest,
    HistogramRequest,
    PatternOrder,
    PatternsRequest,
    Window,
)
from dejalog.indexer.retain import delete_events
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.layout import digest
from dejalog.indexer.store.manifest import Tier

PATTERNS = tuple(f"{verb} {noun}" for verb in ("opens", "stops", "fails") for noun in "abcde")
HOSTS = ("a", "b", "c", "")
#: Times that are far apart and times that are close, before 1970 too.
SPAN_NS = 10_007


class NoEncoder:
    """A direction for each text; nothing here asks for meaning."""

    fingerprint = "none"
    dim = pooled_dim = 8

    def encode_patterns(self, patterns: Sequence[str]) -> list[Encoded]:
        return [Encoded(self.rows(p), self.rows(p)[0], is_truncated=False) for p in patterns]

    def rows(self, text: str) -> np.ndarray:
        row = np.random.default_rng(zlib.crc32(text.encode())).standard_normal((1, self.dim))
        return (row / np.linalg.norm(row)).astype(np.float32)


@dataclass(frozen=True)
class Stored:
    number: int
    pattern: str
    host: str
    kind: Kind
    time_ns: int


class World:
    """An index, and beside it a plain list of the events that it should have."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.rng = rng
        self.directory = DataDirectory.open(path, is_writable=True)
        self.encoder = NoEncoder()
        self.appender = Appender(self.directory, self.encoder)  # type: ignore[arg-type]
        self.events: list[Stored] = []
        self._count = 0

    def add(self, count: int) -> None:
        batch = []
        for _ in range(count):
            # A few patterns are most of the events, as in a real log.
            pattern = PATTERNS[int(len(PATTERNS) * self.rng.random() ** 2)]
            host, kind = self.rng.choice(HOSTS), self.rng.choice(list(Kind))
            stored = Stored(self._count, pattern, host, kind, self.rng.randrange(-99, SPAN_NS))
            self.events.append(stored)
            labels = (("host", host),) if host else ()
            event = Event(
                kind, stored.time_ns, TimeOrigin.EVENT, pattern, "s", "0", self._count, 0, labels
            )
            batch.append(PreparedEvent(event, pattern))
            self._count += 1
        self.appender.append(Batch(batch, [], []))

    def compact(self) -> None:
        self.appender.seal()
        for shard in self.directory.shards:
            if shard.tier is Tier.FRESH:
                with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                    while catch_up(shard, index):
                        pass
        rules = CompactRules(write_bytes_per_s=0, merge_factor=2)
        compact_directory(self.directory, self._model, rules)

    def _model(self) -> Encoder:
        return self.encoder  # type: ignore[return-value]

    def delete(self, host: str, until_ns: int) -> None:
        delete_events(self.directory, [Condition("host", "=", host)], until_ns=until_ns)
        self.events = [e for e in self.events if e.host != host or e.time_ns >= until_ns]

    def change(self) -> None:
        self.add(self.rng.randrange(1, 60))
        step = self.rng.choice(["seal", "compact", "delete", "nothing"])
        if step == "seal":
            self.appender.seal()
        elif step == "compact":
            self.compact()
        elif step == "delete":
            self.delete(self.rng.choice(HOSTS[:3]), self.rng.randrange(SPAN_NS))


@dataclass(frozen=True)
class Filter:
    """The same condition as flags of a request, and in Python."""

    where: tuple[str, ...]
    since_ns: int | None
    until_ns: int | None
    holds: Callable[[Stored], bool]


def drawn_filter(rng: random.Random) -> Filter:
    host = rng.choice([*HOSTS[:3], None])
    since, until = sorted(rng.sample(range(-100, SPAN_NS), 2))
    since_ns, until_ns = rng.choice([None, since]), rng.choice([None, until])

    def holds(event: Stored) -> bool:
        return (
            (host is None or event.host == host)
            and (since_ns is None or event.time_ns >= since_ns)
            and (until_ns is None or event.time_ns < until_ns)
        )

    return Filter((f"host={host}",) if host else (), since_ns, until_ns, holds)


def check_coverage(coverage: Coverage, world: World, matched: int) -> None:
    assert coverage.events_matched == matched
    assert coverage.events_total == len(world.events)
    assert not coverage.is_partial
    assert coverage.damaged_shards == ()


def counted(times: Sequence[int], start: int, width: int, buckets: int) -> tuple[int, ...]:
    found = Counter((time - start) // width for time in times)
    assert all(0 <= bucket < buckets for bucket in found)
    return tuple(found[bucket] for bucket in range(buckets))


def check_patterns(world: World, shards: OpenShards, rng: random.Random) -> None:
    chosen, buckets = drawn_filter(rng), rng.randrange(1, 30)
    is_new = chosen.since_ns is not None and rng.random() < 0.5
    request = PatternsRequest(
        where=chosen.where, since_ns=chosen.since_ns, until_ns=chosen.until_ns, buckets=buckets,
        is_new=is_new, order=rng.choice(list(PatternOrder)), skip=rng.randrange(4),
        limit=rng.choice([3, 50]),
    )  # fmt: skip
    result = list_patterns(shards, request)
    matching = [e for e in world.events if chosen.holds(e)]
    check_coverage(result.coverage, world, len(matching))
    oldest = {p: min(e.time_ns for e in world.events if e.pattern == p) for p in
              {e.pattern for e in matching}}  # fmt: skip
    since = chosen.since_ns
    names = {p for p in oldest if not is_new or (since is not None and oldest[p] >= since)}
    times = {p: [e.time_ns for e in matching if e.pattern == p] for p in names}
    key = {
        PatternOrder.COUNT: lambda p: len(times[p]),
        PatternOrder.NEWEST: lambda p: max(times[p]),
        PatternOrder.FIRST: lambda p: min(times[p]),
    }[request.order]
    keys = sorted((key(p) for p in names), reverse=True)
    assert result.patterns_total == len(names)
    shown = slice(request.skip, request.skip + request.limit)
    assert [key(each.pattern) for each in result.patterns] == keys[shown]
    assert len({each.pattern for each in result.patterns}) == len(result.patterns)
    for each in result.patterns:
        own = times[each.pattern]
        assert each.pattern_id == digest(each.pattern).hex()
        assert each.count == len(own)
        assert (each.first_seen_ns, each.last_seen_ns) == (min(own), max(own))
        assert each.first_ever_ns == oldest[each.pattern]
        assert each.counts == counted(own, result.start_ns, result.width_ns, buckets)
        newest = max(
            (e for e in matching if e.pattern == each.pattern), key=lambda e: (e.time_ns, e.number)
        )
        assert each.example.event_id == newest.number
        assert each.example.event.text == each.pattern
        assert each.example.event.time_ns == newest.time_ns
    if matching:
        start = min(e.time_ns for e in matching) if since is None else since
        assert result.start_ns == start


def check_histogram(world: World, shards: OpenShards, rng: random.Random) -> None:
    chosen, buckets, values = drawn_filter(rng), rng.randrange(1, 30), rng.randrange(1, 4)
    by = rng.choice(["", "host", "kind", "severity"])
    request = HistogramRequest(
        where=chosen.where, since_ns=chosen.since_ns, until_ns=chosen.until_ns, buckets=buckets,
        by=by, values=values,
    )  # fmt: skip
    result = count_events(shards, request)
    matching = [e for e in world.events if chosen.holds(e)]
    check_coverage(result.coverage, world, len(matching))
    assert sum(sum(series.counts) for series in result.series) == len(matching)

    def value(event: Stored) -> str | None:
        if by == "host":
            return event.host or None
        return {"": "", "kind": event.kind.name.lower()}.get(by)

    totals = Counter(v for e in matching if (v := value(e)) is not None)
    named = [series for series in result.series if not series.is_rest]
    expected = sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:values]
    assert [(series.value, sum(series.counts)) for series in named] == expected
    for series in result.series:
        own = [
            e.time_ns
            for e in matching
            if (value(e) == series.value) != series.is_rest
            and not (series.is_rest and value(e) in {v for v, _ in expected})
        ]
        assert series.counts == counted(own, result.start_ns, result.width_ns, buckets)
    assert [series.is_rest for series in result.series[:-1]] == [False] * (len(result.series) - 1)


def check_windows(world: World, shards: OpenShards, rng: random.Random) -> None:
    oldest = min(event.time_ns for event in world.events)
    a, b, c, d = sorted(rng.sample(range(oldest, SPAN_NS + 9), 4))
    before, after = (Window(a, b), Window(c, d))[:: rng.choice([1, -1])]
    # With this share every pattern that is compared is a change.
    result = diff.diff_patterns(shards, DiffRequest(before, after, false_share=1.0, limit=100))
    counts = {
        window: Counter(
            e.pattern for e in world.events if window.since_ns <= e.time_ns < window.until_ns
        )
        for window in (before, after)
    }
    assert result.events_before == counts[before].total()
    assert result.events_after == counts[after].total()
    check_coverage(result.coverage, world, result.events_before + result.events_after)
    assert {
        each.pattern: (each.count_before, each.count_after) for each in result.changes
    }.items() <= {
        p: (counts[before][p], counts[after][p]) for p in {*counts[before], *counts[after]}
    }.items()
    assert result.changes_total == result.patterns_compared == len(result.changes)
    for each in result.changes:
        own = [e for e in world.events if e.pattern == each.pattern]
        assert each.first_ever_ns == min(e.time_ns for e in own)
        inside = [e for e in own if a <= e.time_ns < b or c <= e.time_ns < d]
        newest = max(inside, key=lambda e: (e.time_ns, e.number))
        assert each.example.event_id == newest.number


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_any_mix_of_shards_counts_like_plain_python(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = random.Random(seed)
    world = World(tmp_path_factory.mktemp("world") / "index", rng)
    with world.directory, pytest.MonkeyPatch.context() as patched:
        # Small chunks and both ways to names, as large indexes have.
        patched.setattr(tally, "CHUNK_EVENTS", rng.choice([7, 1 << 20]))
        patched.setattr(diff, "_DENSE_KEYS_MAX", rng.choice([0, 1 << 20]))
        patched.setattr(pattern_tally, "_WALKED_PER_LOOKUP", rng.choice([0, 1, 1000]))
        for _ in range(rng.randrange(1, 5)):
            world.change()
        shards = OpenShards(world.directory, NoEncoder.fingerprint)
        for _ in range(3):
            check_patterns(world, shards, rng)
            check_histogram(world, shards, rng)
            if world.events:
                check_windows(world, shards, rng)
        shards.close()
