"""A question -> earlier incidents, each with its course and the notes that followed.

1. The question is taken apart into lines (one, unless log lines were pasted), and each is searched.
2. All events of the hits' patterns are looked up in the columns, and grouped into incidents by
   asset and time (`incidents/grouping.py`); no text is read for it.
3. The incident that holds the event asked about, or the one that a line with a time in it was
   pasted from, is left out: it is no precedent of its own.
4. The best incidents get their hits' events, their course (`incidents/course.py`) and the notes
   that followed on the same asset. A note that an incident before it shows already is no incident
   again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import Coverage, FollowingNote, Precedent, PrecedentsResult
from dejalog.indexer.encode import EncodedQuery
from dejalog.indexer.errors import CorruptShardError, QueryError
from dejalog.indexer.event import Kind
from dejalog.indexer.hit import Hit, Occurrence, SearchResult
from dejalog.indexer.incidents.aftermath import Aftermath
from dejalog.indexer.incidents.grouping import (
    DEFAULT_RULES,
    HitEvents,
    Rules,
    answer_shares,
    describe,
    group,
    weighty,
)
from dejalog.indexer.incidents.retell import Found, Retelling
from dejalog.indexer.incidents.surprise import count_cells, places_of, surprises
from dejalog.indexer.incidents.timeline import Timeline
from dejalog.indexer.mask import PLACEHOLDER
from dejalog.indexer.opened import Held
from dejalog.indexer.pasted import as_pasted, has_time, split_lines, without_times
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.query import Query, parse_text
from dejalog.indexer.request import Mode, PrecedentsRequest, SearchRequest
from dejalog.indexer.search import Searcher, label_names
from dejalog.indexer.similar import read_event
from dejalog.indexer.store.folders import SHARDS_NAME

#: Patterns that a line of the question is looked for in. What is worth a tenth of the best is never
#: farther back (docs/PRECEDENTS.md).
HITS_MAX = 32
#: Lines of a question; each is a search. A fault's first lines name it, the later ones repeat.
LINES_MAX = 16
#: Events of each hit among which the one is looked for that a line was pasted from: those with its
#: values come first, then the newest.
OWN_AMONG = 3
#: Lines that notes are compared with; encoding one takes 5 ms.
NOTE_LINES_MAX = 4
#: Ten years, leap ones: gaps and horizons beyond are slips of the pen.
LENGTH_S_MAX = 10 * 366 * 86_400.0
_SECOND_NS = 1_000_000_000


def find_precedents(
    searcher: Searcher,
    request: PrecedentsRequest,
    patience: Patience = ENDLESS,
    *,
    rules: Rules = DEFAULT_RULES,
) -> PrecedentsResult:
    """Returns the best incidents.

    When the patience is over, what was found is returned as partial. Raises QueryError for a
    question without words or with impossible numbers, LookupError if the event is not there, and
    what `Searcher.search` raises.
    """
    started = time.monotonic()
    _check(request)
    patience.check()
    event: Occurrence | None = None
    if request.event_id is not None:
        with searcher.shards.held() as held:
            event = read_event(held, request.event_id)
    lines = _lines(request, event)
    answers = _ask(searcher, request, lines, patience)
    with searcher.shards.held() as held:
        queries = _queries(request, lines, held)
        if event is None and not any(query.words.strip() for query in queries):
            raise QueryError('say what happened, for example: dejalog precedents "motor overload"')
        task = _Task(searcher, request, rules, patience, event, answers, queries)
        precedents, total, is_cut = _without_damage(task, held)
        is_partial = is_cut or len(answers) < len(lines) or patience.is_over
        coverage = _coverage(answers, held, is_partial=is_partial)
    coverage = replace(coverage, elapsed_s=time.monotonic() - started)
    return PrecedentsResult(event, precedents, total, coverage)


@dataclass(frozen=True, slots=True)
class _Task:
    """Everything that the answer is made from, besides the shards; `queries` are the lines'."""

    searcher: Searcher
    request: PrecedentsRequest
    rules: Rules
    patience: Patience
    event: Occurrence | None
    answers: Sequence[SearchResult]
    queries: Sequence[Query]

    @property
    def gap_ns(self) -> int:
        return max(1, int(self.request.gap_s * _SECOND_NS))

    @property
    def cell_ns(self) -> int:
        """Stretches of time are as long as the gap; numbers of shorter ones would not fit."""
        return max(_SECOND_NS, self.gap_ns)


def _check(request: PrecedentsRequest) -> None:
    if (request.event_id is None) == (not request.text.strip()):
        raise QueryError("ask with a text or with the number of an event, and not with both")
    for name, value in (("gap", request.gap_s), ("horizon", request.horizon_s)):
        if not 0 <= value <= LENGTH_S_MAX:
            raise QueryError(f"the {name} of {value:g} s is not within 0 s and ten years")


def _lines(request: PrecedentsRequest, event: Occurrence | None) -> list[str]:
    """The texts to search for; of a text with one line only, operators are read."""
    if event is not None:
        return [as_pasted(event.event.text)]
    lines = split_lines(request.text, LINES_MAX)
    return [as_pasted(line) for line in lines] if len(lines) > 1 else [request.text]


def _queries(request: PrecedentsRequest, lines: Sequence[str], held: Held) -> list[Query]:
    names = label_names([shard.state for shard in held.shards])
    return [parse_text(line, request.where, names) for line in lines]


def _ask(
    searcher: Searcher,
    request: PrecedentsRequest,
    lines: Sequence[str],
    patience: Patience,
) -> list[SearchResult]:
    """The answers to the lines; fewer of them if the time was up after the first one."""
    answers: list[SearchResult] = []
    for line in lines:
        asked = SearchRequest(
            text=line,
            limit=HITS_MAX,
            occurrences=OWN_AMONG if has_time(line) else 0,
            since_ns=request.since_ns,
            until_ns=request.until_ns,
            where=request.where,
            mode=request.mode,
            is_explained=False,
        )
        try:
            answers.append(searcher.search(asked, patience))
        except TimeoutError:
            if not answers:
                raise
            break
    return answers


def _without_damage(task: _Task, held: Held) -> tuple[tuple[Precedent, ...], int, bool]:
    """The precedents from those shards that can be read."""
    while True:
        try:
            return _precedents(task, held)
        except CorruptShardError as error:
            sound = [s for s in held.shards if s.state.shard.path != error.path]
            if len(sound) == len(held.shards):
                raise
            held.set_aside(error)
            held.shards[:] = sound


def _precedents(task: _Task, held: Held) -> tuple[tuple[Precedent, ...], int, bool]:
    """The page of precedents, how many incidents there are, and whether some may be missing."""
    hits, totals = _hits(task.answers)
    timeline = Timeline(held, task.request.asset_labels, task.patience.check)
    events = timeline.events_of([hit.pattern for hit in hits])
    bits = _surprises(task, timeline, events, hits)
    qualities = _qualities(task.answers, task.request.mode)
    answers = answer_shares(totals, qualities, task.rules)
    is_counted, is_partial = timeline.is_counted(
        events,
        task.queries[0],  # Several lines are pasted ones, without filters of their own.
        since_ns=task.request.since_ns,
        until_ns=task.request.until_ns,
        set_aside=held.set_aside,
    )
    events, bits = events.chosen(is_counted), bits[is_counted]
    is_weighty = weighty(events, answers, bits, task.rules)
    events, bits = events.chosen(is_weighty), bits[is_weighty]
    numbers = group(events, task.gap_ns)
    incidents = describe(events, numbers, answers, bits, task.rules)
    found = Found(timeline, events, numbers, incidents, hits, answers, bits)
    order = incidents.best_first()
    others = order[~_is_own(task, found)[order]].tolist()
    precedents, left_out = _page(task, found, others)
    return precedents, len(others) - left_out, is_partial


def _hits(answers: Sequence[SearchResult]) -> tuple[list[Hit], NDArray[np.float64]]:
    """Every pattern that is a hit of a line, and float64[lines, hits], its totals."""
    places: dict[str, int] = {}
    hits: list[Hit] = []
    for answer in answers:
        for hit in answer.hits:
            place = places.setdefault(hit.pattern_id, len(hits))
            if place == len(hits):
                hits.append(hit)
            elif hit.scores.total > hits[place].scores.total:
                hits[place] = hit
    totals = np.zeros((len(answers), len(hits)))
    for line, answer in enumerate(answers):
        for hit in answer.hits:
            totals[line, places[hit.pattern_id]] = max(hit.scores.total, 0.0)
    return hits, totals


def _surprises(
    task: _Task, timeline: Timeline, events: HitEvents, hits: Sequence[Hit]
) -> NDArray[np.float64]:
    """How many bits each event tells, float64[n]."""
    assets = max(1, len(timeline.numbers))
    owners = _kin(hits)[events.hits] * assets + events.assets if hits else events.hits
    stretches = events.times // task.cell_ns
    cells = count_cells(owners, stretches)
    bits = surprises(cells, timeline.cells(task.cell_ns), assets)
    return bits[places_of(cells, owners, stretches)]


def _kin(hits: Sequence[Hit]) -> NDArray[np.int64]:
    """Numbers the hits so that patterns which differ in the types of their values have the same.

    An id of digits alone is another placeholder than one with letters; neither makes a line rare.
    """
    known: dict[str, int] = {}
    keys = [PLACEHOLDER.sub("*", hit.pattern) for hit in hits]
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def _qualities(answers: Sequence[SearchResult], mode: Mode) -> NDArray[np.float64]:
    """How good each line's best hit is by meaning, float64[lines], 0 to 1."""
    best = [answer.hits[0].scores if answer.hits else None for answer in answers]
    if mode is Mode.LEXICAL:
        return np.array([float(scores is not None) for scores in best])
    means = [0.0 if scores is None else (scores.semantic + scores.pooled) / 2 for scores in best]
    return np.array([min(max(mean, 0.0), 1.0) for mean in means])


def _is_own(task: _Task, found: Found) -> NDArray[np.bool_]:
    """bool[incidents]: whether one holds an event asked about, or begins or ends close to it."""
    is_own = np.zeros(len(found.incidents), np.bool_)
    asked = _pasted_events(task) if task.event is None else [task.event]
    for each in asked:
        is_own |= _is_of(task, found, each)
    return is_own


def _pasted_events(task: _Task) -> list[Occurrence]:
    """The events that lines were pasted from: their texts are the same, with the time in them."""
    return [
        occurrence
        for query, answer in zip(task.queries, task.answers, strict=False)
        for hit in answer.hits
        for occurrence in hit.occurrences
        if occurrence.event.text.strip() == query.words.strip()
    ]


def _is_of(task: _Task, found: Found, asked: Occurrence) -> NDArray[np.bool_]:
    incidents, event = found.incidents, asked.event
    if event.kind is Kind.NOTE:
        is_own = np.zeros(len(incidents), np.bool_)
        is_own[found.numbers[found.events.numbers == asked.event_id]] = True
        return is_own
    is_near: NDArray[np.bool_] = (
        (incidents.start_ns - task.gap_ns < event.time_ns)
        & (event.time_ns < incidents.end_ns + task.gap_ns)
        & (incidents.assets == found.timeline.numbers.number(event.labels))
        & ~incidents.is_note
    )
    return is_near


def _page(task: _Task, found: Found, order: Sequence[int]) -> tuple[tuple[Precedent, ...], int]:
    """The incidents that the request asks for, and how many notes are shown by one before them."""
    own = None if task.event is None else task.event.event_id
    aftermath = Aftermath(found.timeline, _encoded(task))
    retelling = Retelling(found, task.request, aftermath, task.patience)
    shown: set[int] = set()
    left_out = 0
    chosen: list[tuple[int, tuple[FollowingNote, ...]]] = []
    for incident in order:
        if len(chosen) == task.request.skip + task.request.limit:
            break
        if found.incidents.is_note[incident] and not shown.isdisjoint(
            found.events_of(incident).numbers.tolist()
        ):
            left_out += 1
            continue
        notes = retelling.notes(incident, own)
        shown.update(note.note.event_id for note in notes)
        chosen.append((incident, notes))
    page = tuple(retelling.precedent(*each) for each in chosen[task.request.skip :])
    return page, left_out


def _encoded(task: _Task) -> list[EncodedQuery]:
    """The lines that notes are compared with; without meaning, only time counts."""
    if task.request.mode is Mode.LEXICAL or task.request.notes == 0:
        return []
    words = [query.words for query in task.queries if query.words.strip()]
    encode = task.searcher.encoder.encode_query
    return [encode(without_times(text)) for text in words[:NOTE_LINES_MAX]]


def _coverage(answers: Sequence[SearchResult], held: Held, *, is_partial: bool) -> Coverage:
    damaged = dict.fromkeys(reason for answer in answers for reason in answer.damaged_shards)
    if held.damaged:
        path = next(iter(held.damaged))
        shards = next(folder for folder in path.parents if folder.name == SHARDS_NAME)
        damaged |= dict.fromkeys(held.reasons(shards))
    first = answers[0]
    return Coverage(
        events_total=first.events_total,
        events_matched=first.events_matched,
        shards_searched=first.shards_searched,
        elapsed_s=0.0,
        is_partial=is_partial or bool(damaged) or any(each.is_partial for each in answers),
        damaged_shards=tuple(damaged),
    )
