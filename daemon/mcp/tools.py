"""The tools: what each is for, how it asks the index, and its answer in bounded size.

1. Arguments are checked by their class (`arguments.py`).
2. The index or a daemon is asked (`daemon/asking.py`).
3. The answer is told in as much detail as fits into its bound, and with the number of what had to
   be left out (`answers.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, cast

import msgspec

from dejalog.daemon.asking import Answerer
from dejalog.daemon.human_time import parse_time
from dejalog.daemon.mcp.answers import (
    Answer,
    ContextAnswer,
    PatternsAnswer,
    PrecedentsAnswer,
    SearchAnswer,
    SimilarAnswer,
    Told,
    count_remarks,
    fitting,
    hit_remarks,
    reach_remarks,
    told,
)
from dejalog.daemon.mcp.arguments import (
    Arguments,
    ContextArguments,
    Filtered,
    PatternsArguments,
    PrecedentsArguments,
    SearchArguments,
    SimilarArguments,
)
from dejalog.daemon.mcp.views import (
    DETAILS,
    EventView,
    HitView,
    IncidentView,
    PatternView,
    Viewer,
    event_text,
    hit_text,
    incident_text,
    pattern_text,
)
from dejalog.indexer.answer import Context
from dejalog.indexer.errors import QueryError
from dejalog.indexer.hit import Occurrence, SearchResult
from dejalog.indexer.request import (
    ContextRequest,
    PatternOrder,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
)


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom tools ask, and how."""

    answerer: Answerer
    timeout_s: float = 30.0
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool as clients see it."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    answer: type[Answer]
    ask: Callable[[Asking, Any], Told]

    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return _schema(self.arguments)

    def output_schema(self) -> dict[str, Any]:
        """The JSON schema of its structured content."""
        return _schema(self.answer)


def call(name: str, arguments: Mapping[str, object], asking: Asking) -> Told:
    """Checks the arguments and answers; raises DejalogError in words for whoever called."""
    tool = next((tool for tool in TOOLS if tool.name == name), None)
    if tool is None:
        raise QueryError(f"there is no tool {name!r}; {', '.join(t.name for t in TOOLS)} exist")
    try:
        checked = msgspec.convert(dict(arguments), tool.arguments)
    except msgspec.ValidationError as error:
        raise QueryError(f"wrong arguments for {name}: {error}") from error
    return tool.ask(asking, checked)


def _search(asking: Asking, given: SearchArguments) -> Told:
    since_ns, until_ns, where = _filter(asking, given)
    request = SearchRequest(
        given.query,
        limit=given.limit,
        occurrences=given.occurrences,
        since_ns=since_ns,
        until_ns=until_ns,
        where=where,
        is_explained=False,
    )
    result = asking.answerer.search(request, timeout_s=asking.timeout_s).result
    hits = fitting(asking.zone, _hits_of(result), hit_text)
    answer = SearchAnswer(
        shown=len(hits),
        found=len(result.hits),
        is_partial=result.is_partial,
        remarks=hit_remarks(len(hits), result, given.limit),
        hits=hits,
    )
    return told(answer, map(hit_text, hits))


def _similar(asking: Asking, given: SimilarArguments) -> Told:
    since_ns, until_ns, where = _filter(asking, given)
    request = SimilarRequest(
        _event_number(given.event_id),
        limit=given.limit,
        occurrences=given.occurrences,
        since_ns=since_ns,
        until_ns=until_ns,
        where=where,
        is_explained=False,
    )
    found = asking.answerer.similar(request, timeout_s=asking.timeout_s).result
    hits = fitting(asking.zone, _hits_of(found.result), hit_text)
    event = Viewer(asking.zone, DETAILS[-1]).event(found.event)
    answer = SimilarAnswer(
        shown=len(hits),
        found=len(found.result.hits),
        is_partial=found.result.is_partial,
        remarks=hit_remarks(len(hits), found.result, given.limit),
        event=event,
        hits=hits,
    )
    return told(answer, [f"asked about:\n{event_text(event)}", *map(hit_text, hits)])


def _precedents(asking: Asking, given: PrecedentsArguments) -> Told:
    if bool(given.query.strip()) == bool(given.event_id):
        raise QueryError("precedents takes either query or event_id: give one of them")
    since_ns, until_ns, where = _filter(asking, given)
    request = PrecedentsRequest(
        text=given.query,
        event_id=_event_number(given.event_id) if given.event_id else None,
        limit=given.limit,
        since_ns=since_ns,
        until_ns=until_ns,
        where=where,
    )
    found = asking.answerer.precedents(request, timeout_s=asking.timeout_s).result

    def views(viewer: Viewer) -> list[IncidentView]:
        return [viewer.incident(rank, each) for rank, each in enumerate(found.precedents, 1)]

    incidents = fitting(asking.zone, views, incident_text)
    given_count, total = len(found.precedents), found.incidents_total
    remarks = count_remarks("incidents", len(incidents), given_count, total)
    answer = PrecedentsAnswer(
        shown=len(incidents),
        found=found.incidents_total,
        is_partial=found.coverage.is_partial,
        remarks=[*remarks, *reach_remarks(found.coverage)],
        incidents=incidents,
    )
    return told(answer, map(incident_text, incidents))


def _context(asking: Asking, given: ContextArguments) -> Told:
    number = _event_number(given.event_id)
    request = ContextRequest(number, before=given.before, after=given.after)
    found = asking.answerer.context(request, timeout_s=asking.timeout_s).result
    nearest = _nearest_first(found)

    def views(viewer: Viewer) -> list[EventView]:
        return [viewer.event(each) for _, each in nearest]

    nearby = fitting(asking.zone, views, event_text)
    placed = zip(nearest, nearby, strict=False)
    events = [view for _, view in sorted(placed, key=lambda pair: pair[0][0])]
    remarks = count_remarks("events", len(events), len(nearest), len(nearest))
    if not found.is_complete:
        remarks.append("more neighbours may exist: too many other sources' events lie in between")
    answer = ContextAnswer(
        shown=len(events),
        found=len(nearest),
        is_partial=not found.is_complete,
        remarks=remarks,
        event_id=given.event_id,
        events=events,
    )
    return told(answer, map(event_text, events))


def _patterns(asking: Asking, given: PatternsArguments) -> Told:
    since_ns, until_ns, where = _filter(asking, given)
    if '"' in given.containing:
        raise QueryError("give containing without quotes")
    request = PatternsRequest(
        text=f'"{given.containing}"' if given.containing.strip() else "",
        limit=given.limit,
        since_ns=since_ns,
        until_ns=until_ns,
        where=where,
        is_new=given.is_new,
        order=PatternOrder(given.order),
        buckets=1,
    )
    found = asking.answerer.patterns(request, timeout_s=asking.timeout_s).result

    def views(viewer: Viewer) -> list[PatternView]:
        return [viewer.pattern(each) for each in found.patterns]

    patterns = fitting(asking.zone, views, pattern_text)
    given_count, total = len(found.patterns), found.patterns_total
    remarks = count_remarks("patterns", len(patterns), given_count, total)
    answer = PatternsAnswer(
        shown=len(patterns),
        found=found.patterns_total,
        is_partial=found.coverage.is_partial,
        remarks=[*remarks, *reach_remarks(found.coverage)],
        patterns=patterns,
    )
    return told(answer, map(pattern_text, patterns))


def _filter(asking: Asking, given: Filtered) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Returns since_ns, until_ns and the conditions; raises QueryError."""
    now = datetime.now(UTC)
    since_ns = until_ns = None
    if given.since.strip():
        since_ns = parse_time(given.since, now=now, zone=asking.zone)
    if given.until.strip():
        until_ns = parse_time(given.until, now=now, zone=asking.zone, is_end=True)
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise QueryError("since is not before until")
    kind = () if given.kind == "any" else (f"kind={given.kind}",)
    return since_ns, until_ns, (*given.where, *kind)


def _event_number(text: str) -> int:
    number = int(text)
    if number >= 2**63:
        raise QueryError(f"there is no event {text}: event numbers have 63 bits")
    return number


def _hits_of(result: SearchResult) -> Callable[[Viewer], list[HitView]]:
    return lambda viewer: [viewer.hit(rank, hit) for rank, hit in enumerate(result.hits, 1)]


def _nearest_first(found: Context) -> list[tuple[int, Occurrence]]:
    """The event and its neighbours, each with its place, from the event outwards."""
    placed = enumerate((*found.before, found.event, *found.after), -len(found.before))
    return sorted(placed, key=lambda each: abs(each[0]))


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A JSON schema with the object itself at the root, as the protocol wants it."""
    (root,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    name = cast(str, root["$ref"]).rpartition("/")[2]
    # As JSON has it: defaults that are tuples become lists.
    schema = msgspec.json.decode(msgspec.json.encode(parts.pop(name)))
    # The classes' own names and descriptions are for programmers.
    del schema["title"], schema["description"]
    return {**schema, "$defs": parts} if parts else dict(schema)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "search",
        "Search logs and notes",
        "Find what happened before on the machines of this site: log lines and maintenance notes "
        "that mean the same as a query or contain its codes. Returns patterns (log lines with "
        "their changing values replaced), best first, each with how often it occurred and with "
        "example events. Start here with a symptom, an error code or a raw log line.",
        SearchArguments,
        SearchAnswer,
        _search,
    ),
    Tool(
        "precedents",
        "Find earlier incidents and what fixed them",
        "Answer 'has this happened before, and what fixed it?': earlier incidents like a query or "
        "an event, grouped by asset and time, each with the log patterns that were unusual around "
        "it and the maintenance notes that followed. What followed need not be what fixed it.",
        PrecedentsArguments,
        PrecedentsAnswer,
        _precedents,
    ),
    Tool(
        "context",
        "Read the lines around an event",
        "Read an event with the lines before and after it in the same log, in the order in which "
        "they were written. Use it on event_id of a hit to see what led to it and what came next.",
        ContextArguments,
        ContextAnswer,
        _context,
    ),
    Tool(
        "similar",
        "Find events like an event",
        "Find events that mean the same as one that you know by its event_id. Its own pattern "
        "comes first.",
        SimilarArguments,
        SimilarAnswer,
        _similar,
    ),
    Tool(
        "patterns",
        "List log patterns with their counts",
        "List which kinds of log lines occur, how often, and when first and last. With is_new and "
        "since: what never occurred before that time, for example since a fault or a change.",
        PatternsArguments,
        PatternsAnswer,
        _patterns,
    ),
)
