from __future__ import annotations

import io
from datetime import UTC

from rich.console import Console

from dejalog.daemon.tail_view import MatchPrinter
from dejalog.daemon.terminal import View, open_console
from dejalog.indexer.answer import Match
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Occurrence, Scores


def match(text: str, *, is_new: bool = False, source: str = "plant.log", **labels: str) -> Match:
    event = Event(
        Kind.LOG, 1_661_145_496_154_000_000, TimeOrigin.EVENT, text, source, "0", 1,
        labels=tuple(sorted(labels.items())),
    )  # fmt: skip
    return Match(Occurrence(7, event), "ab", text, Scores(0.8, 1.0, 0.6, 1.0, 0.0), (), is_new)


def shown(given: Match, *, is_terminal: bool = False, **view: object) -> str:
    stream = io.StringIO()
    console = open_console(stream)
    if is_terminal:
        console = Console(
            file=stream, force_terminal=True, width=80, highlight=False, color_system="standard"
        )
    MatchPrinter(console, View(**{"query": "motor", "zone": UTC, **view})).print_match(given)
    return stream.getvalue()


def test_a_match_is_one_line_with_time_score_and_source() -> None:
    assert shown(match("motor\nstopped", severity="error")) == (
        "2022-08-22 05:18:16.154 +00:00  0.80 ====.  error  plant.log  motor stopped\n"
    )


def test_a_new_pattern_is_marked() -> None:
    assert "  new  " in shown(match("motor stopped", is_new=True))
    assert "  new  " not in shown(match("motor stopped"))


def test_matched_words_are_bright_in_a_terminal_only() -> None:
    assert "\x1b[" not in shown(match("the motor stopped"))
    bright = shown(match("the motor stopped"), is_terminal=True)
    assert "\x1b[1;4;33mmotor\x1b[0m stopped" in bright


def test_a_terminal_gets_the_part_of_a_long_line_that_matched() -> None:
    text = "x" * 1000 + " motor " + "y" * 1000
    line = shown(match(text), is_terminal=True)
    assert "motor" in line
    assert len(line) < 800
    assert "x" * 1000 in shown(match(text))
    assert "x" * 1000 in shown(match(text), is_terminal=True, is_full=True).replace("\n", "")


def test_what_could_steer_a_terminal_is_spelled_out() -> None:
    line = shown(match("motor \x1b]0;x\x07", source="a\x1bb", severity="\x1b"), is_terminal=False)
    assert "\x1b" not in line


def test_a_verbose_match_says_how_its_score_came_about() -> None:
    assert "event 7: meaning 1.00, whole text 0.60" in shown(match("motor"), is_verbose=True)


def test_the_end_of_a_long_source_is_shown() -> None:
    assert "  ...aaa" in shown(match("motor", source="a" * 100 + "/plant.log"))
    assert "aaa/plant.log  motor" in shown(match("motor", source="a" * 100 + "/plant.log"))


def test_a_file_is_named_rather_than_that_it_is_one() -> None:
    assert "  line7.log  motor" in shown(match("motor", source="file", file="line7.log"))
