"""`dejalog kafka`: topics, lag, and files sent to a topic, for whoever runs the broker's side."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dejalog.daemon.commands.status import size
from dejalog.daemon.config import Settings
from dejalog.daemon.engine import data_path, open_writable
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import add_common_flags, load_settings
from dejalog.daemon.hit_json import to_line
from dejalog.daemon.kafka import tables
from dejalog.daemon.kafka.broker import open_admin
from dejalog.daemon.kafka.judge import judge
from dejalog.daemon.kafka.lag import read_lag
from dejalog.daemon.kafka.peers import stored_positions
from dejalog.daemon.kafka.replay import Replay, ReplayOptions, Sent, find_target
from dejalog.daemon.kafka.reset import TARGETS, reset_group, reset_stored, target_offsets
from dejalog.daemon.kafka.topics import Layout, create_topics, plan_topics, survey
from dejalog.daemon.progress import ProgressLine
from dejalog.daemon.sources.files import FileSource
from dejalog.daemon.sources.source import Progress, Source
from dejalog.daemon.sources.stdin import StdinSource
from dejalog.daemon.terminal import open_console
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.event import Position
from dejalog.indexer.store.manifest import MANIFEST_NAME

NAME = "kafka"
HELP = "make and check topics, show how far the index is behind, send files, forget positions"
EXAMPLE = "dejalog kafka replay /var/log/plant --topic logs --rate 500"

EXIT_FAILED = 3
#: Some of what was asked for was not done.
EXIT_PARTIAL = 4

_LAYOUT = Layout()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the words that follow `kafka`, each with its flags."""
    words = parser.add_subparsers(required=True, metavar="COMMAND", dest="kafka_command")
    topics = words.add_parser("topics", help="make the configured topics, or check them")
    actions = topics.add_subparsers(required=True, metavar="ACTION", dest="kafka_action")
    _add_create(actions)
    _add_check(actions)
    _add_lag(words)
    _add_replay(words)
    _add_reset(words)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    code: int = parsed.kafka_run(parsed, load_settings(parsed).settings)
    return code


def _add_create(actions: Any) -> None:
    parser = _word(
        actions,
        "create",
        _create,
        "make the topics that kafka.topics names, and their dead-letter topics, as far as they\n"
        "are not there; one that exists is never changed",
        "dejalog kafka topics create --partitions 8 --retention-hours 168",
    )
    group = parser.add_argument_group("how new topics are made (docs/KAFKA.md says why)")
    for flag, default, meaning in (
        ("--partitions", _LAYOUT.partitions, "partitions; they can be added to, never removed"),
        ("--replication", _LAYOUT.replication, "copies, on as many brokers"),
        ("--retention-hours", _LAYOUT.retention_hours, "how long records are kept"),
        ("--retention-bytes", _LAYOUT.retention_bytes, "what one partition may take on disk"),
        ("--segment-bytes", _LAYOUT.segment_bytes, "what is deleted at a time"),
    ):
        group.add_argument(
            flag, type=_positive, default=default, metavar="N", help=f"{meaning} ({default})"
        )


def _add_check(actions: Any) -> None:
    _word(
        actions,
        "check",
        _check,
        "say whether the broker answers, and whether the topics suit the configuration",
        "dejalog kafka topics check -o json",
    )


def _add_lag(words: Any) -> None:
    _word(
        words,
        "lag",
        _lag,
        "show for every partition how far the index has it, and how far it reaches",
        "dejalog kafka lag --data /var/lib/dejalog",
    )


def _add_replay(words: Any) -> None:
    parser = _word(
        words,
        "replay",
        _replay,
        "send the records of files, directories, .gz files or standard input to a topic",
        "dejalog kafka replay old-logs/*.gz --topic logs --key-by file\n"
        "         journalctl -f | dejalog kafka replay - --topic logs",
        has_output=False,
    )
    parser.add_argument("paths", nargs="+", metavar="FILE", help="what to send; - is stdin")
    parser.add_argument("--topic", required=True, help="where to")
    parser.add_argument(
        "--rate",
        type=_rate,
        default=0.0,
        metavar="N",
        help="records per second (as fast as it goes)",
    )
    parser.add_argument(
        "--limit", type=_positive, default=0, metavar="N", help="end after so many records"
    )
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key", default="", help="key of all records, which then share a partition")
    keys.add_argument(
        "--key-by",
        choices=["none", "file"],
        default="none",
        help="none: partitions in turn; file: the file's name, so that a file stays in order",
    )
    parser.add_argument(
        "--compression", choices=["none", "gzip"], default="none", help="of batches (none)"
    )


def _add_reset(words: Any) -> None:
    parser = _word(
        words,
        "reset",
        _reset,
        "forget how far a topic was read, in this index and in the group: after it was made anew,\n"
        "or to read it once more; what is indexed stays. All workers of the group must be stopped",
        "dejalog kafka reset logs --partition 3 --to latest",
        has_output=False,
    )
    parser.add_argument("topic", metavar="TOPIC")
    parser.add_argument("--partition", type=int, metavar="N", help="this one only (all)")
    parser.add_argument(
        "--to", choices=TARGETS, default=TARGETS[0], help=f"where to go on ({TARGETS[0]})"
    )


def _word(
    words: Any,
    name: str,
    does: Callable[[argparse.Namespace, Settings], int],
    meaning: str,
    example: str,
    *,
    has_output: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = words.add_parser(
        name,
        help=meaning.replace("\n", " "),
        description=meaning,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_flags(parser)
    for action in parser._actions:
        # What was given before this word must not be overwritten by a default behind it.
        if action.dest in ("config", "data", "set"):
            action.default = argparse.SUPPRESS
    if has_output:
        parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(kafka_run=does)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0.001 <= number <= 1e9:
        raise argparse.ArgumentTypeError("must be at least 0.001 records a second")
    return number


def _create(parsed: argparse.Namespace, settings: Settings) -> int:
    layout = Layout(
        parsed.partitions,
        parsed.replication,
        parsed.retention_hours,
        parsed.retention_bytes,
        parsed.segment_bytes,
    )
    if not settings.kafka.topics:
        raise ConfigError("kafka", "topics", "names no topic; add [[kafka.topics]] with a name")
    with open_admin(settings.kafka, "topics") as admin:
        plan = plan_topics(
            settings.kafka,
            layout,
            frozenset(admin.list_topics()),
            record_bytes_max=settings.decode.record_bytes_max,
        )
        made = create_topics(admin, plan.new)
    if parsed.output == "json":
        for row in tables.created_to_json(plan, made):
            sys.stdout.write(to_line(row) + "\n")
    else:
        tables.print_created(open_console(sys.stdout), plan, made)
    return EXIT_FAILED if any(each.outcome == "failed" for each in made) else 0


def _check(parsed: argparse.Namespace, settings: Settings) -> int:
    with open_admin(settings.kafka, "topics") as admin:
        found = survey(admin, settings.kafka)
    findings = judge(settings.kafka, found, record_bytes_max=settings.decode.record_bytes_max)
    if parsed.output == "json":
        sys.stdout.write(to_line(tables.survey_to_json(found, findings)) + "\n")
    else:
        tables.print_survey(open_console(sys.stdout), found, findings)
    return EXIT_FAILED if any(each.is_failure for each in findings) else 0


def _lag(parsed: argparse.Namespace, settings: Settings) -> int:
    paths = [data_path(settings), *(Path(peer).expanduser() for peer in settings.kafka.peers)]
    positions = [position for path in paths for position in _positions(path)]
    with open_admin(settings.kafka, "lag") as admin:
        lag = read_lag(admin, settings.kafka, positions)
    if parsed.output == "json":
        for each in lag.partitions:
            sys.stdout.write(to_line(tables.reach_to_json(lag.group, each)) + "\n")
    else:
        tables.print_lag(open_console(sys.stdout), lag)
    for name in lag.missing:
        sys.stderr.write(f"dejalog: there is no topic {name}\n")
    return EXIT_FAILED if lag.missing else 0


def _positions(path: Path) -> list[Position]:
    """What an index has stored; nothing where there is no index yet."""
    if not (path / MANIFEST_NAME).exists():
        return []
    return stored_positions(path)


def _reset(parsed: argparse.Namespace, settings: Settings) -> int:
    offsets = target_offsets(settings.kafka, parsed.topic, parsed.partition, parsed.to)
    with open_writable(settings) as index:
        reset_group(settings.kafka, parsed.topic, offsets)
        reset_stored(index.appender, parsed.topic, offsets)
    for number, offset in sorted(offsets.items()):
        sys.stdout.write(f"{parsed.topic}/{number} is read from {offset} on\n")
    return 0


def _replay(parsed: argparse.Namespace, settings: Settings) -> int:
    options = ReplayOptions(
        topic=parsed.topic,
        rate=parsed.rate,
        limit=parsed.limit,
        key=parsed.key,
        is_keyed_by_file=parsed.key_by == "file",
        compression=parsed.compression,
    )
    with open_admin(settings.kafka, "replay") as admin:
        target = find_target(admin, settings.kafka, options.topic)
    source = _source(parsed.paths, target.message_bytes_max)
    try:
        line = _SendingLine()
        with line:
            line.phase("sending")
            replay = Replay(
                source,
                settings.kafka,
                options,
                message_bytes_max=target.message_bytes_max,
                on_progress=line.show,
            )
            with _ended_by_signals(replay.stop):
                sent = replay.run(target.partitions)
        is_whole = replay.is_whole and not sent.refused and _name_unread(source)
    finally:
        source.close()
    sys.stderr.write(summary(sent, parsed.topic, replay.elapsed_s) + "\n")
    return 0 if is_whole else EXIT_PARTIAL


def summary(sent: Sent, topic: str, elapsed_s: float) -> str:
    """What a replay did, in one sentence."""
    rate = sent.records / max(elapsed_s, 1e-9)
    text = (
        f"{grouped(sent.records)} records ({size(sent.size_bytes)}) are in topic {topic}, "
        f"sent in {elapsed_s:.1f} s ({grouped(round(rate))}/s)"
    )
    if sent.refused:
        text += f"; {grouped(sent.refused)} were not sent: larger than the topic takes, or cut off"
    return text


def _source(paths: list[str], record_bytes_max: int) -> Source:
    if paths == ["-"]:
        return StdinSource(sys.stdin.buffer, record_bytes_max=record_bytes_max)
    if "-" in paths:
        raise ConfigError("FILE", "-", "standard input cannot be read together with files")
    return FileSource(
        [Path(path) for path in paths], follow=False, record_bytes_max=record_bytes_max
    )


def _name_unread(source: Source) -> bool:
    """Names the files that were not read; returns whether all that could be read were."""
    if not isinstance(source, FileSource):
        return True
    for item in [*source.skipped(), *source.problems()]:
        sys.stderr.write(f"dejalog: not read: {item.path}: {item.reason}\n")
    return not source.problems()


class _SendingLine(ProgressLine):
    """The line of `dejalog index`, with what a replay counts."""

    def show(self, sent: Sent, source: Progress) -> None:
        """Shows what has been acknowledged and read."""
        self._rate.add(sent.records)
        self._progress.update(
            self._task,
            total=source.bytes_total or None,
            completed=source.bytes_done,
            counts=f"{grouped(sent.records)} records  {grouped(round(self._rate.rate()))}/s",
        )


@contextmanager
def _ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Ends with what was sent, at the first SIGINT or SIGTERM; a second one ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(*_: object) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop()

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
