"""Which matches become alerts: one of a pattern in a while, and not more than so many in all.

1. A pattern that was alerted within `quiet_s` is quiet: its events are counted, and told with the
   next alert of the same pattern.
2. Beyond `alerts_max` in `per_s`, patterns are counted, too, and told with the rule's next alert.

The quiet time is counted from the alert and not from the last event, so that a fault that goes on
is reported again every `quiet_s`. Pure: the same calls, the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dejalog.daemon.alerts.settings import AlertRule

#: Patterns that a rule remembers; of more, the ones alerted longest ago are forgotten.
PATTERNS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class QuietPattern:
    """When a pattern was alerted, ns since 1970 UTC, and its events since then."""

    pattern_id: str
    alerted_ns: int
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Alerts `sent` since `start_ns`, and events that were `held_back` for the rate, untold."""

    start_ns: int = 0
    sent: int = 0
    held_back: int = 0


@dataclass(frozen=True, slots=True)
class Admitted:
    """An alert: `repeats` events of its pattern, and `held_back` of others, were not alerted."""

    repeats: int
    held_back: int


class Gate:
    """One rule's memory; `changed` and `forgotten` are what has to be stored."""

    def __init__(
        self,
        rule: AlertRule,
        window: Window = Window(),
        patterns: Iterable[QuietPattern] = (),
        *,
        patterns_max: int = PATTERNS_MAX,
    ) -> None:
        self._rule = rule
        self._patterns_max = patterns_max
        self.window = window
        # Oldest alert first.
        known = sorted(patterns, key=lambda each: each.alerted_ns)
        self._patterns = {each.pattern_id: each for each in known}
        self.changed: dict[str, QuietPattern] = {}
        self.forgotten: set[str] = set()

    def admit(self, pattern_id: str, count: int, now_ns: int) -> Admitted | None:
        """Returns whether `count` new events of a pattern are alerted; they are counted if not."""
        known = self._patterns.get(pattern_id)
        if known is not None and _is_within(now_ns - known.alerted_ns, self._rule.quiet_s):
            self._keep(QuietPattern(pattern_id, known.alerted_ns, known.repeats + count))
            return None
        window = self.window
        if not _is_within(now_ns - window.start_ns, self._rule.per_s):
            window = Window(now_ns, 0, window.held_back)
        if window.sent >= self._rule.alerts_max:
            self.window = Window(window.start_ns, window.sent, window.held_back + count)
            return None
        self.window = Window(window.start_ns, window.sent + 1)
        repeats = 0 if known is None else known.repeats
        self._patterns.pop(pattern_id, None)  # It becomes the youngest.
        self._keep(QuietPattern(pattern_id, now_ns, count - 1))
        self._forget()
        return Admitted(repeats, window.held_back)

    def stored(self) -> None:
        """Says that everything so far is stored."""
        self.changed.clear()
        self.forgotten.clear()

    def _keep(self, pattern: QuietPattern) -> None:
        self._patterns[pattern.pattern_id] = pattern
        self.changed[pattern.pattern_id] = pattern
        self.forgotten.discard(pattern.pattern_id)

    def _forget(self) -> None:
        while len(self._patterns) > self._patterns_max:
            oldest = self._patterns.pop(next(iter(self._patterns)))
            self.changed.pop(oldest.pattern_id, None)
            self.forgotten.add(oldest.pattern_id)
            window = self.window
            self.window = Window(window.start_ns, window.sent, window.held_back + oldest.repeats)


def _is_within(elapsed_ns: int, seconds: float) -> bool:
    # A clock that was set back must not close the gate until it has caught up.
    return 0 <= elapsed_ns < seconds * 1e9
