from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC

import pytest
from rich.console import Console

from dejalog.daemon.terminal import HitPrinter, View, open_console
from dejalog.indexer.answer import Context
from dejalog.indexer.event import Event, Kind, Labels, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores

SECOND_NS = 1_000_000_000
#: 2022-08-22 05:18:16 UTC.
TIME_NS = 1_661_145_496 * SECOND_NS
VIEW = View("pump stopped", zone=UTC, now_ns=TIME_NS + 7200 * SECOND_NS)
TEXT = "2022-08-22T05:18:16Z pump P-101 halted, order 4711"


def event(text: str = TEXT, *, time_ns: int = TIME_NS, labels: Labels = ()) -> Event:
    return Event(Kind.LOG, time_ns, TimeOrigin.EVENT, text, "plant", "0", 7, 0, labels)


def hit(*events: Event, count: int = 0, evidence: tuple[Evidence, ...] = ()) -> Hit:
    return Hit(
        pattern_id="00",
        pattern="<time> pump P-101 halted, order <num>",
        scores=Scores(1.25, 0.5, 0.5, 1.0, 0.0),
        count=count or len(events),
        first_seen_ns=min((e.time_ns for e in events), default=TIME_NS),
        last_seen_ns=max((e.time_ns for e in events), default=TIME_NS),
        occurrences=tuple(Occurrence(n, e) for n, e in enumerate(events)),
        evidence=evidence,
    )


def plain(shown: Hit, view: View = VIEW, *, context: Context | None = None) -> str:
    """What goes through a pipe."""
    stream = io.StringIO()
    HitPrinter(open_console(stream), view).print_hit(1, shown, best=1.25, context=context)
    return stream.getvalue()


def terminal(
    shown: Hit, view: View = VIEW, *, width: int = 80, context: Context | None = None
) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, width=width, highlight=False, markup=False, emoji=False,
        color_system="standard", _environ={},
    )  # fmt: skip
    HitPrinter(console, view).print_hit(1, shown, best=1.25, context=context)
    return stream.getvalue()


def without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def bright(text: str) -> list[str]:
    """What is bold and yellow: the matched words."""
    return re.findall(r"\x1b\[(?:1;4;33|1;93)m([^\x1b]*)\x1b", text)


def test_a_hit_reads_from_rank_to_text() -> None:
    labels = (("asset", "P 101"), ("host", "gw7"), ("severity", "error"))
    assert plain(hit(event(labels=labels))) == (
        " 1  1.25 ======  x1\n"
        '    2022-08-22 05:18:16.000 +00:00  2 h ago  error  asset="P 101"  host=gw7  plant\n'
        "    2022-08-22T05:18:16Z pump P-101 halted, order 4711\n"
        "\n"
    )


def test_a_pipe_gets_no_styles_and_no_wrapping() -> None:
    output = plain(hit(event("pump " * 70)))
    assert "\x1b" not in output
    assert "pump " * 69 + "pump\n" in output


def test_a_terminal_gets_lines_that_fit() -> None:
    labels = (("asset", "a" * 70), ("file", "b" * 70))
    long = event("word " * 60 + "x" * 200 + "\n\tat plant.Frame", labels=labels)
    other = event("other " * 60, time_ns=TIME_NS + 1)
    shown = hit(long, other, count=9)
    context = Context(Occurrence(0, event()), (Occurrence(5, long),), (Occurrence(6, other),))
    for width in (80, 140):
        output = without_styles(terminal(shown, width=width, context=context))
        assert max(len(line) for line in output.splitlines()) <= width


def test_matched_words_are_bright_and_exact_ones_underlined() -> None:
    at = TEXT.index("halted")
    output = terminal(hit(event(), evidence=(Evidence(5, 12, at, at + 6, 0.9),)))
    assert bright(output) == ["pump", "halted"]
    assert "\x1b[1;4;33mpump\x1b" in output
    assert "\x1b[1;93mhalted\x1b" in output


def test_styles_do_not_run_into_the_rest_of_a_line() -> None:
    # Text(text, style) styles whatever is appended to it, too: everything was bold once.
    headline = terminal(hit(event())).splitlines()[0]
    assert (
        headline
        == "\x1b[1m 1\x1b[0m\x1b[36m  1.25 \x1b[0m\x1b[36m======\x1b[0m\x1b[1;35m  x1\x1b[0m"
    )


def test_repeats_are_folded_with_first_and_last() -> None:
    shown = hit(event(), event(time_ns=TIME_NS - 90 * SECOND_NS), count=1204)
    output = plain(shown)
    assert "x1 204  2022-08-22 05:16:46 .. 05:18:16 +00:00\n" in output
    assert "    2022-08-22 05:16:46.000 +00:00  same text\n" in output
    assert "    and 1 202 more\n" in output


def test_a_further_occurrence_shows_what_is_different_in_it() -> None:
    other = event(
        "2022-08-22T06:18:16Z pump P-101 halted, order 4712",
        time_ns=TIME_NS + 3600 * SECOND_NS,
        labels=(("host", "gw8"),),
    )
    output = plain(hit(event(), other))
    assert "    2022-08-22 06:18:16.000 +00:00  host=gw8  order 4712\n" in output


def test_escape_sequences_in_logs_reach_no_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jpump \x9b31m\r\x08"
    labels = ((f"na{evil}me", f"va{evil}lue"),)
    poisoned = replace(event(evil, labels=labels), source=evil, partition=evil)
    other = replace(poisoned, text=evil + "other", labels=((evil, "x"),), source=evil + "2")
    shown = replace(hit(poisoned, other), pattern=evil)
    context = Context(
        Occurrence(0, poisoned), (Occurrence(5, poisoned),), (Occurrence(6, poisoned),)
    )
    view = replace(VIEW, query=f"{evil} pump", is_verbose=True)
    for output in (
        plain(shown, view, context=context),
        plain(replace(shown, occurrences=()), view),
        without_styles(terminal(shown, view, context=context)),
    ):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", output)
        assert "\\x1b]0;owned\\x07" in output


def test_brackets_are_text_and_not_markup() -> None:
    text = "[bold]pump[/bold] :fire: [error] done"
    assert text in plain(hit(event(text)))


def test_a_long_text_says_how_much_is_hidden() -> None:
    text = "start " + "filler " * 500 + "motor overload " + "filler " * 500
    view = replace(VIEW, query="overload")
    output = plain(hit(event(text)), view)
    assert "motor overload" in output
    hidden = [int(n.replace(" ", "")) for n in re.findall(r"\[\.\.\. ([\d ]+) characters", output)]
    assert len(hidden) == 2
    assert abs(sum(hidden) + 400 - len(text)) < 150
    assert text.rstrip() in plain(hit(event(text)), replace(view, is_full=True))


def test_a_stack_trace_keeps_its_lines() -> None:
    text = "fault: drive\n\tat Frame.one\n\tat Frame.two\n"
    assert "    fault: drive\n        at Frame.one\n        at Frame.two\n\n" in plain(
        hit(event(text))
    )


def test_neighbours_stand_around_the_text_in_order() -> None:
    def line(text: str, seconds: int) -> Occurrence:
        return Occurrence(9, event(text, time_ns=TIME_NS + seconds * SECOND_NS))

    context = Context(
        Occurrence(0, event()),
        (line("2022-08-22T05:18:15Z first\n  more\n  lines", -1),),
        (line("next day", 24 * 3600),),
    )
    lines = plain(hit(event()), context=context).splitlines()
    assert lines[2:5] == [
        "    | 05:18:15.000  first [+2 lines]",
        f"    {TEXT}",
        "    | 2022-08-23 05:18:16.000 +00:00  next day",
    ]


def test_verbose_says_why_it_matched() -> None:
    at = TEXT.index("halted")
    evidence = (Evidence(0, 4, 21, 25, 1.0, 0.3), Evidence(5, 12, at, at + 6, 0.834, 0.2))
    output = plain(hit(event(), evidence=evidence), replace(VIEW, is_verbose=True))
    assert "    score: meaning 0.50, whole text 0.50, words 1.00, codes 0.00\n" in output
    assert (
        "    words: pump    -> pump    ====== 1  adds .30\n"
        "           stopped -> halted  =====. .83  adds .20\n"
    ) in output
    assert "    event: 0 from plant, partition 0, offset 7\n" in output
    assert "    pattern: <time> pump P-101 halted, order <num>\n" in output


def test_verbose_tells_what_is_behind_a_score_besides_words() -> None:
    shown = hit(event())
    shown = replace(shown, scores=replace(shown.scores, marks=0.0625, reranked=3.25))
    output = plain(shown, replace(VIEW, is_verbose=True))
    assert "score: meaning 0.50 (.06 of it sentence marks), whole text 0.50" in output
    assert "codes 0.00, read again 3.25\n" in output


def test_a_very_long_word_does_not_push_the_bars_of_others_away() -> None:
    text = f"{'x' * 60} halted"
    evidence = (Evidence(0, 4, 0, 60, 0.5, 0.1), Evidence(5, 12, 61, 67, 0.8, 0.1))
    output = plain(hit(event(text), evidence=evidence), replace(VIEW, is_verbose=True))
    assert f"stopped -> halted{' ' * 26}  =====. .80" in output


def test_a_hit_without_occurrences_shows_its_pattern() -> None:
    assert plain(hit(count=5)).splitlines()[1] == "    <time> pump P-101 halted, order <num>"


def test_notes_and_borrowed_times_are_told_apart() -> None:
    note = replace(event(), kind=Kind.NOTE, time_origin=TimeOrigin.RECEIVED)
    assert "+00:00 (when received)  2 h ago  note  plant\n" in plain(hit(note))


@pytest.mark.parametrize(("total", "bar"), [(1.25, "======"), (0.6, "===..."), (-0.2, "......")])
def test_the_bar_is_a_share_of_the_best(total: float, bar: str) -> None:
    shown = hit(event())
    output = plain(replace(shown, scores=replace(shown.scores, total=total)))
    assert f" {bar}  x1\n" in output


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("has_color", [True, False])
def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch, has_color: bool) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not has_color:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = Tty()
    HitPrinter(open_console(stream), VIEW).print_hit(1, hit(event()), best=1.25)
    assert ("33m" in stream.getvalue()) is has_color


def test_text_that_the_encoding_lacks_is_spelled_out() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    HitPrinter(open_console(stream), VIEW).print_hit(1, hit(event("caf\u00e9 pump")), best=1.25)
    stream.flush()
    assert b"caf\\xe9 pump\n" in raw.getvalue()


def test_a_reader_that_went_away_is_left_to_the_caller() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        HitPrinter(open_console(Closed()), VIEW).print_hit(1, hit(event()), best=1.25)
