"""`dejalog deadletters`: the records that could not become events, and what can be done with them.

Exit codes: 0 found or done, 1 no dead letter is meant, 2 the call was wrong, 3 it failed, 4 some of
them could not be read, or could not become events.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from dejalog.daemon.commands.status import size
from dejalog.daemon.config import Settings
from dejalog.daemon.engine import data_path, open_writable
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.flags import add_common_flags, load_settings
from dejalog.daemon.hit_json import Json, to_line
from dejalog.daemon.human_time import format_time, named_zone, parse_time
from dejalog.daemon.letter_view import excerpt, letter_lines, letter_to_json, letter_to_row
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.daemon.remote import add_server_flags, open_client
from dejalog.daemon.retrying import DeadLetterRetry, try_letters
from dejalog.indexer.dead_letters import is_cut, read_mark, select_letters
from dejalog.indexer.errors import ConfigError, DataDirectoryError, QueryError
from dejalog.indexer.event import DeadLetter
from dejalog.indexer.letters import LetterFilter, NumberRanges, RetryReport
from dejalog.indexer.store.directory import DataDirectory, is_being_written

NAME = "deadletters"
HELP = "list, show and export the records that could not become events, or decode them again"
EXAMPLE = """dejalog deadletters list --reason not-utf8 --since yesterday
         dejalog deadletters show 17
         dejalog deadletters retry --reason bad-json
         dejalog deadletters export --raw ./refused"""

EXIT_DONE, EXIT_NONE, EXIT_PARTIAL = 0, 1, 4

LIMIT_DEFAULT = 50
#: Rows in memory at once; `export` is for more.
LIMIT_MAX = 100_000
_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    listing = _add_action(actions, "list", "say which there are, newest last, and count by reason")
    listing.add_argument("--all", action="store_true", help="also those that were dealt with")
    listing.add_argument(
        "-n",
        "--limit",
        type=int,
        default=LIMIT_DEFAULT,
        metavar="N",
        help=f"how many of the newest are shown (default: {LIMIT_DEFAULT})",
    )
    showing = _add_action(actions, "show", "show everything of some", has_filter=False)
    showing.add_argument("--hex", action="store_true", help="bytes in hexadecimal, text too")
    retrying = _add_action(actions, "retry", "decode them again with the present settings")
    retrying.add_argument("--all", action="store_true", help="every dead letter")
    retrying.add_argument("--dry-run", action="store_true", help="only say what would come of it")
    add_server_flags(retrying)
    exporting = _add_action(
        actions, "export", "write them as JSON lines, or as files", has_output=False
    )
    exporting.add_argument("--all", action="store_true", help="also those that were dealt with")
    exporting.add_argument("--raw", type=Path, metavar="DIR", help="one file for each, its bytes")


def _add_action(
    actions: Any, name: str, meaning: str, *, has_filter: bool = True, has_output: bool = True
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=meaning, description=meaning)
    add_common_flags(parser)
    for action in parser._actions:
        # What was given before this word must not be overwritten by a default behind it.
        if action.dest in ("config", "data", "set"):
            action.default = argparse.SUPPRESS
    parser.add_argument(
        "numbers",
        nargs="*" if has_filter else "+",
        metavar="NUMBER",
        help="number of a dead letter, or a range: 3-17",
    )
    if has_output:
        parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="zone of times given and shown (default: this system's)"
    )
    if has_filter:
        group = parser.add_argument_group("which dead letters are meant; all must hold")
        group.add_argument("--reason", default="", metavar="WORD", help="refused for this reason")
        group.add_argument("--source", default="", metavar="NAME", help="of this source")
        group.add_argument("--since", metavar="TIME", help="received from this time on")
        group.add_argument("--until", metavar="TIME", help="received before this time")
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    zone = named_zone(parsed.timezone) if parsed.timezone else None
    call = _Call(parsed, _read_filter(parsed, zone, datetime.now(UTC)), zone)
    if parsed.action == "retry":
        return _retry(call)
    settings = load_settings(parsed).settings
    with DataDirectory.open(data_path(settings), is_writable=False) as directory:
        code = {"list": _list, "show": _show, "export": _export}[parsed.action](call, directory)
        for damaged in directory.damaged.values():
            sys.stderr.write(f"dejalog: not read: {visible_line(str(damaged))}\n")
        return EXIT_PARTIAL if directory.damaged else code


@dataclass(frozen=True, slots=True)
class _Call:
    """What the command line said."""

    parsed: argparse.Namespace
    wanted: LetterFilter
    zone: tzinfo | None

    @property
    def is_json(self) -> bool:
        return bool(self.parsed.output == "json")


def _read_filter(parsed: argparse.Namespace, zone: tzinfo | None, now: datetime) -> LetterFilter:
    numbers = NumberRanges.of(map(_parse_range, parsed.numbers)) if parsed.numbers else None
    if parsed.action == "show":
        return LetterFilter(numbers)
    since_ns = until_ns = None
    if parsed.since is not None:
        since_ns = parse_time(parsed.since, now=now, zone=zone)
    if parsed.until is not None:
        until_ns = parse_time(parsed.until, now=now, zone=zone, is_end=True)
    return LetterFilter(numbers, parsed.reason, parsed.source, since_ns, until_ns)


def _parse_range(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise QueryError(f"{text!r} is no number of a dead letter; write 17, or 3-17 for a range")
    return int(match[1]), int(match[2] or match[1])


def _selected(call: _Call, directory: DataDirectory) -> Iterator[tuple[int, DeadLetter, bool]]:
    """The letters that are meant, each with whether it is resolved."""
    resolved = read_mark(directory).resolved
    for number, letter in select_letters(directory, call.wanted):
        yield number, letter, number in resolved


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, ...]
    value: dict[str, Json]


def _list(call: _Call, directory: DataDirectory) -> int:
    limit = call.parsed.limit
    if not 1 <= limit <= LIMIT_MAX:
        raise QueryError(f"--limit {limit} is not within 1 to {LIMIT_MAX}; 'export' has no limit")
    rows: deque[_Row] = deque(maxlen=limit)
    counts: Counter[str] = Counter()
    left_out = 0
    for number, letter, is_resolved in _selected(call, directory):
        if is_resolved and not call.parsed.all:
            left_out += 1
            continue
        counts[letter.reason] += 1
        value = letter_to_row(number, letter, is_resolved=is_resolved)
        rows.append(_Row(_cells(number, letter, is_resolved, call.zone), value))
    if call.is_json:
        for row in rows:
            sys.stdout.write(to_line(row.value) + "\n")
    elif rows:
        _print_table([_HEADINGS, *(row.cells for row in rows)])
    sys.stderr.write(_summary(counts, len(rows), left_out) + "\n")
    return EXIT_DONE if rows else EXIT_NONE


_HEADINGS = ("number", "received", "reason", "source/partition/offset", "size", "first characters")
#: Columns of numbers.
_RIGHT = {0, 4}
#: As much as fits beside the other columns on a wide screen.
_CHARACTERS = 60


def _cells(
    number: int, letter: DeadLetter, is_resolved: bool, zone: tzinfo | None
) -> tuple[str, ...]:
    return (
        str(number),
        format_time(letter.received_at_ns, zone)[:19],
        visible_line(letter.reason) + (" (resolved)" if is_resolved else ""),
        visible_line(f"{letter.source}/{letter.partition}/{letter.offset}"),
        size(letter.size_bytes),
        excerpt(letter.data)[:_CHARACTERS],
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _summary(counts: Counter[str], shown: int, left_out: int) -> str:
    total = counts.total()
    text = "no dead letter is meant"
    if total:
        by_reason = (f"{grouped(n)} {visible_line(reason)}" for reason, n in counts.most_common())
        text = f"{_counted(total)}: {', '.join(by_reason)}"
    if shown < total:
        text += f"; the newest {grouped(shown)} are shown (--limit)"
    if left_out:
        text += f"; {grouped(left_out)} more were dealt with and are left out (--all)"
    return text


def _show(call: _Call, directory: DataDirectory) -> int:
    count = 0
    for number, letter, is_resolved in _selected(call, directory):
        count += 1
        if call.is_json:
            line = to_line(letter_to_json(number, letter, is_resolved=is_resolved))
            sys.stdout.write(line + "\n")
            continue
        for line in letter_lines(
            number, letter, is_resolved=is_resolved, is_hex=call.parsed.hex, zone=call.zone
        ):
            sys.stdout.write(line + "\n")
    if not count:
        sys.stderr.write("there is no such dead letter; 'dejalog deadletters list' shows them\n")
    return EXIT_DONE if count else EXIT_NONE


def _export(call: _Call, directory: DataDirectory) -> int:
    folder: Path | None = call.parsed.raw
    count = cut = 0
    for number, letter, is_resolved in _selected(call, directory):
        if is_resolved and not call.parsed.all:
            continue
        count += 1
        cut += is_cut(letter)
        if folder is not None:
            _write_raw(folder, number, letter)
            continue
        line = to_line(letter_to_json(number, letter, is_resolved=is_resolved))
        sys.stdout.write(line + "\n")
    where = "" if folder is None else f" to {visible_line(str(folder))}"
    of_cut = f"; of {grouped(cut)} only the first bytes are kept" if cut else ""
    sys.stderr.write(f"exported {_counted(count)}{where}{of_cut}\n")
    return EXIT_DONE if count else EXIT_NONE


def _write_raw(folder: Path, number: int, letter: DeadLetter) -> None:
    # Reasons come from sources, and a name from a stranger must not leave the folder.
    reason = re.sub(r"[^a-z0-9]+", "-", letter.reason.lower())[:40].strip("-") or "unknown"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:08d}-{reason}.bin").write_bytes(letter.data)
    except OSError as error:
        raise DataDirectoryError(
            f"cannot write to {folder}: {error.strerror}; name another directory with --raw"
        ) from error


def _retry(call: _Call) -> int:
    if call.wanted.is_empty and not call.parsed.all:
        raise QueryError(
            "say which dead letters to retry: numbers, --reason, --source, --since, --until, "
            "or --all for every one"
        )
    if call.parsed.all and not call.wanted.is_empty:
        raise QueryError("--all is every dead letter; leave it or the other conditions out")
    client = open_client(call.parsed)
    if client is None:
        report = _retry_here(call)
    elif call.parsed.dry_run:
        raise ConfigError("flags", "--dry-run", "does not go with --server; it only reads")
    else:
        with client:
            report = client.retry_dead_letters(call.wanted)
    if call.is_json:
        sys.stdout.write(to_line(asdict(report)) + "\n")
    sys.stderr.write(_told(report, is_dry=call.parsed.dry_run) + "\n")
    if report.still_dead or report.cut or not report.is_complete:
        return EXIT_PARTIAL
    return EXIT_DONE if report.retried or report.resolved else EXIT_NONE


def _retry_here(call: _Call) -> RetryReport:
    settings = load_settings(call.parsed).settings
    path = data_path(settings)
    with DataDirectory.open(path, is_writable=False) as directory:
        if call.parsed.dry_run:
            return try_letters(settings, directory, call.wanted)
    if is_being_written(path):
        raise DataDirectoryError(
            f"{path} is being written by another process; if that is the daemon, have it retry: "
            "add --server 127.0.0.1:7040"
        )
    return _retry_alone(call, settings)


def _retry_alone(call: _Call, settings: Settings) -> RetryReport:
    failures: list[BaseException] = []
    with open_writable(settings) as index:
        lexical = LexicalWorker(index.directory, failures.append)
        retry = DeadLetterRetry(settings, index.directory, index.appender, on_commit=lexical.notify)
        lexical.start()
        try:
            with _interrupted() as is_interrupted:
                report = retry(call.wanted, lambda: is_interrupted.is_set() or bool(failures))
        finally:
            lexical.finish()
    if failures:
        raise failures[0]
    return report


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Turns SIGINT and SIGTERM into an event, so that a retry ends between two batches."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: event.set()) for number in numbers]
    try:
        yield event
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _told(report: RetryReport, *, is_dry: bool) -> str:
    """What a retry did, in a sentence or some."""
    verb = "would become" if is_dry else "became"
    events = f"{grouped(report.events)} event{'' if report.events == 1 else 's'}"
    parts = [f"{_counted(report.retried)} {verb} {events}"]
    if report.new_dead_letters:
        parts.append(f"parts of them {verb} {_counted(report.new_dead_letters)}")
    if report.still_dead:
        parts.append(f"{grouped(report.still_dead)} still cannot be decoded")
    if report.cut:
        parts.append(
            f"of {grouped(report.cut)} only the first bytes are kept: replay them from their "
            "source, as docs/INGEST.md says"
        )
    if report.resolved:
        parts.append(f"{grouped(report.resolved)} had been dealt with before")
    if not report.is_complete:
        parts.append("it was interrupted: the others are as they were")
    return "; ".join(parts)


def _counted(count: int) -> str:
    return f"{grouped(count)} dead letter{'' if count == 1 else 's'}"
