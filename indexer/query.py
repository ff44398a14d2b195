"""The query that a text is parsed into; docs/QUERYING.md is the manual of the language.

A text is pieces with blanks between them, in any order: free words, `"quoted strings"`,
`label=value` filters, and exclusions, which are any of these behind a dash. Free words decide the
order, everything else decides which events count at all.

A pasted log line is full of dashes, quotes and `name=value` that nobody means so:

1. A text with a line break, or with a time of day to the second outside of quoted strings, is a
   pasted line: all of it is words.
2. `label=value` is a filter only where the index has that label (and for `severity` and `kind`,
   that value).
3. A dash excludes a word of two letters or more, and not in what looks like a command line: with a
   `--flag` or a `-f` somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dejalog.indexer.errors import QueryError
from dejalog.indexer.event import SEVERITIES, Kind
from dejalog.indexer.filter import Condition
from dejalog.indexer.mask import TIME_TYPES, mask_pattern
from dejalog.indexer.request import SearchRequest

#: A query is what a person types or one pasted log line, not a document.
TEXT_CHARACTERS_MAX = 16_384
#: Filters, quoted strings and exclusions of one text: each is looked for in every shard, some
#: milliseconds per million events.
OPERATORS_MAX = 64

_PIECE = re.compile(
    r"""
    (?<!\S) (?P<dash>-?)
    (?: "(?P<quoted>[^"]+)"
      | (?P<label>[A-Za-z_][\w.\-/]*) (?P<operator>!=|>=|<=|=)
        (?: "(?P<quoted_value>[^"]+)" | (?P<value>[^\s"]\S*) )
      | (?<=-) (?P<word>[^\W\d_][\w.\-/@\#]*\w)
    ) (?!\S)
    """,
    re.VERBOSE,
)
_CONDITION = re.compile(r"\s*([A-Za-z_][\w.\-/]*)\s*(!=|>=|<=|=)\s*(.*?)\s*")
_QUOTED = re.compile(r'(?<!\S)-?"[^"]+"(?!\S)')
_COMMAND_LINE = re.compile(r"(?<!\S)(?:--?[A-Za-z](?!\S)|--\w)")
#: A time of day to the second, as `16:48:16`, `16.56.14` or `203615` behind a date.
_TO_THE_SECOND = re.compile(r"(?<!\d)\d{1,2}([:.])\d\d\1\d\d(?!\d)|[T ]\d{6}(?!\d)")
_KINDS = frozenset(kind.name.lower() for kind in Kind)


@dataclass(frozen=True, slots=True)
class Query:
    """A request's text, taken apart: `words` are ranked by, the rest filters.

    `words` has the length of the text, with filters and exclusions blanked out, so that offsets
    stay valid. Events count that hold all strings of `exact`, none of `excluded`, and meet all
    `conditions`. `literal` are pieces that have the form of a filter and are words: of a pasted
    line, or because no event has the label.
    """

    words: str
    exact: tuple[str, ...]
    conditions: tuple[Condition, ...]
    excluded: tuple[str, ...] = ()
    literal: tuple[str, ...] = ()

    @property
    def is_filtered(self) -> bool:
        """Whether some events may not count."""
        return bool(self.exact or self.conditions or self.excluded)


def parse_query(request: SearchRequest, known_labels: frozenset[str] = frozenset()) -> Query:
    """Returns the query of a request, as `parse_text` does."""
    return parse_text(request.text, request.where, known_labels)


def parse_text(
    text: str, where: tuple[str, ...] = (), known_labels: frozenset[str] = frozenset()
) -> Query:
    """Returns the query, or raises QueryError saying what to change.

    `known_labels` are those that the index has, `where` holds conditions beside the text.
    """
    return _parse(text, where, known_labels)[0]


def parse_filter_text(text: str, where: tuple[str, ...], known_labels: frozenset[str]) -> Query:
    """Returns the query of a text that may hold filters, quoted strings and exclusions only.

    Raises QueryError for free words, which would decide nothing where nothing is ranked.
    """
    query, free = _parse(text, where, known_labels)
    if free:
        raise QueryError(_free_words(text, free, known_labels))
    return query


def parse_condition(text: str) -> Condition:
    """Returns the condition that `label=value`, `!=`, `>=` or `<=` states; raises QueryError."""
    match = _CONDITION.fullmatch(text)
    if match is None or not match[3]:
        raise QueryError(
            f"cannot read the filter {text!r}; write label=value, for example host=gw7"
        )
    return _condition(match[1], match[2], match[3], is_negated=False)


@dataclass(frozen=True, slots=True)
class _Piece:
    """An operator of the text: a condition, or a string that must or must not occur."""

    start: int
    end: int
    condition: Condition | None = None
    text: str = ""
    is_excluded: bool = False


def _parse(text: str, where: tuple[str, ...], known_labels: frozenset[str]) -> tuple[Query, str]:
    """The query, and what of the text is neither filter nor quoted."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise QueryError(
            f"the query has {len(text)} characters; at most {TEXT_CHARACTERS_MAX} are taken"
        )
    # Half a character that a shell handed over becomes a question mark; the length stays.
    words = free = text.encode("utf-8", "replace").decode()
    pieces = list(_pieces(words, known_labels))
    given = [parse_condition(condition) for condition in where]
    if is_pasted(words):
        literal = tuple(words[piece.start : piece.end] for piece in pieces)
        return Query(words, (), tuple(given), literal=literal), free
    if len(pieces) > OPERATORS_MAX:
        raise QueryError(
            f"the query has {len(pieces)} filters, quoted strings and exclusions; at most "
            f"{OPERATORS_MAX} are taken"
        )
    for piece in pieces:
        is_quoted = piece.condition is None and not piece.is_excluded
        # The quotes go, the words stay: they also say what the query is about.
        kept = f" {words[piece.start + 1 : piece.end - 1]} " if is_quoted else ""
        blank = " " * (piece.end - piece.start)
        words = words[: piece.start] + (kept or blank) + words[piece.end :]
        free = free[: piece.start] + blank + free[piece.end :]
    strings = [piece for piece in pieces if piece.condition is None]
    query = Query(
        words,
        exact=tuple(piece.text for piece in strings if not piece.is_excluded),
        conditions=(*given, *(p.condition for p in pieces if p.condition is not None)),
        excluded=tuple(piece.text for piece in strings if piece.is_excluded),
        literal=tuple(match[0] for match in _PIECE.finditer(free) if match["label"]),
    )
    return query, free.strip()


def is_pasted(text: str) -> bool:
    """Whether a text is a pasted log line, in which everything is words."""
    text = text.strip()
    if "\n" in text:
        return True
    unquoted = _QUOTED.sub(lambda match: " " * len(match[0]), text)
    _, spans = mask_pattern(unquoted)
    return any(
        kind in TIME_TYPES and _TO_THE_SECOND.search(unquoted[start:end])
        for kind, start, end in zip(spans[0::3], spans[1::3], spans[2::3], strict=True)
    )


def _pieces(text: str, known_labels: frozenset[str]) -> Iterator[_Piece]:
    is_command_line = _COMMAND_LINE.search(text) is not None
    for match in _PIECE.finditer(text):
        is_excluded, span = bool(match["dash"]), match.span()
        if match["label"]:
            value = match["value"] or match["quoted_value"]
            if _is_filter(match["label"], match["operator"], value, known_labels):
                condition = _condition(
                    match["label"], match["operator"], value, is_negated=is_excluded
                )
                yield _Piece(*span, condition=condition)
        elif match["quoted"]:
            string = match["quoted"].strip()
            if string:
                yield _Piece(*span, text=string, is_excluded=is_excluded)
        elif not is_command_line:
            yield _Piece(*span, text=match["word"], is_excluded=True)


def _is_filter(label: str, operator: str, value: str, known_labels: frozenset[str]) -> bool:
    if label == "severity":
        return value.lower() in SEVERITIES
    if operator in {">=", "<="}:
        return False
    return value.lower() in _KINDS if label == "kind" else label in known_labels


def _condition(label: str, operator: str, value: str, *, is_negated: bool) -> Condition:
    if operator in {">=", "<="} and label != "severity":
        raise QueryError(f"{operator} is for severity only, and {label!r} was given")
    if label == "severity" and value.lower() not in SEVERITIES:
        raise QueryError(f"unknown severity {value!r}; one of {', '.join(SEVERITIES)}")
    if label == "kind" and value.lower() not in _KINDS:
        raise QueryError(f"unknown kind {value!r}; it is log or note")
    if is_negated and operator in {"=", "!="}:
        return Condition(label, "!=" if operator == "=" else "=", value)
    return Condition(label, operator, value, is_negated=is_negated)


def _free_words(text: str, free: str, known_labels: frozenset[str]) -> str:
    """Says what to do with words where only filters are taken."""
    first = free.split(maxsplit=1)[0]
    match = _PIECE.fullmatch(first)
    if first.startswith(("since:", "until:")):
        return f"{first!r}: times are given beside the text here; quote it if it is a text"
    if match is not None and match["label"]:
        known = ", ".join(sorted(known_labels | {"severity", "kind"}))
        return f"{first!r} is no filter here: the labels are {known}; quote it if it is a text"
    words = " ".join(free.split())
    shown = words if len(words) <= 60 else f"{words[:60]}..."
    return (
        f"only filters and quoted strings are taken here, and {shown!r} is neither; "
        f"put quotes around it: events then count that hold it letter for letter"
    )
