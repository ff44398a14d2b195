"""`dejalog mcp`: the index as tools for a program that a language model steers, read-only."""

from __future__ import annotations

import argparse
import asyncio
import signal

from dejalog.daemon.asking import open_answerer
from dejalog.daemon.human_time import named_zone
from dejalog.daemon.remote import add_server_flags
from dejalog.indexer.errors import DejalogError

NAME = "mcp"
HELP = "offer search, precedents and context to an AI agent over the Model Context Protocol"
EXAMPLE = """dejalog mcp --server 127.0.0.1:7040
         (a desktop agent starts it by itself and speaks to it on standard input and output;
         docs/MCP.md shows the agent's configuration)"""

_MISSING = (
    "the Model Context Protocol's library is not installed ({reason}); "
    "install it with: pip install 'dejalog[mcp]'"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "--timezone", metavar="ZONE", help="zone of times given and shown (default: this system's)"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=20.0,
        metavar="S",
        help="seconds after which what was found is told as partial (default: 20)",
    )
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Serves until standard input ends."""
    try:
        from dejalog.daemon.mcp.server import serve
    except ImportError as error:
        raise DejalogError(_MISSING.format(reason=error)) from error
    from dejalog.daemon.mcp.tools import Asking

    zone = named_zone(parsed.timezone) if parsed.timezone else None
    # A thread waits in a read of standard input, and would keep Python from ending by itself.
    # Nothing is written here, so that there is nothing to put in order first.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with open_answerer(parsed) as answerer:
        asyncio.run(serve(Asking(answerer, parsed.timeout, zone)))
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3_600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 3600")
    return seconds
