"""`dejalog index`: reads files to their end and indexes what is new in them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from dejalog.daemon.config import Settings
from dejalog.daemon.engine import disk_gate, open_decoder, open_writable
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import load_settings
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.daemon.pipeline import Pipeline, Totals
from dejalog.daemon.progress import ProgressLine
from dejalog.daemon.sources.files import FileSource
from dejalog.daemon.sources.labels import parse_labels
from dejalog.daemon.sources.source import Source
from dejalog.daemon.sources.stdin import StdinSource
from dejalog.indexer.errors import ConfigError

NAME = "index"
HELP = "index files, directories, .gz files or standard input; a second run adds only what is new"
#: A file was there and could not be read.
EXIT_PARTIAL = 4

EXAMPLE = """dejalog index /var/log/plant ./old-logs/*.gz
         dejalog index pump101.log --label asset=P-101"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="what to read; - is stdin")
    parser.add_argument("--follow", action="store_true", help="go on as the files grow")
    parser.add_argument("--encoding", help="how records are written (default: detected)")
    parser.add_argument("--name", default="stdin", help="name of what comes in on stdin")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="label of every event of this run, for example asset=P-101; may be repeated",
    )


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    settings = load_settings(parsed).settings
    source = _source(parsed, settings)
    try:
        with ProgressLine() as progress:
            totals = index_source(source, settings, progress, encoding=parsed.encoding)
    finally:
        source.close()
    is_whole = True
    if isinstance(source, FileSource):
        is_whole = not source.problems()
        for item in [*source.skipped(), *source.problems()]:
            sys.stderr.write(f"dejalog: not read: {item.path}: {item.reason}\n")
    sys.stderr.write(summary(totals) + "\n")
    return 0 if is_whole else EXIT_PARTIAL


def index_source(
    source: Source,
    settings: Settings,
    progress: ProgressLine,
    *,
    encoding: str | None = None,
) -> Totals:
    """Runs a source to its end, or to SIGINT or SIGTERM, and returns what was stored."""
    with open_writable(settings) as index:
        failures: list[BaseException] = []
        lexical = LexicalWorker(index.directory, failures.append)
        pipeline = Pipeline(
            source,
            open_decoder(settings, encoding),
            index.appender,
            settings=settings.ingest,
            gate=disk_gate(settings, is_fatal=True),
            on_commit=lambda totals: _committed(totals, source, lexical, progress, failures),
        )
        lexical.start()
        try:
            with _stopped_by_signals(pipeline):
                totals = pipeline.run()
        finally:
            progress.phase("finishing the word index")
            lexical.finish()
        if failures:
            raise failures[0]
        return totals


def summary(totals: Totals) -> str:
    """What a run stored, in one sentence."""
    text = (
        f"{grouped(totals.events)} events and {grouped(totals.dead_letters)} dead letters from "
        f"{grouped(totals.records)} records; {grouped(totals.new_patterns)} new patterns"
    )
    if totals.dead_letters:
        text += "; 'dejalog deadletters list' says what could not be read"
    if totals.skipped_records:
        text += f"; {grouped(totals.skipped_records)} records were there already"
    return text


def _source(parsed: argparse.Namespace, settings: Settings) -> Source:
    labels = parse_labels(parsed.label)
    if parsed.paths == ["-"]:
        return StdinSource(sys.stdin.buffer, partition=parsed.name, labels=labels)
    if "-" in parsed.paths:
        raise ConfigError("PATH", "-", "standard input cannot be read together with files")
    return FileSource(
        [Path(path) for path in parsed.paths],
        follow=parsed.follow,
        labels=labels,
        record_bytes_max=settings.decode.record_bytes_max,
    )


def _committed(
    totals: Totals,
    source: Source,
    lexical: LexicalWorker,
    progress: ProgressLine,
    failures: list[BaseException],
) -> None:
    if failures:
        raise failures[0]
    lexical.notify()
    progress.update(totals, source.progress())


class _stopped_by_signals:  # noqa: N801 - used as a with statement's verb
    """Ends the pipeline after what it has read; a second signal ends the process where it is.

    What was read may be thousands of new patterns, which take a while to encode. Nothing that is
    stored suffers from the second signal, no more than from `kill -9`.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._is_stopping = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._heard)

    def _heard(self, number: int, _: object) -> None:
        if self._is_stopping:
            os._exit(128 + number)
        self._is_stopping = True
        self._pipeline.stop()
        sys.stderr.write("\ndejalog: storing what was read; once more ends it now\n")

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
