"""What a comparison of two windows finds in real logs, and what patterns, diff and histogram cost.

    python -m bench.patterns faults DIR
    python -m bench.patterns cost [--events 1000000] [--patterns 2000] [--folder DIR]

`faults` asks `diff_patterns` about the Nezha logs in DIR (nezha_trainticket.log.gz and the fault
lists beside it) through a real index:

- `halves`: the two halves of the quiet time before each fault was injected, and of the quiet
  windows; every change is a false one, more or less.
- `faults`: the quiet window of the day, before, against each fault's time, after. A change counts
  as the fault's own if the pod that the fault was injected into logged it.

Beside it stands what the same test finds that takes every event as independent (`poisson`).
Delays and busy processors leave next to no trace in these logs; `returns and exceptions` do.

`cost` times the three questions over synthetic events of Zipf-distributed patterns, as one fresh
shard, one compacted shard and many; the model is not asked, and stands aside.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer import diff
from dejalog.indexer.answer import DiffResult
from dejalog.indexer.append import Appender, Batch, PreparedEvent, ShardLimits
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.encode import Encoded
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.histogram import count_events
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.patterns import list_patterns
from dejalog.indexer.request import DiffRequest, HistogramRequest, PatternsRequest, Window
from dejalog.indexer.store.directory import DataDirectory

SECOND_NS = 1_000_000_000
#: Seconds without any line, after which another recording begins.
GAP_S = 25
#: What is compared has to be long enough to hold bursts.
QUIET_S_MIN = 50
#: The first recording of the second kind holds a quiet window, and the fault behind it.
QUIET_HEAD_S = 170
BATCH = 20_000


class NoEncoder:
    """Puts a random direction in the place of a model; no question here is about meaning."""

    fingerprint = "none"
    dim = pooled_dim = 8

    def encode_patterns(self, patterns: Sequence[str]) -> list[Encoded]:
        """One vector for each pattern."""
        rows = [self._row(pattern) for pattern in patterns]
        return [Encoded(row, row[0], is_truncated=False) for row in rows]

    def _row(self, text: str) -> NDArray[np.float32]:
        random = np.random.default_rng(zlib.crc32(text.encode()))
        row = random.standard_normal((1, self.dim))
        return (row / np.linalg.norm(row)).astype(np.float32)


def main() -> None:
    """Prints one JSON object per measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    faults_parser = commands.add_parser("faults")
    faults_parser.add_argument("logs", type=Path)
    faults_parser.add_argument("--share", type=float, default=0.01, help="false_share")
    cost_parser = commands.add_parser("cost")
    cost_parser.add_argument("--events", type=int, default=1_000_000)
    cost_parser.add_argument("--patterns", type=int, default=2_000)
    cost_parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.what == "faults":
        faults(options.logs, options.share)
    else:
        cost(options)


@dataclass(frozen=True)
class Fault:
    """One injected fault: seconds since 1970, the pod, and what was done to it."""

    time_s: int
    pod: str
    kind: str


def faults(logs: Path, share: float) -> None:
    """Compares quiet halves, then quiet windows with faults."""
    injected = list(read_faults(logs))
    with tempfile.TemporaryDirectory() as folder:
        times = index_log(logs / "nezha_trainticket.log.gz", Path(folder) / "index")
        with DataDirectory.open(Path(folder) / "index", is_writable=False) as directory:
            shards = OpenShards(directory, NoEncoder.fingerprint)
            measure_faults(shards, recordings(times), injected, share)
            shards.close()


def read_faults(logs: Path) -> Iterator[Fault]:
    """The faults of the recordings of January 2023, whose clock is UTC."""
    for path in sorted(logs.glob("nezha_2023-*-fault_list.json")):
        for hour in json.loads(path.read_text()).values():
            for each in hour:
                when = datetime.fromisoformat(f"{each['inject_time']}+00:00")
                yield Fault(int(when.timestamp()), each["inject_pod"], each["inject_type"])


def index_log(log: Path, folder: Path) -> NDArray[np.int64]:
    """Indexes a log, a line an event; returns the times, growing."""
    times: list[int] = []

    def events() -> Iterator[Event]:
        with gzip.open(log, "rt", errors="replace") as lines:
            for number, line in enumerate(lines):
                second, _, fraction = line.split(" ", 1)[0].rstrip("Z").partition(".")
                whole = int(datetime.fromisoformat(f"{second}+00:00").timestamp())
                times.append(whole * SECOND_NS + int(fraction.ljust(9, "0")))
                yield event_of(number, times[-1], line.rstrip("\n"))

    add_all(folder, events(), ShardLimits())
    return np.sort(np.array(times, np.int64))


def event_of(number: int, time_ns: int, text: str) -> Event:
    """A log line."""
    return Event(Kind.LOG, time_ns, TimeOrigin.EVENT, text, "bench", "0", number)


def add_all(folder: Path, events: Iterator[Event], limits: ShardLimits) -> None:
    """Appends events in batches."""
    with DataDirectory.open(folder, is_writable=True) as directory:
        appender = Appender(directory, NoEncoder(), limits=limits)  # type: ignore[arg-type]
        batch: list[PreparedEvent] = []
        for event in events:
            batch.append(PreparedEvent(event, mask_pattern(event.text)[0]))
            if len(batch) == BATCH:
                appender.append(Batch(batch, [], []))
                batch = []
        appender.append(Batch(batch, [], []))


def recordings(times: NDArray[np.int64]) -> list[Window]:
    """The stretches without a gap."""
    cuts = np.flatnonzero(np.diff(times) > GAP_S * SECOND_NS) + 1
    edges = [0, *cuts.tolist(), len(times)]
    return [
        Window(int(times[low]), int(times[high - 1]) + 1) for low, high in itertools.pairwise(edges)
    ]


def measure_faults(
    shards: OpenShards, stretches: Sequence[Window], injected: Sequence[Fault], share: float
) -> None:
    """Prints both measurements, with and without regard to bursts."""
    pairs = [(stretch, fault_of(stretch, injected)) for stretch in stretches]
    quiet = [window for stretch, fault in pairs if (window := quiet_part(stretch, fault))]
    baselines = [w for w, (_, fault) in zip(map(baseline_of, pairs), pairs, strict=True) if w]
    assert baselines, "the logs have no quiet recording"
    for name, ignores_bursts in (("bursts", False), ("poisson", True)):
        with as_poisson(ignores_bursts):
            changes = [
                diff.diff_patterns(shards, DiffRequest(*halves(window), false_share=share))
                for window in quiet
            ]
            totals = [result.changes_total for result in changes]
            compared = sum(result.patterns_compared for result in changes)
            report("halves", test=name, windows=len(quiet), compared=compared, changes=sum(totals),
                   windows_with_changes=sum(t > 0 for t in totals))  # fmt: skip
            for kinds in ({"return", "exception"}, {"cpu_contention", "network_delay"}):
                report_faults(shards, pairs, baselines, name=name, kinds=kinds, share=share)


def report_faults(
    shards: OpenShards,
    pairs: Sequence[tuple[Window, Fault | None]],
    baselines: Sequence[Window],
    *,
    name: str,
    kinds: set[str],
    share: float,
) -> None:
    """Prints how many of the faults show, and how high their own patterns stand."""
    ranks: list[int | None] = []
    changes = own = 0
    for stretch, fault in pairs:
        if fault is None or fault.kind not in kinds:
            continue
        before = max((w for w in baselines if w.since_ns <= stretch.since_ns),
                     key=lambda w: w.since_ns, default=baselines[0])  # fmt: skip
        after = Window(fault.time_s * SECOND_NS, stretch.until_ns)
        result = diff.diff_patterns(
            shards, DiffRequest(before, after, false_share=share, limit=1000)
        )
        is_own = own_changes(result, fault)
        ranks.append(is_own.index(True) + 1 if True in is_own else None)
        changes += len(is_own)
        own += sum(is_own)
    found = [rank for rank in ranks if rank]
    report("faults", test=name, kinds=sorted(kinds), faults=len(ranks), changes=changes,
           own_changes=own, faults_with_own=len(found), own_first=found.count(1),
           own_in_five=sum(rank <= 5 for rank in found))  # fmt: skip


def own_changes(result: DiffResult, fault: Fault) -> list[bool]:
    """Whether each change was logged by the fault's pod."""
    return [fault.pod in change.example.event.text.split(" ", 3)[2] for change in result.changes]


def fault_of(stretch: Window, injected: Sequence[Fault]) -> Fault | None:
    """The fault that was injected during a recording."""
    inside = (f for f in injected if stretch.since_ns <= f.time_s * SECOND_NS < stretch.until_ns)
    return next(inside, None)


def quiet_part(stretch: Window, fault: Fault | None) -> Window | None:
    """A recording before its fault, if that is long enough."""
    end = stretch.until_ns if fault is None else fault.time_s * SECOND_NS
    head = Window(stretch.since_ns, min(end, stretch.since_ns + QUIET_HEAD_S * SECOND_NS))
    return head if head.until_ns - head.since_ns >= QUIET_S_MIN * SECOND_NS else None


def baseline_of(pair: tuple[Window, Fault | None]) -> Window | None:
    """A recording, or the beginning of one, that was made to be quiet."""
    stretch, fault = pair
    if fault is None:
        return stretch
    is_long = fault.time_s * SECOND_NS - stretch.since_ns >= QUIET_HEAD_S * SECOND_NS
    return quiet_part(stretch, fault) if is_long else None


def halves(window: Window) -> tuple[Window, Window]:
    """The window, cut in two."""
    middle = (window.since_ns + window.until_ns) // 2
    return Window(window.since_ns, middle), Window(middle, window.until_ns)


@contextmanager
def as_poisson(ignores_bursts: bool) -> Iterator[None]:
    """While it lasts, with the argument, every event counts as independent."""
    whole = diff.dispersions
    try:
        if ignores_bursts:
            diff.dispersions = lambda counted, size, windows: np.ones(size)
        yield
    finally:
        diff.dispersions = whole


def cost(options: argparse.Namespace) -> None:
    """Builds each layout and times the questions."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for layout, shard_count, is_compacted in (
            ("one fresh shard", 1, False),
            ("eight fresh shards", 8, False),
            ("one compacted shard", 1, True),
        ):
            folder = Path(name) / layout.replace(" ", "-")
            limits = ShardLimits(events_max=-(-options.events // shard_count))
            add_all(folder, synthetic(options.events, options.patterns), limits)
            if is_compacted:
                compact(folder)
            with DataDirectory.open(folder, is_writable=False) as directory:
                shards = OpenShards(directory, NoEncoder.fingerprint)
                time_questions(shards, layout, options)
                shards.close()


def synthetic(events: int, patterns: int) -> Iterator[Event]:
    """Events, ten a second, whose patterns follow Zipf's law; one event in ten is a repeat."""
    random = np.random.default_rng(5)
    weights = 1 / np.arange(1, patterns + 1)
    drawn = random.choice(patterns, events, p=weights / weights.sum())
    for number, pattern in enumerate(drawn.tolist()):
        word = "".join("abcdefghij"[int(digit)] for digit in f"{pattern:06d}")
        labels = (("host", f"gw{number % 7}"), ("severity", "info" if pattern % 9 else "error"))
        yield Event(
            Kind.LOG, number * SECOND_NS // 10, TimeOrigin.EVENT, f"unit {word} reports a state",
            "bench", "0", number, 0, labels,
        )  # fmt: skip


def compact(folder: Path) -> None:
    """Makes one compacted shard of what there is."""
    with DataDirectory.open(folder, is_writable=True) as directory:
        Appender(directory, NoEncoder()).seal()  # type: ignore[arg-type]
        for shard in directory.shards:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                while catch_up(shard, index):
                    pass
        rules = CompactRules(write_bytes_per_s=0)
        compact_directory(directory, NoEncoder, rules)  # type: ignore[arg-type]


def time_questions(shards: OpenShards, layout: str, options: argparse.Namespace) -> None:
    """Times each question, the best of five after one that maps and reads."""
    end = options.events * SECOND_NS // 10
    half, fifth = end // 2, end // 5
    before, after = Window(0, half), Window(half, end)
    questions: dict[str, Callable[[], object]] = {
        "patterns": lambda: list_patterns(shards, PatternsRequest()),
        "patterns new": lambda: list_patterns(shards, PatternsRequest(since_ns=half, is_new=True)),
        "patterns filtered": lambda: list_patterns(
            shards, PatternsRequest(where=("host=gw3", "severity>=error"), since_ns=fifth)
        ),
        "diff": lambda: diff.diff_patterns(shards, DiffRequest(before, after)),
        "histogram": lambda: count_events(shards, HistogramRequest()),
        "histogram by host": lambda: count_events(shards, HistogramRequest(by="host")),
    }
    for name, ask in questions.items():
        ask()
        wall, busy = [], []
        for _ in range(5):
            started, worked = time.perf_counter(), time.process_time()
            ask()
            wall.append(time.perf_counter() - started)
            busy.append(time.process_time() - worked)
        report("cost", layout=layout, question=name, events=options.events,
               patterns=options.patterns, ms=round(min(wall) * 1000, 1),
               cpu_ms=round(min(busy) * 1000, 1))  # fmt: skip


def report(what: str, **figures: object) -> None:
    """Prints one line."""
    print(json.dumps({"what": what, **figures}), flush=True)


if __name__ == "__main__":
    main()
