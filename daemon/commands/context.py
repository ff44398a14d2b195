"""`dejalog context`: an event with the lines before and after it in its source.

Neighbours are those of the same source and partition, in the order of the source. Exit codes: 0
found, 2 the call was wrong or there is no such event, 3 it failed, 4 found, but there may be more
neighbours than were looked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import tzinfo

from rich.console import Console
from rich.text import Text

from dejalog.daemon.asking import open_answerer
from dejalog.daemon.excerpt import visible, visible_line
from dejalog.daemon.hit_json import Json, occurrence_to_json, to_line
from dejalog.daemon.human_time import format_time, named_zone
from dejalog.daemon.question_flags import Number, event_id
from dejalog.daemon.remote import add_server_flags
from dejalog.daemon.terminal import open_console
from dejalog.indexer.answer import Context
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.request import ContextRequest

NAME = "context"
HELP = "read the lines around an event, in the order of its source"
EXAMPLE = "dejalog context 18204 -B 20 -A 5"

EXIT_FOUND, EXIT_PARTIAL = 0, 4
#: As many as a daemon sends; whoever needs more wants the source itself.
LINES_MAX = 1_000
_LINES = 5
#: The width of a line where there is no terminal to fit into.
_PIPE_CHARACTERS = 200
#: A daemon's answer and the disk behind it; a walk over neighbours takes 20 ms.
_TIMEOUT_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "event",
        type=event_id,
        metavar="EVENT_ID",
        help="the event's number, as 'search -v' and -o json show it",
    )
    group = parser.add_argument_group("what is shown")
    lines = Number(0, LINES_MAX)
    group.add_argument(
        "-C", "--context", type=lines, default=_LINES, metavar="N", help="lines around it (5)"
    )
    group.add_argument("-A", "--after-context", type=lines, metavar="N", help="lines after")
    group.add_argument("-B", "--before-context", type=lines, metavar="N", help="lines before")
    group.add_argument("--full", action="store_true", help="show long texts whole")
    group.add_argument("-o", "--output", choices=["text", "json"], default="text")
    group.add_argument(
        "--timezone", metavar="ZONE", help="zone of times shown (default: this system's)"
    )
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    zone = named_zone(parsed.timezone) if parsed.timezone else None
    before, after = parsed.before_context, parsed.after_context
    request = ContextRequest(
        parsed.event,
        before=parsed.context if before is None else before,
        after=parsed.context if after is None else after,
    )
    with open_answerer(parsed) as answerer:
        found = answerer.context(request, timeout_s=_TIMEOUT_S)
    if parsed.output == "json":
        sys.stdout.write(to_line(context_to_json(found.result)) + "\n")
    else:
        _Page(open_console(sys.stdout), zone, is_full=parsed.full).show(found.result)
    if found.is_cut:
        sys.stderr.write("long texts were shortened by the daemon to fit into one message\n")
    if not found.result.is_complete:
        sys.stderr.write("partial: too many other sources' events lie in between to look further\n")
        return EXIT_PARTIAL
    return EXIT_FOUND


def context_to_json(context: Context) -> dict[str, Json]:
    """Returns the event and its neighbours, as docs/CLI_JSON.md states."""
    return {
        "event": occurrence_to_json(context.event),
        "before": [occurrence_to_json(each) for each in context.before],
        "after": [occurrence_to_json(each) for each in context.after],
        "is_complete": context.is_complete,
    }


class _Page:
    """Prints a line for each event, the one that was asked about behind a mark."""

    def __init__(self, console: Console, zone: tzinfo | None, *, is_full: bool) -> None:
        self._console = console
        self._zone = zone
        self._is_full = is_full
        self._width = console.width if console.is_terminal else _PIPE_CHARACTERS

    def show(self, context: Context) -> None:
        about = context.event.event
        labels = "".join(f"  {name}={value}" for name, value in about.labels)
        head = f"{about.source}, partition {about.partition}{labels}"
        self._console.print(Text(visible_line(head), "dim"), soft_wrap=True)
        events = (*context.before, context.event, *context.after)
        width = max(len(str(each.event_id)) for each in events)
        for each in events:
            is_asked = each is context.event
            for line in self._lines(each, width, is_asked=is_asked):
                self._console.print(line, soft_wrap=True)

    def _lines(self, each: Occurrence, width: int, *, is_asked: bool) -> Iterator[Text]:
        text = visible(each.event.text).rstrip("\n")
        first, *more = text.split("\n")
        line = Text("> " if is_asked else "  ", "bold yellow")
        line.append(f"{each.event_id:>{width}}  ", "cyan")
        line.append(f"{format_time(each.event.time_ns, self._zone)}  ", "dim")
        indent = " " * line.cell_len
        style = "bold" if is_asked else ""
        if self._is_full or is_asked:
            yield line.append(first, style)
            for other in more:
                yield Text(indent).append(other, style)
            return
        shown = Text(first, style)
        shown.truncate(max(20, self._width - line.cell_len), overflow="crop")
        yield line.append_text(shown)
