"""Cuts results so that a response fits into one message.

The default limit of gRPC clients is 4 MiB. A result that is larger is cut, item by item, and says
so; it never fails, and the number and order of its items stay as they are:

1. Every item in full, if they fit together.
2. Otherwise each item, best first, gets an equal share of the space that is left, and the fullest
   of the cuts below that fits its share. What an item does not use, the ones after it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Generic, TypeVar

from dejalog.client.messages.events import hit_to_message, match_to_message, occurrence_to_message
from dejalog.client.messages.results import (
    change_to_message,
    precedent_to_message,
    summary_to_message,
)
from dejalog.indexer.answer import Match, PatternChange, PatternSummary, Precedent
from dejalog.indexer.hit import Evidence, Hit, Occurrence

#: Leaves room below the 4 MiB default for the other fields and for gRPC's own framing.
RESPONSE_BYTES_MAX = 3_500_000

_NO_BOUND = 2**31
#: A field tag and a length of up to four bytes stand before each item.
_FRAME_BYTES = 5

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Cut:
    """How much of an item is sent; lengths are code points.

    `nested_max` bounds each list of an incident. A stripped event has neither labels nor a long
    source.
    """

    text_length_max: int
    occurrences_max: int
    nested_max: int
    has_attributes: bool = False
    has_evidence: bool = True
    is_stripped: bool = False


FULL = Cut(_NO_BOUND, _NO_BOUND, _NO_BOUND, has_attributes=True)
#: From the mildest to the hardest. With four bytes per code point the last one bounds an event at
#: about 1.6 kB, a hit at 0.7 kB, a pattern with its example at 2.2 kB besides its counts, and an
#: incident at about 20 kB, so that as many of them as may be asked for fit.
CUTS = (
    Cut(16_384, _NO_BOUND, _NO_BOUND, has_attributes=True),
    Cut(4_096, _NO_BOUND, _NO_BOUND),
    Cut(1_024, 10, 30),
    Cut(512, 3, 10),
    Cut(512, 1, 10),
    Cut(256, 1, 5),
    Cut(128, 0, 3, has_evidence=False, is_stripped=True),
)


@dataclass(frozen=True, slots=True)
class Cutter(Generic[Item]):
    """How one kind of item is shortened, what its long texts are, and what message it becomes."""

    shorten: Callable[[Item, Cut], Item]
    texts: Callable[[Item], Iterable[str]]
    to_message: Callable[[Item], Any]

    def fit(self, items: Sequence[Item], bytes_max: int) -> tuple[list[Any], bool]:
        """Returns the items' messages, `bytes_max` together at most, and whether any was cut."""
        messages = self._in_full(items, bytes_max)
        if messages is not None:
            return messages, False
        messages = []
        for index, item in enumerate(items):
            message = self._fitting(item, bytes_max // (len(items) - index))
            bytes_max -= framed_bytes(message)
            messages.append(message)
        return messages, True

    def _in_full(self, items: Sequence[Item], bytes_max: int) -> list[Any] | None:
        messages: list[Any] = []
        for item in items:
            # A code point takes at least one byte: tells what cannot fit without building it.
            if self._least_bytes(item) > bytes_max:
                return None
            messages.append(self.to_message(item))
            bytes_max -= framed_bytes(messages[-1])
            if bytes_max < 0:
                return None
        return messages

    def _fitting(self, item: Item, bytes_max: int) -> Any:
        for cut in (FULL, *CUTS[:-1]):
            shortened = self.shorten(item, cut)
            if self._least_bytes(shortened) <= bytes_max:
                message = self.to_message(shortened)
                if framed_bytes(message) <= bytes_max:
                    return message if cut is FULL else _marked(message)
        return _marked(self.to_message(self.shorten(item, CUTS[-1])))

    def _least_bytes(self, item: Item) -> int:
        return sum(map(len, self.texts(item)))


def framed_bytes(message: Any) -> int:
    """What a message takes within another one, in bytes."""
    return int(message.ByteSize()) + _FRAME_BYTES


def _marked(message: Any) -> Any:
    if "is_cut" in message.DESCRIPTOR.fields_by_name:
        message.is_cut = True
    return message


def shorten_occurrence(occurrence: Occurrence, cut: Cut) -> Occurrence:
    """Returns the event with as much as the cut leaves."""
    event = occurrence.event
    if cut is FULL:
        return occurrence
    length_max = cut.text_length_max
    shortened = replace(
        event,
        text=event.text[:length_max],
        attributes=event.attributes if cut.has_attributes else (),
    )
    if cut.is_stripped:
        shortened = replace(
            shortened,
            labels=(),
            source=event.source[:length_max],
            partition=event.partition[:length_max],
        )
    return Occurrence(occurrence.event_id, shortened)


def shorten_hit(hit: Hit, cut: Cut) -> Hit:
    """Returns the hit with as much as the cut leaves; evidence only for text that is there."""
    if cut is FULL:
        return hit
    occurrences = hit.occurrences[: cut.occurrences_max]
    return replace(
        hit,
        pattern=hit.pattern[: cut.text_length_max],
        occurrences=tuple(shorten_occurrence(each, cut) for each in occurrences),
        evidence=_visible(hit.evidence, cut) if occurrences else (),
    )


def shorten_match(match: Match, cut: Cut) -> Match:
    """Returns the match with as much as the cut leaves."""
    if cut is FULL:
        return match
    return replace(
        match,
        pattern=match.pattern[: cut.text_length_max],
        occurrence=shorten_occurrence(match.occurrence, cut),
        evidence=_visible(match.evidence, cut),
    )


def shorten_precedent(precedent: Precedent, cut: Cut) -> Precedent:
    """Returns the incident with as much as the cut leaves."""
    if cut is FULL:
        return precedent
    length_max, nested_max = cut.text_length_max, cut.nested_max
    return replace(
        precedent,
        source=precedent.source[:length_max] if cut.is_stripped else precedent.source,
        hits=tuple(shorten_hit(each, cut) for each in precedent.hits[:nested_max]),
        course=tuple(
            replace(
                each,
                pattern=each.pattern[:length_max],
                example=shorten_occurrence(each.example, cut),
            )
            for each in precedent.course[:nested_max]
        ),
        notes=tuple(
            replace(each, note=shorten_occurrence(each.note, cut))
            for each in precedent.notes[:nested_max]
        ),
    )


def shorten_pattern(
    item: PatternSummary | PatternChange, cut: Cut
) -> PatternSummary | PatternChange:
    """Returns the pattern with as much as the cut leaves; its counts always stay."""
    if cut is FULL:
        return item
    return replace(
        item,
        pattern=item.pattern[: cut.text_length_max],
        example=shorten_occurrence(item.example, cut),
    )


def _visible(evidence: Sequence[Evidence], cut: Cut) -> tuple[Evidence, ...]:
    if not cut.has_evidence:
        return ()
    return tuple(each for each in evidence if each.text_end <= cut.text_length_max)


def _event_texts(occurrence: Occurrence) -> Iterator[str]:
    yield occurrence.event.text
    for _, value in occurrence.event.attributes:
        yield value


def _hit_texts(hit: Hit) -> Iterator[str]:
    yield hit.pattern
    yield from chain.from_iterable(map(_event_texts, hit.occurrences))


def _match_texts(match: Match) -> Iterator[str]:
    yield match.pattern
    yield from _event_texts(match.occurrence)


def _precedent_texts(precedent: Precedent) -> Iterator[str]:
    yield from chain.from_iterable(map(_hit_texts, precedent.hits))
    for step in precedent.course:
        yield step.pattern
        yield from _event_texts(step.example)
    for following in precedent.notes:
        yield from _event_texts(following.note)


def _pattern_texts(item: PatternSummary | PatternChange) -> Iterator[str]:
    yield item.pattern
    yield from _event_texts(item.example)


OCCURRENCES = Cutter(shorten_occurrence, _event_texts, occurrence_to_message)
HITS = Cutter(shorten_hit, _hit_texts, hit_to_message)
MATCHES = Cutter(shorten_match, _match_texts, match_to_message)
PRECEDENTS = Cutter(shorten_precedent, _precedent_texts, precedent_to_message)
SUMMARIES: Cutter[Any] = Cutter(shorten_pattern, _pattern_texts, summary_to_message)
CHANGES: Cutter[Any] = Cutter(shorten_pattern, _pattern_texts, change_to_message)
