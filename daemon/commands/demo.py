"""`dejalog demo`: indexes a sample of real logs and notes, and asks four questions."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

from dejalog.daemon.alerts.state import STATE_NAME
from dejalog.daemon.audit import AUDIT_NAME
from dejalog.daemon.commands.index import index_source, summary
from dejalog.daemon.config import Settings
from dejalog.daemon.engine import open_searcher
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import load_settings
from dejalog.daemon.precedent_view import PrecedentPrinter, PrecedentView
from dejalog.daemon.progress import ProgressLine
from dejalog.daemon.runner import run_daemon
from dejalog.daemon.sources.files import FileSource
from dejalog.daemon.terminal import HitPrinter, View, open_console
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.precedents import find_precedents
from dejalog.indexer.request import PrecedentsRequest, SearchRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import is_being_written

NAME = "demo"
HELP = "index a sample of real logs and maintenance notes, then ask four questions"
EXAMPLE = "dejalog demo --keep-running"

#: Lies in each data directory that a demo made; no other is emptied, since every index looks alike.
MARKER_NAME = "made-by-dejalog-demo"

#: What else the demo's directory may hold; anything else is somebody's and is not removed.
_OWN_NAMES = {
    MARKER_NAME,
    "compact.lock",
    "lock",
    "manifest.json",
    "manifest.lock",
    "manifest.tmp",
    "shards",
}

#: What a daemon that was left running adds, each with its numbered or unfinished files.
_OWN_PREFIXES = (AUDIT_NAME, STATE_NAME)

#: The third one of the first question says what was done.
HITS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the demo, and a word that a right answer has."""

    title: str
    text: str
    expected: str


QUESTIONS = (
    Question("in words, of the notes", "engine overheats and loses power kind=note", "overheating"),
    Question("by a code", "P0420", "P0420 Catalyst"),
    Question(
        "by a raw log line, with other times and ids than any line before",
        "2023-02-11T07:12:09.118402311Z 33.33.33.201 ts-food-service-6d5bdb9c44-zz9xk 15:12:09.117 "
        "ERROR f.s.FoodServiceImpl#302 TraceID: 0af7651916cd43dd8448eb211c80319c "
        "SpanID: b7ad6b7169203331 [getAllFood][Get the Get Food Request Failed!]",
        "Get Food Request Failed",
    ),
)


#: A burst hose on a machine whose next work orders are in the sample, too.
INCIDENT = "hydraulic hose burst"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "--keep-running", action="store_true", help="run the daemon on the demo's index afterwards"
    )


def run(parsed: argparse.Namespace) -> int:
    """Does it; 0 if every question found something."""
    settings = load_settings(parsed).settings
    folder = Path(parsed.data or "demo-data").expanduser()
    _prepare(folder)
    settings = replace(settings, data=replace(settings.data, directory=str(folder)))
    _index(settings)
    with open_searcher(settings) as (_, searcher):
        answered = [_ask(question, searcher) for question in QUESTIONS]
        answered.append(_ask_what_followed(searcher))
    _say_what_next(folder, is_running=parsed.keep_running)
    if parsed.keep_running:
        run_daemon(settings, on_ready=lambda server: _say(f"ready on {server.address}"))
    return 0 if all(answered) else 1


def _prepare(folder: Path) -> None:
    """Makes the folder, or empties the one that an earlier demo made."""
    _check_own(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / MARKER_NAME
    marker.write_text("'dejalog demo' made this folder and empties it when it runs again\n")
    # The marker stays throughout, so that an interrupted demo can be run again.
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child != marker:
            child.unlink()


def _check_own(folder: Path) -> None:
    if not folder.exists():
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    others = {name for name in names - _OWN_NAMES if not name.startswith(_OWN_PREFIXES)}
    if names and (MARKER_NAME not in names or others):
        raise DataDirectoryError(
            f"{folder} holds something else than a demo; name another directory with --data"
        )
    if is_being_written(folder):
        raise DataDirectoryError(
            f"{folder} is being written by another process; stop it, or name another directory "
            "with --data"
        )


def _index(settings: Settings) -> None:
    started = time.perf_counter()
    with as_file(files("dejalog.daemon") / "demo_sample") as sample:
        _say("Indexing real logs of two microservice systems, work orders and trouble codes ...")
        source = FileSource([sample], follow=False)
        with ProgressLine() as progress:
            totals = index_source(source, settings, progress)
        source.close()
    _say(f"{summary(totals)}, in {time.perf_counter() - started:.1f} s.\n")


def _ask(question: Question, searcher: Searcher) -> bool:
    started = time.perf_counter()
    result = searcher.search(SearchRequest(question.text, limit=HITS_SHOWN, occurrences=1))
    milliseconds = (time.perf_counter() - started) * 1000
    _say(f"--- Has this happened before? Asked {question.title}:")
    _say(f"    {question.text}\n")
    printer = HitPrinter(open_console(sys.stdout), View(question.text))
    best = max((hit.scores.total for hit in result.hits), default=0.0)
    for rank, hit in enumerate(result.hits, 1):
        printer.print_hit(rank, hit, best=best)
    _say(
        f"    {grouped(result.patterns_scored)} patterns of {grouped(result.events_total)} events "
        f"searched in {milliseconds:.0f} ms\n"
    )
    return bool(result.hits)


def _ask_what_followed(searcher: Searcher) -> bool:
    _say(f"--- And what was done then, on the same machine? Precedents of:\n    {INCIDENT}\n")
    request = PrecedentsRequest(INCIDENT, limit=1, notes=2)
    found = find_precedents(searcher, request).precedents
    printer = PrecedentPrinter(open_console(sys.stdout), PrecedentView(INCIDENT))
    for rank, precedent in enumerate(found, 1):
        printer.print_precedent(rank, precedent, best=found[0].score)
    return bool(found)


def _say_what_next(folder: Path, *, is_running: bool) -> None:
    program = Path(sys.argv[0])
    command = str(program) if program.name == "dejalog" else "python -m dejalog.daemon"
    _say("Try next:")
    _say(f"  {command} search --data {folder} 'hydraulic hose leaking' --kind note -n 5")
    _say(f"  {command} precedents --data {folder} 'busted hydraulic hose'")
    _say(f"  {command} patterns --data {folder} severity=error")
    _say(f"  {command} search --data {folder} --where severity=error -C 2")
    _say(f"  {command} search --data {folder} P0171 -o json")
    _say(f"  {command} status --data {folder}")
    _say(f"  {command} index --data {folder} /var/log")
    if is_running:
        _say("\nThe daemon runs until Ctrl-C; ask it with --server instead of --data.")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
