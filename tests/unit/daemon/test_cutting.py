"""A result that is too large is cut until it fits, and every item stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.client import limits
from dejalog.client.messages.events import hit_from_message
from dejalog.daemon.cutting import (
    CHANGES,
    CUTS,
    FULL,
    HITS,
    MATCHES,
    OCCURRENCES,
    PRECEDENTS,
    RESPONSE_BYTES_MAX,
    SUMMARIES,
    framed_bytes,
    shorten_hit,
)
from dejalog.indexer.answer import (
    Change,
    CourseStep,
    FollowingNote,
    Match,
    PatternChange,
    PatternSummary,
    Precedent,
)
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores

#: Four bytes of UTF-8 each: the most that a code point takes.
WRENCH = "\U0001f527"
SCORES = Scores(1, 1, 1, 1, 1, 1, 1)


def event(text: str, *, attribute: str = "", number: int = 2**62) -> Occurrence:
    labels = tuple((f"label{n}", WRENCH * 256) for n in range(32))
    found = Event(
        Kind.LOG,
        2**62,
        TimeOrigin.EVENT,
        text,
        WRENCH * 1_000,
        WRENCH * 200,
        2**62,
        labels=labels,
        attributes=(("a", attribute),),
    )
    return Occurrence(number, found)


def hit(text: str, *, occurrences: int = 3, attribute: str = "") -> Hit:
    found = Event(Kind.LOG, 1, TimeOrigin.EVENT, text, "s", "0", 0, attributes=(("a", attribute),))
    return Hit(
        "ab",
        text,
        Scores(1, 1, 1, 1, 1),
        occurrences,
        1,
        2,
        tuple(Occurrence(number, found) for number in range(occurrences)),
        tuple(
            Evidence(0, 1, at, at + 1, 0.5) for at in (0, 255, 300, 600, 5_000) if at < len(text)
        ),
    )


def precedent(text: str) -> Precedent:
    found = event(text)
    step = CourseStep("a" * 32, text, 1, 1, 1.0, found)
    return Precedent(
        "asset",
        WRENCH * 256,
        WRENCH * 1_000,
        1,
        2,
        1.0,
        1,
        (replace(hit(text), occurrences=(found,) * 3),) * 20,
        (step,) * limits.COURSE_MAX,
        (FollowingNote(found, 1.0, 1.0),) * limits.NOTES_MAX,
    )


@pytest.mark.parametrize(
    "hits",
    [
        [hit(WRENCH * 20_000, occurrences=100)] * 1000,
        [hit("x" * 5_000_000)],
        [hit("x", attribute="y" * 5_000_000)],
        [hit("x" * 2_000_000, occurrences=1)] * 3,
    ],
    ids=["many", "one long text", "one long attribute", "a few"],
)
def test_any_hits_fit_with_every_one_of_them(hits: list[Hit]) -> None:
    messages, is_cut = HITS.fit(hits, RESPONSE_BYTES_MAX)
    assert sum(map(framed_bytes, messages)) <= RESPONSE_BYTES_MAX
    assert len(messages) == len(hits)
    assert is_cut
    assert any(message.is_cut for message in messages)
    for message in messages:
        lengths = [len(occurrence.text) for occurrence in message.occurrences]
        assert all(each.text_end <= lengths[0] for each in message.evidence)


LONG = WRENCH * 2_000
WORST: dict[str, tuple[Any, list[Any]]] = {
    "incidents": (PRECEDENTS, [precedent(LONG)] * limits.INCIDENTS_MAX),
    "patterns": (
        SUMMARIES,
        [PatternSummary("a" * 32, LONG, 2**62, 1, 2, 0, (2**35 - 1,) * 200, event(LONG))]
        * limits.LIMIT_MAX,
    ),
    "changes": (
        CHANGES,
        [PatternChange("a" * 32, LONG, Change.MORE, 1, 2, 2.0, 0.1, 1, event(LONG))]
        * limits.LIMIT_MAX,
    ),
    "neighbours": (OCCURRENCES, [event(LONG)] * (2 * limits.NEIGHBOURS_MAX + 1)),
    "matches": (MATCHES, [Match(event(LONG), "a" * 32, LONG, SCORES, (), True)] * 1_000),
}


@pytest.mark.parametrize("name", WORST)
def test_as_many_as_may_be_asked_for_fit_at_their_worst(name: str) -> None:
    cutter, items = WORST[name]
    messages, is_cut = cutter.fit(items, RESPONSE_BYTES_MAX)
    assert is_cut
    assert len(messages) == len(items)
    assert sum(map(framed_bytes, messages)) <= RESPONSE_BYTES_MAX
    if name != "neighbours":
        assert all(message.is_cut for message in messages)


def test_small_hits_stay_whole_beside_a_large_one() -> None:
    small, large = hit("pump E-1034"), hit("x" * 100_000)
    messages, _ = HITS.fit([small, large, small], 40_000)
    assert [message.is_cut for message in messages] == [False, True, False]
    assert hit_from_message(messages[2]) == small
    assert len(messages[1].occurrences) == 3
    assert len(messages[1].occurrences[0].text) == 4_096


def test_what_just_fits_is_not_cut() -> None:
    one = hit("x" * 1_000)
    size = framed_bytes(HITS.fit([one], RESPONSE_BYTES_MAX)[0][0])
    assert not HITS.fit([one], size)[1]
    assert HITS.fit([one], size - 1)[1]


def test_an_incident_keeps_the_best_of_its_lists() -> None:
    whole = precedent("pump trips")
    (message,), is_cut = PRECEDENTS.fit([whole], 300_000)
    assert is_cut
    assert message.is_cut
    assert 0 < len(message.notes) < len(whole.notes)
    assert message.notes[0].note.text == "pump trips"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30_000), max_size=30), st.integers(60_000, 400_000))
def test_whatever_the_lengths_the_bytes_are_kept_to(lengths: list[int], bytes_max: int) -> None:
    messages, _ = HITS.fit([hit("x" * length) for length in lengths], bytes_max)
    assert len(messages) == len(lengths)
    assert sum(map(framed_bytes, messages)) <= bytes_max


def test_each_cut_is_harder_than_the_one_before() -> None:
    whole = hit(WRENCH * 20_000, occurrences=100, attribute="x" * 20_000)
    sizes = [framed_bytes(HITS.to_message(shorten_hit(whole, cut))) for cut in (FULL, *CUTS)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
