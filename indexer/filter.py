"""Which events count: time ranges and label conditions over a shard's columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.event import SEVERITIES, Kind, Labels
from dejalog.indexer.store.layout import Columns, Counters


@dataclass(frozen=True, slots=True)
class Condition:
    """`label operator value`; the operator is one of = != >= <=, the last two for severity.

    Values compare without regard to case. An event without the label fails every condition but !=.
    With `is_negated` the events count that fail it.
    """

    label: str
    operator: str
    value: str
    is_negated: bool = False

    def __str__(self) -> str:
        return f"{'-' * self.is_negated}{self.label}{self.operator}{self.value}"

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether these labels meet the condition."""
        return self._is_met(labels) != self.is_negated

    def _is_met(self, labels: dict[str, str]) -> bool:
        found = labels.get(self.label)
        if self.operator == "!=":
            return found is None or found.casefold() != self.value.casefold()
        if found is None:
            return False
        if self.operator == "=":
            return found.casefold() == self.value.casefold()
        return self._compares(found)

    def _compares(self, found: str) -> bool:
        if found.lower() not in SEVERITIES:
            return False
        difference = SEVERITIES.index(found.lower()) - SEVERITIES.index(self.value.lower())
        return difference >= 0 if self.operator == ">=" else difference <= 0


@dataclass(frozen=True, slots=True)
class Counted:
    """Which events and patterns of a shard count; None stands for all of them.

    events bool[events]; patterns bool[patterns], those that have an event that counts. Unless
    `is_filtered`, these are all that are not deleted.
    """

    events: NDArray[np.bool_] | None = None
    patterns: NDArray[np.bool_] | None = None
    is_filtered: bool = False


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Nanoseconds since 1970 UTC, `until_ns` not included; None is no bound."""

    since_ns: int | None
    until_ns: int | None

    def misses(self, counters: Counters) -> bool:
        """Whether a shard has no event in this range."""
        return (self.since_ns is not None and counters.newest_ns < self.since_ns) or (
            self.until_ns is not None and counters.oldest_ns >= self.until_ns
        )

    def within(self, counters: Counters) -> TimeRange:
        """The range without the bounds that all events of a shard keep anyway."""
        is_late = self.since_ns is None or counters.oldest_ns >= self.since_ns
        is_early = self.until_ns is None or counters.newest_ns < self.until_ns
        return TimeRange(
            None if is_late else self.since_ns,
            None if is_early else self.until_ns,
        )


def filter_events(
    columns: Columns,
    labelsets: Sequence[Labels],
    conditions: Sequence[Condition],
    *,
    since_ns: int | None,
    until_ns: int | None,
) -> NDArray[np.bool_] | None:
    """Returns bool[events], true for the events that count, or None if all of them do."""
    every: NDArray[np.bool_] | None = None
    # A text may hold a thousand conditions: few masks are there at once.
    for mask in _masks(columns, labelsets, conditions, since_ns, until_ns):
        every = mask if every is None else every & mask
    return every


def _masks(
    columns: Columns,
    labelsets: Sequence[Labels],
    conditions: Sequence[Condition],
    since_ns: int | None,
    until_ns: int | None,
) -> Iterator[NDArray[np.bool_]]:
    if since_ns is not None:
        yield columns.times >= since_ns
    if until_ns is not None:
        yield columns.times < until_ns
    kinds = [condition for condition in conditions if condition.label == "kind"]
    for condition in dict.fromkeys(kinds):
        is_kind: NDArray[np.bool_] = columns.kinds == Kind[condition.value.upper()]
        yield is_kind if (condition.operator == "=") != condition.is_negated else ~is_kind
    if len(kinds) < len(conditions):
        others = [condition for condition in conditions if condition.label != "kind"]
        yield _label_mask(columns, labelsets, others)


def _label_mask(
    columns: Columns, labelsets: Sequence[Labels], conditions: Sequence[Condition]
) -> NDArray[np.bool_]:
    # Conditions are decided once per distinct label set, however many events carry it.
    holds = np.zeros(len(labelsets), np.bool_)
    for number in _numbers(columns, labelsets):
        labels = dict(labelsets[number])
        holds[number] = all(condition.holds(labels) for condition in conditions)
    return holds[columns.labelsets]


def _numbers(columns: Columns, labelsets: Sequence[Labels]) -> Sequence[int]:
    """The label sets that these events may have."""
    if len(columns.labelsets) >= len(labelsets):
        return range(len(labelsets))
    numbers: list[int] = np.unique(columns.labelsets).tolist()
    return numbers
