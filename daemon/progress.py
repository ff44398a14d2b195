"""One line on a terminal that says how far indexing has come; nothing in a pipe."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from dejalog.daemon.engine import RateMeter
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.pipeline import Totals
from dejalog.daemon.sources.source import Progress as SourceProgress


class ProgressLine:
    """Phase, share of the bytes, events, rate and remaining time, on stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._rate = RateMeter()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("indexing", total=None, counts="")

    def __enter__(self) -> ProgressLine:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def phase(self, name: str) -> None:
        """Says what is being done now."""
        self._progress.update(self._task, description=name)

    def update(self, totals: Totals, source: SourceProgress) -> None:
        """Shows what has been stored and read."""
        self._rate.add(totals.events)
        counts = (
            f"{grouped(totals.events)} events  {grouped(totals.new_patterns)} new patterns  "
            f"{grouped(round(self._rate.rate()))}/s"
        )
        self._progress.update(
            self._task,
            total=source.bytes_total or None,
            completed=source.bytes_done,
            counts=counts,
        )
