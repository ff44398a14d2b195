"""The command line: one file per command under `commands/`.

Exit codes: 0 done or found, 1 nothing found, 2 the call was wrong, 3 it failed, 4 partial result.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from dejalog.daemon.commands import COMMANDS
from dejalog.daemon.flags import add_common_flags
from dejalog.daemon.memory import bound_heaps
from dejalog.indexer.errors import ConfigError, DejalogError, QueryError

EXIT_USAGE = 2
EXIT_FAILED = 3
#: What a shell reports for a process that SIGINT ended.
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; never shows a traceback for a known error."""
    bound_heaps()
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return EXIT_USAGE
    try:
        return int(parsed.run(parsed))
    except (ConfigError, QueryError) as error:
        _complain(error)
        return EXIT_USAGE
    except DejalogError as error:
        _complain(error)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader (head, less) has seen enough. What is still buffered must not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _complain(error: Exception) -> None:
    sys.stderr.write(f"dejalog: {error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dejalog",
        description="Has this happened before, and what fixed it?",
        epilog="'dejalog COMMAND --help' shows a command's options and an example.",
    )
    parser.add_argument("--version", action="version", version=f"dejalog {version('dejalog')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.HELP,
            epilog=f"example: {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_common_flags(sub)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser
