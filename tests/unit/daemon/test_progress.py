from __future__ import annotations

from dejalog.daemon.pipeline import Totals
from dejalog.daemon.progress import ProgressLine
from dejalog.daemon.sources.source import Progress


def test_nothing_is_shown_in_a_pipe(capsys) -> None:
    with ProgressLine() as progress:
        progress.update(Totals(events=5), Progress(bytes_done=1, bytes_total=2))
        progress.phase("finishing")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_terminal_sees_share_events_and_rate(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    with ProgressLine() as progress:
        progress.update(
            Totals(events=12_345, new_patterns=67), Progress(bytes_done=1, bytes_total=2)
        )
        progress._progress.refresh()
        shown = capsys.readouterr().err
    assert "12 345 events" in shown
    assert "67 new patterns" in shown
    assert "50%" in shown
