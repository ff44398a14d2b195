"""The tools: what they ask for, and what they tell of what came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from dejalog.client import Answer
from dejalog.daemon.mcp.answers import ANSWER_BYTES_MAX, Told
from dejalog.daemon.mcp.tools import TOOLS, Asking, call
from dejalog.indexer.answer import (
    Context,
    Coverage,
    PatternsResult,
    PatternSummary,
    Precedent,
    PrecedentsResult,
    SimilarResult,
)
from dejalog.indexer.errors import QueryError
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Hit, Occurrence, Scores, SearchResult
from dejalog.indexer.request import (
    ContextRequest,
    PatternOrder,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
)

TEXT = "pump P-101 trips"
SCORES = Scores(0.8, 0.5, 0.5, 0.5, 0.0)
COVERAGE = Coverage(100, 40, 1, 0.01)


def occurrence(number: int, text: str = TEXT) -> Occurrence:
    event = Event(Kind.LOG, number * 10**9, TimeOrigin.EVENT, text, "plc.log", "1:1", number)
    return Occurrence(number, event)


@dataclass
class Answerer:
    """Stands in for the index: as many of everything as `count`, each with `text`."""

    count: int = 2
    text: str = TEXT
    asked: list[Any] = field(default_factory=list)

    def _take(self, request: Any, timeout_s: float) -> None:
        assert timeout_s == 7.0
        self.asked.append(request)

    def _events(self) -> tuple[Occurrence, ...]:
        return tuple(occurrence(number, self.text) for number in range(self.count))

    def _hits(self) -> tuple[Hit, ...]:
        return tuple(Hit("p", "pump", SCORES, 1, 0, 0, (each,), ()) for each in self._events())

    def search(self, request: SearchRequest, *, timeout_s: float) -> Answer[SearchResult]:
        self._take(request, timeout_s)
        return Answer(SearchResult(self._hits(), 100, 40, 9, 1, 0.01, False))

    def similar(self, request: SimilarRequest, *, timeout_s: float) -> Answer[SimilarResult]:
        self._take(request, timeout_s)
        result = SearchResult(self._hits(), 100, 40, 9, 1, 0.01, False)
        return Answer(SimilarResult(occurrence(5, self.text), result))

    def precedents(
        self, request: PrecedentsRequest, *, timeout_s: float
    ) -> Answer[PrecedentsResult]:
        self._take(request, timeout_s)
        one = Precedent("asset", "P-101", "plc", 0, 1, 0.5, 1, self._hits()[:3], (), ())
        return Answer(PrecedentsResult(None, (one,) * self.count, self.count + 4, COVERAGE))

    def patterns(self, request: PatternsRequest, *, timeout_s: float) -> Answer[PatternsResult]:
        self._take(request, timeout_s)
        one = PatternSummary("p", self.text, 3, 0, 1, 0, (3,), occurrence(5))
        return Answer(PatternsResult((one,) * self.count, self.count, 0, 1, COVERAGE))

    def context(self, request: ContextRequest, *, timeout_s: float) -> Answer[Context]:
        self._take(request, timeout_s)
        before = tuple(occurrence(n, self.text) for n in range(100 - self.count, 100))
        after = tuple(occurrence(n, self.text) for n in range(101, 101 + self.count))
        return Answer(Context(occurrence(100, self.text), before, after, is_complete=True))


ARGUMENTS: Sequence[tuple[str, dict[str, object]]] = [
    ("search", {"query": "pump trips"}),
    ("precedents", {"event_id": "17"}),
    ("context", {"event_id": "17"}),
    ("similar", {"event_id": "17"}),
    ("patterns", {}),
]


def ask(name: str, arguments: dict[str, object], answerer: Answerer | None = None) -> Told:
    return call(name, arguments, Asking(answerer or Answerer(), 7.0, UTC))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "arguments"), ARGUMENTS, ids=[n for n, _ in ARGUMENTS])
@pytest.mark.parametrize("count", [0, 2, 50])
@pytest.mark.parametrize("text", [TEXT, '"\x1b\u202e' * 3_000])
def test_every_answer_is_bounded_and_as_its_schema_says(
    name: str, arguments: dict[str, object], count: int, text: str
) -> None:
    told = ask(name, arguments, Answerer(count, text))
    tool = next(tool for tool in TOOLS if tool.name == name)
    value = msgspec.to_builtins(told.answer)
    jsonschema.validate(value, tool.output_schema())
    assert len(msgspec.json.encode(value)) <= ANSWER_BYTES_MAX
    assert len(told.text.encode()) <= ANSWER_BYTES_MAX
    assert value["shown"] > 0 or count == 0
    if value["shown"] < value["found"]:
        assert any(f"{value['shown']} of {value['found']} " in each for each in value["remarks"])


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_schemas_are_objects_without_the_names_of_classes(tool) -> None:
    for schema in (tool.input_schema(), tool.output_schema()):
        assert schema["type"] == "object"
        assert "title" not in schema


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_manual_names_every_tool_and_argument(tool) -> None:
    manual = (Path(__file__).parents[4] / "docs" / "MCP.md").read_text(encoding="utf-8")
    assert f"| `{tool.name}` |" in manual
    assert not [name for name in tool.input_schema()["properties"] if f"`{name}`" not in manual]


def test_all_of_a_filter_reaches_the_index() -> None:
    answerer = Answerer()
    given = {"since": "2022-08-22", "until": "2022-08-22", "where": ["site=lodz"], "kind": "note"}
    ask("search", {"query": "pump", "limit": 9, "occurrences": 4, **given}, answerer)
    (request,) = answerer.asked
    day_ns = 1_661_126_400 * 10**9
    assert request == SearchRequest(
        "pump",
        limit=9,
        occurrences=4,
        since_ns=day_ns,
        until_ns=day_ns + 86_400 * 10**9,
        where=("site=lodz", "kind=note"),
        is_explained=False,
    )
    for name in ("similar", "precedents", "patterns"):
        arguments = dict(ARGUMENTS)[name]
        ask(name, {**arguments, **given}, answerer)
        asked = answerer.asked[-1]
        assert (asked.since_ns, asked.until_ns) == (request.since_ns, request.until_ns)
        assert asked.where == request.where


def test_precedents_are_asked_with_a_text_or_with_an_event() -> None:
    answerer = Answerer()
    ask("precedents", {"query": "pump trips", "limit": 4}, answerer)
    ask("precedents", {"event_id": "17"}, answerer)
    assert answerer.asked == [
        PrecedentsRequest("pump trips", limit=4),
        PrecedentsRequest(event_id=17, limit=3),
    ]


@pytest.mark.parametrize("arguments", [{}, {"query": " "}, {"query": "x", "event_id": "1"}])
def test_precedents_of_neither_or_both_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(QueryError, match="give one of them"):
        ask("precedents", arguments)


def test_patterns_are_asked_with_the_text_that_they_contain() -> None:
    answerer = Answerer()
    since = {"since": "2022-08-22", "is_new": True, "order": "first"}
    ask("patterns", {"containing": "E-1034", **since}, answerer)
    (request,) = answerer.asked
    assert request == replace(
        PatternsRequest('"E-1034"', limit=20, is_new=True, order=PatternOrder.FIRST, buckets=1),
        since_ns=1_661_126_400 * 10**9,
    )
    with pytest.raises(QueryError, match="without quotes"):
        ask("patterns", {"containing": 'a" site=lodz "b'})


def test_context_shows_the_nearest_lines_in_the_order_of_the_source() -> None:
    told = ask("context", {"event_id": "100"}, Answerer(count=2))
    shown = [each["event_id"] for each in msgspec.to_builtins(told.answer)["events"]]
    assert shown == ["98", "99", "100", "101", "102"]
    crowded = ask("context", {"event_id": "100"}, Answerer(count=50, text="x" * 9_000))
    shown = [each["event_id"] for each in msgspec.to_builtins(crowded.answer)["events"]]
    assert len(shown) < 101
    middle = shown.index("100")
    assert abs(middle - (len(shown) - 1 - middle)) <= 1
    assert shown == [str(number) for number in range(int(shown[0]), int(shown[-1]) + 1)]


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("find", {}, "there is no tool 'find'; search, precedents, context, similar, patterns"),
        ("search", {}, "wrong arguments for search: .*`query`"),
        ("search", {"query": "x", "limit": 99}, r"wrong arguments for search: .*20.*\$.limit"),
        ("search", {"query": "x", "since": "soon"}, "cannot read the time 'soon'"),
        ("search", {"query": "x", "since": "1h", "until": "2h"}, "since is not before until"),
        ("context", {"event_id": str(2**63)}, "there is no event 9223372036854775808"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(
    name: str, arguments: dict[str, object], reason: str
) -> None:
    with pytest.raises(QueryError, match=reason):
        ask(name, arguments)
