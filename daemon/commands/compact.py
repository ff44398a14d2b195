"""`dejalog compact`: compacts what is due, and drops what is no longer kept."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dejalog.daemon.commands.status import size
from dejalog.daemon.config import Settings
from dejalog.daemon.engine import compact_rules, data_path, open_encoder, open_writable
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import load_settings
from dejalog.daemon.hit_json import Json, to_line
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.indexer.compact import Report, compact_directory
from dejalog.indexer.compaction.describe import describe_shards
from dejalog.indexer.compaction.pace import StoppedError
from dejalog.indexer.compaction.plan import ShardInfo, plan_compaction, plan_retention
from dejalog.indexer.retain import disk_space, retain
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import read_manifest

NAME = "compact"
HELP = "compact what is due and drop what is no longer kept, also beside a running daemon"
EXAMPLE = "dejalog compact --dry-run"

#: What was done before SIGINT or SIGTERM stays done.
EXIT_PARTIAL = 4

#: A line of progress at most so often, unless a step is new.
_PROGRESS_INTERVAL_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "--seal",
        action="store_true",
        help="also compact the shard that is appended to; only while nobody ingests",
    )
    parser.add_argument(
        "--bits", type=int, choices=(1, 2, 4), help="bits of a code's dimension (compact.bits)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    settings = load_settings(parsed).settings
    if parsed.bits is not None:
        settings = replace(settings, compact=replace(settings.compact, bits=parsed.bits))
    output = _JsonOutput() if parsed.output == "json" else _TextOutput()
    with _opened(settings, is_sealed=parsed.seal and not parsed.dry_run) as directory:
        if parsed.dry_run:
            _plan(directory, settings, output)
            return 0
        return _compact(directory, settings, output)


@contextmanager
def _opened(settings: Settings, *, is_sealed: bool) -> Iterator[DataDirectory]:
    path = data_path(settings)
    # Opening for writing would make an index that is missing.
    if not is_sealed or read_manifest(path) is None:
        with DataDirectory.open(path, is_writable=False) as directory:
            yield directory
        return
    with open_writable(settings) as index:
        failures: list[BaseException] = []
        index.appender.seal()
        lexical = LexicalWorker(index.directory, failures.append)
        lexical.start()
        lexical.finish()
        if failures:
            raise failures[0]
        yield index.directory


class _TextOutput:
    """Says in sentences what was done or would be."""

    def dropped(self, numbers: Sequence[int]) -> None:
        sys.stdout.write(f"dropped {_shards(numbers)}, which retention no longer keeps\n")

    def report(self, report: Report) -> None:
        before, after = size(report.bytes_before), size(report.bytes_after)
        if report.made is None:
            sys.stdout.write(f"removed {_shards(report.sources)}: nothing was left of them\n")
            return
        text = (
            f"{_shards(report.sources)} became shard {report.made}: {grouped(report.events)} "
            f"events, {grouped(report.patterns)} patterns, {before} became {after} "
            f"in {report.seconds:.1f} s"
        )
        if report.dropped_events:
            text += f"; {grouped(report.dropped_events)} deleted or expired events are gone"
        if report.reencoded_patterns:
            text += f"; {grouped(report.reencoded_patterns)} patterns were encoded again"
        sys.stdout.write(text + "\n")

    def plan(self, dropped: Sequence[int], jobs: Sequence[Sequence[int]]) -> None:
        if dropped:
            sys.stdout.write(f"retention would drop {_shards(dropped)}\n")
        for sources in jobs:
            sys.stdout.write(f"{_shards(sources)} would become one compacted shard\n")
        if not dropped and not jobs:
            self.nothing()

    def nothing(self) -> None:
        sys.stdout.write("nothing to compact\n")


class _JsonOutput:
    """An object a line; docs/CLI_JSON.md says what is in it."""

    def dropped(self, numbers: Sequence[int]) -> None:
        self._line({"action": "drop", "sources": list(numbers)})

    def report(self, report: Report) -> None:
        self._line(
            {
                "action": "compact",
                "sources": list(report.sources),
                "made": report.made,
                "events": report.events,
                "dropped_events": report.dropped_events,
                "patterns": report.patterns,
                "tokens": report.tokens,
                "reencoded_patterns": report.reencoded_patterns,
                "bits": report.bits,
                "centroids": report.centroids,
                "codebook_version": report.codebook_version,
                "drift": round(report.drift, 6),
                "mean_cosine": round(report.mean_cosine, 6),
                "bytes_before": report.bytes_before,
                "bytes_after": report.bytes_after,
                "seconds": round(report.seconds, 3),
            }
        )

    def plan(self, dropped: Sequence[int], jobs: Sequence[Sequence[int]]) -> None:
        if dropped:
            self.dropped(dropped)
        for sources in jobs:
            self._line({"action": "compact", "sources": list(sources)})

    def nothing(self) -> None:
        """An empty output says it."""

    def _line(self, value: dict[str, Json]) -> None:
        sys.stdout.write(to_line(value) + "\n")
        sys.stdout.flush()


def _plan(directory: DataDirectory, settings: Settings, output: _TextOutput | _JsonOutput) -> None:
    now_ns = time.time_ns()
    infos = describe_shards(directory, expire_before_ns=settings.retain.expire_before_ns(now_ns))
    dropped = plan_retention(infos, settings.retain, disk_space(directory), now_ns=now_ns)
    left = [info for info in infos if info.number not in dropped]
    jobs = plan_compaction(left, compact_rules(settings).plan_rules())
    output.plan(dropped, [job.sources for job in jobs])
    _tell_left_out(left)


def _compact(
    directory: DataDirectory, settings: Settings, output: _TextOutput | _JsonOutput
) -> int:
    dropped = retain(directory, settings.retain)
    if dropped:
        output.dropped(dropped)
    with _stopped_by_signals() as stop:
        try:
            reports = compact_directory(
                directory,
                lambda: open_encoder(settings),
                compact_rules(settings),
                on_progress=_Progress(),
                on_report=output.report,
                stop=stop,
                expire_before_ns=settings.retain.expire_before_ns(time.time_ns()),
            )
        except StoppedError as error:
            sys.stderr.write(f"dejalog: {error}\n")
            return EXIT_PARTIAL
    if not reports and not dropped:
        output.nothing()
    _tell_left_out(describe_shards(directory))
    return 0


def _tell_left_out(infos: Sequence[ShardInfo]) -> None:
    for info in infos:
        if info.damage:
            sys.stderr.write(f"dejalog: shard {info.number} is left out: {info.damage}\n")
        elif not info.is_indexed:
            sys.stderr.write(
                f"dejalog: shard {info.number} waits for its word index, which the daemon or "
                "'dejalog index' completes\n"
            )


def _shards(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"shard {numbers[0]}"
    return f"shards {', '.join(map(str, numbers))}"


class _Progress:
    """A line on standard error now and then."""

    def __init__(self) -> None:
        self._step = ""
        self._next_at = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step == self._step and now < self._next_at:
            return
        self._step, self._next_at = step, now + _PROGRESS_INTERVAL_S
        of_total = f" of {grouped(total)}" if total else ""
        sys.stderr.write(f"compacting: {step} {grouped(done)}{of_total}\n")


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of ending the process in the middle."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
