"""Which events count: time ranges and label conditions over a shard's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.event import SEVERITIES, Kind, Labels
from dejalog.indexer.store.layout import Columns


@dataclass(frozen=True, slots=True)
class Condition:
    """`label operator value`; the operator is one of = != >= <=, the last two for severity.

    Values compare without regard to case. An event without the label fails every condition but !=.
    """

    label: str
    operator: str
    value: str

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether these labels meet the condition."""
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


def filter_events(
    columns: Columns,
    labelsets: Sequence[Labels],
    conditions: Sequence[Condition],
    *,
    since_ns: int | None,
    until_ns: int | None,
) -> NDArray[np.bool_] | None:
    """Returns bool[events], true for the events that count, or None if all of them do."""
    masks: list[NDArray[np.bool_]] = []
    if since_ns is not None:
        masks.append(columns.times >= since_ns)
    if until_ns is not None:
        masks.append(columns.times < until_ns)
    masks.extend(_condition_mask(columns, labelsets, condition) for condition in conditions)
    if not masks:
        return None
    every: NDArray[np.bool_] = np.logical_and.reduce(masks)
    return every


def _condition_mask(
    columns: Columns, labelsets: Sequence[Labels], condition: Condition
) -> NDArray[np.bool_]:
    if condition.label == "kind":
        is_kind: NDArray[np.bool_] = columns.kinds == Kind[condition.value.upper()]
        return is_kind if condition.operator == "=" else ~is_kind
    # Conditions are decided once per distinct label set, however many events carry it.
    holds = np.array([condition.holds(dict(labels)) for labels in labelsets], np.bool_)
    return holds[columns.labelsets] if len(holds) else np.zeros(len(columns.labelsets), np.bool_)
