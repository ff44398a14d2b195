"""What is asked: a request, and the query that its text is parsed into.

The text holds free words, `"quoted strings"` and `label=value` filters in any order. Quoted
strings and filters decide which events count at all; the free words decide the order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from dejalog.indexer.errors import QueryError
from dejalog.indexer.event import SEVERITIES, Kind
from dejalog.indexer.filter import Condition

#: A query is what a person types or one pasted log line, not a document.
TEXT_CHARACTERS_MAX = 16_384

_INLINE_FILTER = re.compile(r"(?<!\S)([A-Za-z_][\w.\-/]*)(!=|>=|<=|=)(\S+)")
_QUOTED = re.compile(r'(?<!\S)"([^"]+)"(?!\S)')
_CONDITION = re.compile(r"\s*([A-Za-z_][\w.\-/]*)\s*(!=|>=|<=|=)\s*(.*?)\s*")


class Mode(StrEnum):
    """Which channels take part in the order."""

    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One question.

    `limit` hits with at most `occurrences` events each; times are nanoseconds since 1970 UTC,
    `since_ns` inclusive and `until_ns` exclusive; `where` holds conditions like `site=lodz`,
    `severity>=warn` or `kind=note`, all of which must hold. Without `is_explained` hits carry no
    evidence, which saves about a millisecond each.
    """

    text: str
    limit: int = 10
    occurrences: int = 3
    since_ns: int | None = None
    until_ns: int | None = None
    where: tuple[str, ...] = ()
    mode: Mode = Mode.HYBRID
    is_explained: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """A request's text, taken apart: `words` are ranked by, the rest filters.

    `words` has the length of the text, with filters blanked out, so that offsets stay valid.
    """

    words: str
    exact: tuple[str, ...]
    conditions: tuple[Condition, ...]


_KINDS = frozenset(kind.name.lower() for kind in Kind)


def parse_query(request: SearchRequest, known_labels: frozenset[str] = frozenset()) -> Query:
    """Returns the query, or raises QueryError saying what to change.

    `label=value` inside the text, but outside of quotes, is a filter where the index has that
    label (and for `severity` and `kind`, that value); otherwise it is words, because a pasted log
    line is full of `name=value` that nobody means as a filter.
    """
    if len(request.text) > TEXT_CHARACTERS_MAX:
        raise QueryError(
            f"the query has {len(request.text)} characters; at most {TEXT_CHARACTERS_MAX} are taken"
        )
    # Half a character that a shell handed over becomes a question mark; the length stays.
    words = request.text.encode("utf-8", "replace").decode()
    exact: list[str] = []
    conditions = [parse_condition(text) for text in request.where]
    unquoted = _QUOTED.sub(lambda match: " " * len(match[0]), words)
    for match in _INLINE_FILTER.finditer(unquoted):
        is_ordered = match[2] in {">=", "<="}
        if not _is_filter(match[1], match[3], known_labels) or (
            is_ordered and match[1] != "severity"
        ):
            continue
        conditions.append(Condition(match[1], match[2], match[3]))
        words = words[: match.start()] + " " * len(match[0]) + words[match.end() :]
    for match in _QUOTED.finditer(words):
        exact.append(match[1].strip())
        # The quotes go, the words stay: they also say what the query is about.
        words = words[: match.start()] + " " + match[1] + " " + words[match.end() :]
    return Query(words, tuple(text for text in exact if text), tuple(conditions))


def _is_filter(label: str, value: str, known_labels: frozenset[str]) -> bool:
    if label == "severity":
        return value.lower() in SEVERITIES
    if label == "kind":
        return value.lower() in _KINDS
    return label in known_labels


def parse_condition(text: str) -> Condition:
    """Returns the condition that `label=value`, `!=`, `>=` or `<=` states; raises QueryError."""
    match = _CONDITION.fullmatch(text)
    if match is None or not match[3]:
        raise QueryError(
            f"cannot read the filter {text!r}; write label=value, for example host=gw7"
        )
    return _condition(match[1], match[2], match[3])


def _condition(label: str, operator: str, value: str) -> Condition:
    if operator in {">=", "<="} and label != "severity":
        raise QueryError(f"{operator} is for severity only, and {label!r} was given")
    if label == "severity" and value.lower() not in SEVERITIES:
        raise QueryError(f"unknown severity {value!r}; one of {', '.join(SEVERITIES)}")
    if label == "kind" and value.lower() not in _KINDS:
        raise QueryError(f"unknown kind {value!r}; it is log or note")
    return Condition(label, operator, value)
