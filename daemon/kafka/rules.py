"""Which rule a topic falls under, and the record that its rule makes of a Kafka record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dejalog.daemon.kafka.places import source_of, topic_of
from dejalog.daemon.kafka.settings import TopicRule
from dejalog.daemon.kafka.templates import RecordFacts, fill_template, is_constant
from dejalog.indexer.event import Kind, Labels, Record

__all__ = ["TopicRules", "source_of", "topic_of"]

_KINDS = {"log": Kind.LOG, "note": Kind.NOTE}


@dataclass(slots=True)
class _Applied:
    """A rule as it applies to one topic: its constant labels are filled in once a partition."""

    rule: TopicRule
    groups: Mapping[str, str | None]
    constant: dict[int, Labels] = field(default_factory=dict)


class TopicRules:
    """The rules of the configuration: the first one that names or matches a topic applies."""

    def __init__(self, rules: Sequence[TopicRule]) -> None:
        self._rules = rules
        self._applied: dict[str, _Applied | None] = {}

    def subscription(self) -> str:
        """The regular expression, from start to end, of all topics that are read."""
        parts = [re.escape(rule.name) if rule.name else rule.pattern for rule in self._rules]
        # Named groups of two patterns may have the same name; numbered ones do no harm.
        plain = [re.sub(r"\(\?P<[^>]+>", "(", part) for part in parts]
        return "^(?:" + "|".join(f"(?:{part})" for part in plain) + r")\Z"

    def names(self) -> list[str]:
        """The topics that are named, and not matched by a pattern."""
        return [rule.name for rule in self._rules if rule.name]

    def is_read(self, topic: str) -> bool:
        """Whether any rule is for this topic."""
        return self._apply(topic) is not None

    def record(
        self,
        *,
        topic: str,
        partition: int,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        received_at_ns: int,
    ) -> Record:
        """Returns the record; one without a value (a tombstone) is void.

        A topic without a rule is read as one whose rule says nothing.
        """
        applied = self._apply(topic) or _Applied(TopicRule(name=topic), {})
        return Record(
            source=source_of(topic),
            partition=str(partition),
            offset=offset,
            next_offset=offset + 1,
            data=value or b"",
            received_at_ns=received_at_ns,
            encoding=applied.rule.encoding,
            headers=tuple(headers),
            labels=self._labels(applied, topic, partition, key, headers),
            kind=_KINDS.get(applied.rule.kind),
            key=key,
            is_void=value is None,
        )

    def _apply(self, topic: str) -> _Applied | None:
        if topic not in self._applied:
            self._applied[topic] = next(filter(None, (_match(r, topic) for r in self._rules)), None)
        return self._applied[topic]

    def _labels(
        self,
        applied: _Applied,
        topic: str,
        partition: int,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Labels:
        known = applied.constant.get(partition)
        if known is not None:
            return known
        facts = RecordFacts(topic, partition, key, headers, applied.groups)
        templates = applied.rule.labels
        filled = ((name, fill_template(text, facts)) for name, text in templates.items())
        labels = tuple(sorted((name, value) for name, value in filled if value is not None))
        if all(map(is_constant, templates.values())):
            applied.constant[partition] = labels
        return labels


def _match(rule: TopicRule, topic: str) -> _Applied | None:
    if rule.name:
        return _Applied(rule, {}) if rule.name == topic else None
    match = re.fullmatch(rule.pattern, topic)
    return None if match is None else _Applied(rule, match.groupdict())
