"""Label templates of topics: text with placeholders for what a Kafka record says of itself.

`{topic}`, `{partition}`, `{key}`, `{header:NAME}` and `{group:NAME}` (a named group of the topic's
pattern); `{{` and `}}` are braces. A label one of whose placeholders is absent (no key, no such
header, not UTF-8) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([a-z]+)(?::([^{}]+))?\}|[{}]")


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What the placeholders stand for in one record."""

    topic: str
    partition: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]
    groups: Mapping[str, str | None]


def check_template(template: str, groups: Set[str] = frozenset()) -> str:
    """Returns what is wrong with a template, or an empty text; `groups` are the pattern's names."""
    for match in _PLACEHOLDER.finditer(template):
        word, name = match[1], match[2]
        if match[0] in ("{", "}"):
            return "a brace that is not part of a placeholder is written twice"
        if word is None:
            continue
        if word in ("header", "group"):
            if name is None:
                return f"write {{{word}:NAME}}"
            if word == "group" and name not in groups:
                return f"the pattern has no group {name!r}"
        elif word not in ("topic", "partition", "key") or name is not None:
            return f"{match[0]} is none of {{topic}}, {{partition}}, {{key}}, {{header:NAME}}, " + (
                "{group:NAME}"
            )
    return ""


def is_constant(template: str) -> bool:
    """Whether every record of a partition gets the same from it."""
    return not any(match[1] in ("key", "header") for match in _PLACEHOLDER.finditer(template))


def fill_template(template: str, facts: RecordFacts) -> str | None:
    """Returns the label's value, or None where a placeholder is absent."""
    parts: list[str] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        value = match[0][0] if match[1] is None else _value(match[1], match[2], facts)
        if value is None:
            return None
        parts += (template[end : match.start()], value)
        end = match.end()
    return "".join((*parts, template[end:])).strip() or None


def _value(word: str, name: str, facts: RecordFacts) -> str | None:
    if word == "topic":
        return facts.topic
    if word == "partition":
        return str(facts.partition)
    if word == "group":
        return facts.groups.get(name)
    raw = facts.key if word == "key" else _header(name, facts.headers)
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _header(name: str, headers: Sequence[tuple[str, bytes]]) -> bytes | None:
    # Kafka allows a name several times; as with a map, the last one counts.
    return next((value for key, value in reversed(headers) if key == name), None)
