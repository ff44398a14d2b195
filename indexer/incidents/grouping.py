"""Events of hits -> incidents, and how well each answers a question; pure, on arrays.

1. An event's weight for a line of the question is how well its pattern answers the line, times how
   surprising it is for its asset (`surprise.py`). Events of little weight are left out: an everyday
   pattern neither makes an incident nor ties two of them together.
2. Events on one asset with little time between them are one incident; a note is one of its own.
3. An incident's score for a line is that of its best pattern, and a little for further ones; its
   score is the sum over all lines, as a share of what perfect answers to all lines would give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A question of everyday patterns is not met by them as well as one of rare patterns by its own.
POSSIBLE_BITS_MIN = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the scores are made by; chosen as docs/PRECEDENTS.md says.

    `sharpness` is the exponent of a hit's total as a share of the line's best. Events below
    `weight_share_min` of the line's largest weight, or below half of that of the largest of all
    lines, are left out. Each further pattern of an incident counts `further_share` of the one
    before.
    """

    sharpness: float = 8.0
    weight_share_min: float = 0.1
    further_share: float = 0.3


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class HitEvents:
    """Events of hits: times in ns, assets, hits and event numbers int64[n], is_note bool[n]."""

    times: NDArray[np.int64]
    assets: NDArray[np.int64]
    hits: NDArray[np.int64]
    numbers: NDArray[np.int64]
    is_note: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.times)

    def chosen(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> HitEvents:
        """Returns some of them."""
        return HitEvents(
            self.times[places],
            self.assets[places],
            self.hits[places],
            self.numbers[places],
            self.is_note[places],
        )


def answer_shares(
    totals: NDArray[np.float64], qualities: NDArray[np.float64], rules: Rules
) -> NDArray[np.float64]:
    """Returns float64[lines, hits], how well each pattern answers each line, 0 to 1.

    totals float64[lines, hits] are hits' totals, 0 where the pattern is no hit of the line;
    qualities float64[lines] how good the line's best hit is.
    """
    best = totals.max(axis=1, initial=0.0)
    shares = np.divide(totals, best[:, None], out=np.zeros_like(totals), where=best[:, None] > 0)
    answers: NDArray[np.float64] = np.clip(shares, 0.0, 1.0) ** rules.sharpness
    return answers * qualities[:, None]


def weighty(
    events: HitEvents,
    answers: NDArray[np.float64],
    bits: NDArray[np.float64],
    rules: Rules,
) -> NDArray[np.bool_]:
    """Returns bool[n], the events that may make an incident.

    answers float64[lines, hits], bits float64[n] how surprising each event is.
    """
    is_kept = np.zeros(len(events), np.bool_)
    best = float((answers.max(axis=0, initial=0.0)[events.hits] * bits).max(initial=0.0))
    for answer in answers:
        weights = answer[events.hits] * bits
        # A line that is logged every day is no reason to keep what is logged every day.
        of_line = rules.weight_share_min * float(weights.max(initial=0.0))
        least = max(of_line, rules.weight_share_min / 2 * best)
        is_kept |= (weights >= least) & (weights > 0)
    return is_kept


def group(events: HitEvents, gap_ns: int) -> NDArray[np.int64]:
    """Returns int64[n], the incident of each event; numbers grow from 0 without gaps.

    Of the log lines of an asset, those with less than `gap_ns` from one to the next are together.
    """
    order = np.lexsort((events.times, events.is_note, events.assets))
    times, assets, notes = events.times[order], events.assets[order], events.is_note[order]
    is_new = np.zeros(len(order), np.bool_)
    is_new[1:] = (
        (assets[1:] != assets[:-1])
        | notes[1:]
        | (notes[1:] != notes[:-1])
        | (times[1:] - times[:-1] >= gap_ns)
    )
    incidents = np.empty(len(order), np.int64)
    incidents[order] = np.cumsum(is_new)
    return incidents


@dataclass(frozen=True, slots=True)
class Incidents:
    """m incidents: assets, start_ns, end_ns, counts of events int64[m], is_note bool[m].

    scores float64[m] are about 1 for an incident with a perfect answer to every line.
    """

    assets: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    counts: NDArray[np.int64]
    is_note: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)

    def best_first(self) -> NDArray[np.int64]:
        """Returns their numbers by score, of equal ones the newest first."""
        return np.lexsort((-self.start_ns, -np.round(self.scores, 9)))


def describe(
    events: HitEvents,
    incidents: NDArray[np.int64],
    answers: NDArray[np.float64],
    bits: NDArray[np.float64],
    rules: Rules,
) -> Incidents:
    """Returns the incidents that the events were grouped into."""
    count = int(incidents.max(initial=-1)) + 1
    start = np.full(count, np.iinfo(np.int64).max)
    end = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(start, incidents, events.times)
    np.maximum.at(end, incidents, events.times)
    assets = np.zeros(count, np.int64)
    assets[incidents] = events.assets
    is_note = np.zeros(count, np.bool_)
    is_note[incidents] = events.is_note
    owners, hits, of_pairs = _pairs(incidents, events.hits, bits)
    scores, possible = np.zeros(count), 0.0
    for answer in answers:
        scores += _decayed(owners, answer[hits] * of_pairs, count, rules.further_share)
        most = float((of_pairs * (answer[hits] > 0)).max(initial=0.0))
        possible += max(most, POSSIBLE_BITS_MIN) if most else 0.0
    return Incidents(
        assets=assets,
        start_ns=start,
        end_ns=end,
        counts=np.bincount(incidents, minlength=count),
        is_note=is_note,
        scores=scores / possible if possible else scores,
    )


def _pairs(
    incidents: NDArray[np.int64], hits: NDArray[np.int64], bits: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Every incident's hits, each once, with the most surprising event's bits: three arrays [p]."""
    order = np.lexsort((-bits, hits, incidents))
    incidents, hits, bits = incidents[order], hits[order], bits[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (incidents[1:] != incidents[:-1]) | (hits[1:] != hits[:-1])
    return incidents[is_first], hits[is_first], bits[is_first]


def _decayed(
    owners: NDArray[np.int64], weights: NDArray[np.float64], count: int, share: float
) -> NDArray[np.float64]:
    """Each owner's weights, largest first, each further one times `share` once more; owners grow.

    Returns float64[count].
    """
    order = np.lexsort((-weights, owners))
    owners, weights = owners[order], weights[order]
    is_first = np.ones(len(owners), np.bool_)
    is_first[1:] = owners[1:] != owners[:-1]
    starts = np.flatnonzero(is_first)
    ranks = np.arange(len(owners)) - np.repeat(starts, np.diff(starts, append=len(owners)))
    sums = np.zeros(count)
    np.add.at(sums, owners, weights * share**ranks)
    return sums
