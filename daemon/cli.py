"""The command line: one file per command under `commands/`.

Exit codes: 0 done or found, 1 nothing found, 2 the call was wrong, 3 it failed, 4 partial result.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import NoReturn, TextIO

from dejalog.daemon.commands import COMMANDS
from dejalog.daemon.excerpt import visible
from dejalog.daemon.flags import add_common_flags
from dejalog.daemon.memory import bound_heaps
from dejalog.indexer.errors import ConfigError, DejalogError, QueryError

EXIT_USAGE = 2
#: Commands that take the query language, where one dash and a word are an exclusion.
_WITH_TEXT = frozenset({"search", "tail", "precedents", "patterns", "diff", "histogram"})
_EXCLUSION = re.compile(r"-[^\W\d_-][\w-]*[^\W\d_][\w-]*")
#: Flags of one letter, together or with their value.
_JOINED = re.compile(r"-[vqh]+|-[vq]*o(json|text)")
EXIT_FAILED = 3
#: What a shell reports for a process that SIGINT ended.
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; never shows a traceback for a known error."""
    _open_missing_streams()
    bound_heaps()
    parser = _parser()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if problem := _misread(given):
        _complain(problem)
        return EXIT_USAGE
    parsed, unknown = parser.parse_known_args(given)
    if unknown:
        _complain(_unknown(parsed.command, unknown))
        return EXIT_USAGE
    if parsed.command is None:
        parser.print_help()
        return EXIT_USAGE
    try:
        return _run(parsed)
    finally:
        _drop(sys.stderr)


def _run(parsed: argparse.Namespace) -> int:
    try:
        code = int(parsed.run(parsed))
        # At the interpreter's end it would be too late to say that the disk is full.
        sys.stdout.flush()
        return code
    except (ConfigError, QueryError) as error:
        _complain(error)
        return EXIT_USAGE
    except DejalogError as error:
        _complain(error)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        _drop(sys.stdout)
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        _drop(sys.stdout)
        _complain(error)
        return EXIT_FAILED
    except Exception:
        # A fault of ours; the interpreter's own code for it, 1, would say that nothing was found.
        traceback.print_exc()
        return EXIT_FAILED


def _drop(stream: TextIO) -> None:
    """What is still buffered, and cannot be written, must not raise again."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _misread(given: Sequence[str]) -> QueryError | None:
    """What argparse would answer with the list of all commands, or with one of a flag's letters."""
    names = [command.NAME for command in COMMANDS]
    if not given or given[0].startswith("-"):
        return None
    if given[0] not in names:
        near = difflib.get_close_matches(given[0], names, n=1)
        also = f"did you mean '{near[0]}'?" if near else "'dejalog --help' lists all"
        return QueryError(f"there is no command {given[0]!r}; {also}")
    for each in itertools.takewhile(lambda piece: piece != "--", given):
        if given[0] in _WITH_TEXT and _EXCLUSION.fullmatch(each) and not _JOINED.fullmatch(each):
            return QueryError(
                f"{each!r} is not a flag; to exclude a word, put quotes around the whole text: "
                f"'... {each}'"
            )
    return None


def _unknown(command: str | None, flags: Sequence[str]) -> QueryError:
    called = f"dejalog {command}" if command else "dejalog"
    return QueryError(f"there is no flag {flags[0]!r}; see '{called} --help'")


def _complain(error: Exception) -> None:
    with suppress(OSError):  # The exit code says it, too.
        sys.stderr.write(f"dejalog: {visible(_said(error))}\n")


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror.lower()}; name another path"
    return str(error)


def _open_missing_streams() -> None:
    """Fills the places of standard streams that whoever started this has closed.

    The next file to be opened, perhaps of the index, would get their numbers, and what libraries
    write to standard error. Output goes nowhere, and says so: it cannot be written.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR if name == "stderr" else os.O_RDONLY)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


class _Parser(argparse.ArgumentParser):
    """Spells out what arguments have in them that could steer a terminal, in its complaints."""

    def error(self, message: str) -> NoReturn:
        """Says it and ends."""
        super().error(visible(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
