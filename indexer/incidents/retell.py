"""An incident -> a precedent: its hits with their events, its course, and what followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import FollowingNote, Precedent
from dejalog.indexer.event import TimeOrigin
from dejalog.indexer.hit import Hit
from dejalog.indexer.incidents.aftermath import Aftermath, Span
from dejalog.indexer.incidents.course import Stretch, read_course
from dejalog.indexer.incidents.grouping import HitEvents, Incidents
from dejalog.indexer.incidents.timeline import Timeline
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import PrecedentsRequest

#: Hits of one incident: the best ones tell what matched, and an incident may have all of them.
HITS_SHOWN = 10
#: The course begins and ends this share of the gap beyond an incident's hits, 5 minutes by default:
#: what leads to a fault is logged before the line that names it.
COURSE_MARGIN_SHARE = 0.5
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """The incidents of a question with what they are made of.

    `numbers` int64[n] is the incident of each event; answers float64[lines, hits] and bits
    float64[n] are what they were scored by.
    """

    timeline: Timeline
    events: HitEvents
    numbers: NDArray[np.int64]
    incidents: Incidents
    hits: Sequence[Hit]
    answers: NDArray[np.float64]
    bits: NDArray[np.float64]

    def events_of(self, incident: int) -> HitEvents:
        """The events of one incident in the order of time."""
        events = self.events.chosen(self.numbers == incident)
        return events.chosen(np.lexsort((events.numbers, events.times)))

    def weights_of(self, incident: int) -> dict[int, float]:
        """What each of an incident's hits weighs for the line that it answers best."""
        places = np.flatnonzero(self.numbers == incident)
        hits = self.events.hits[places]
        weights = np.zeros(len(self.hits))
        np.maximum.at(weights, hits, self.answers.max(axis=0)[hits] * self.bits[places])
        return {int(hit): float(weights[hit]) for hit in np.unique(hits)}


class Retelling:
    """Makes precedents; without patience they get neither course nor notes."""

    def __init__(
        self,
        found: Found,
        request: PrecedentsRequest,
        aftermath: Aftermath,
        patience: Patience,
    ) -> None:
        self._found = found
        self._request = request
        self._aftermath = aftermath
        self._patience = patience

    def notes(self, incident: int, without: int | None) -> tuple[FollowingNote, ...]:
        """Returns the notes that followed, but for the one asked about and the incident itself."""
        incidents, events = self._found.incidents, self._found.events_of(incident)
        asset = int(incidents.assets[incident])
        is_note = bool(incidents.is_note[incident])
        if self._patience.is_over or (is_note and not self._can_be_followed(events, asset)):
            return ()
        start_ns = int(incidents.start_ns[incident])
        span = Span(asset, start_ns, start_ns + int(self._request.horizon_s * _SECOND_NS))
        out = frozenset(events.numbers.tolist()) | ({without} if without is not None else set())
        return tuple(self._aftermath.notes(span, self._request.notes, without=out))

    def _can_be_followed(self, note: HitEvents, asset: int) -> bool:
        """Whether it is known when a note was written, and of what.

        Work orders that name no asset stand in one file with all others, and those without a time
        came in at the same moment: none of them follows another.
        """
        timeline = self._found.timeline
        event = timeline.occurrence(int(note.numbers[0])).event
        return timeline.asset(asset).is_named and event.time_origin is TimeOrigin.EVENT

    def precedent(self, incident: int, notes: tuple[FollowingNote, ...]) -> Precedent:
        """Returns one incident with the notes that followed."""
        incidents, events = self._found.incidents, self._found.events_of(incident)
        asset = self._found.timeline.asset(int(incidents.assets[incident]))
        first = self._found.timeline.occurrence(int(events.numbers[0]))
        start_ns, end_ns = int(incidents.start_ns[incident]), int(incidents.end_ns[incident])
        margin_ns = int(self._request.gap_s * _SECOND_NS * COURSE_MARGIN_SHARE)
        stretch = Stretch(int(incidents.assets[incident]), start_ns - margin_ns, end_ns + margin_ns)
        has_course = not incidents.is_note[incident] and not self._patience.is_over
        return Precedent(
            asset_label=asset.label,
            asset=asset.value,
            source=asset.file or first.event.source,
            start_ns=start_ns,
            end_ns=end_ns,
            score=float(incidents.scores[incident]),
            events=len(events),
            hits=self._hits(events, self._found.weights_of(incident)),
            course=read_course(self._found.timeline, stretch, self._request.course)
            if has_course
            else (),
            notes=notes,
        )

    def _hits(self, events: HitEvents, weights: dict[int, float]) -> tuple[Hit, ...]:
        """The hits within an incident, what weighs most first."""
        best = sorted(weights, key=lambda hit: (-weights[hit], hit))[:HITS_SHOWN]
        return tuple(self._hit(events.chosen(events.hits == hit), hit) for hit in best)

    def _hit(self, events: HitEvents, hit: int) -> Hit:
        shown = events.numbers[: self._request.occurrences].tolist()
        return replace(
            self._found.hits[hit],
            count=len(events),
            first_seen_ns=int(events.times[0]),
            last_seen_ns=int(events.times[-1]),
            occurrences=tuple(self._found.timeline.occurrence(number) for number in shown),
            evidence=(),
        )
