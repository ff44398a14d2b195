"""An alert as JSON: what receivers are given, as docs/ALERTS.md promises it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dejalog.daemon.alerts.gate import Admitted
from dejalog.daemon.alerts.settings import AlertRule
from dejalog.daemon.alerts.state import NewAlert
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.hit_json import Json, to_line
from dejalog.daemon.match_json import match_to_json
from dejalog.indexer.answer import Match
from dejalog.indexer.event import Labels
from dejalog.indexer.store.layout import digest

#: An alert is read by people and by chat rooms; the event's number leads to the rest.
TEXT_CHARS_MAX: Final = 8_192
ATTRIBUTES_CHARS_MAX: Final = 8_192
_EVIDENCE_MAX: Final = 64
_SUMMARY_CHARS: Final = 200


def alert_id(rule: str, event_id: int) -> str:
    """Returns the name of the alert that a rule makes of an event: the same at each attempt."""
    return digest(rule, str(event_id)).hex()


def new_alert(rule: AlertRule, match: Match, admitted: Admitted, now_ns: int) -> NewAlert:
    """Returns the alert of a match."""
    name = alert_id(rule.name, match.occurrence.event_id)
    return _alert(rule, name, match, admitted, now_ns)


def made_up_alert(rule: AlertRule, match: Match, now_ns: int) -> NewAlert:
    """Returns a made-up alert, for `dejalog alerts test`; no receiver takes it for a second one."""
    name = digest(rule.name, "test", str(now_ns)).hex()
    return _alert(rule, name, match, Admitted(0, 0), now_ns, is_test=True)


def _alert(
    rule: AlertRule,
    name: str,
    match: Match,
    admitted: Admitted,
    now_ns: int,
    *,
    is_test: bool = False,
) -> NewAlert:
    short, is_cut = _cut(match)
    value: dict[str, Json] = {
        "alert_id": name,
        "rule": rule.name,
        "query": rule.query,
        "where": list(rule.where),
        "summary": _summary(match, admitted),
        "created_unix_nano": str(now_ns),
        **match_to_json(short, rule.query),
        "repeats": admitted.repeats,
        "held_back": admitted.held_back,
        "is_cut": is_cut,
        "is_test": is_test,
    }
    return NewAlert(name, rule.name, rule.target, to_line(value).encode(), now_ns)


def _summary(match: Match, admitted: Admitted) -> str:
    """One line for a chat room or a pager."""
    text = " ".join(match.occurrence.event.text.split())
    if len(text) > _SUMMARY_CHARS:
        text = f"{text[:_SUMMARY_CHARS]}..."
    if admitted.repeats:
        text += f" (and {grouped(admitted.repeats)} more since the last alert)"
    if admitted.held_back:
        text += f" ({grouped(admitted.held_back)} other matches were held back)"
    return text


def _cut(match: Match) -> tuple[Match, bool]:
    """The match with no more text and attributes than an alert has, and whether some are gone."""
    event = match.occurrence.event
    text = event.text[:TEXT_CHARS_MAX]
    attributes = _first(event.attributes)
    evidence = [each for each in match.evidence if each.text_end <= TEXT_CHARS_MAX][:_EVIDENCE_MAX]
    is_cut = len(text) < len(event.text) or len(attributes) < len(event.attributes)
    occurrence = replace(match.occurrence, event=replace(event, text=text, attributes=attributes))
    pattern = match.pattern[:TEXT_CHARS_MAX]
    short = replace(match, occurrence=occurrence, pattern=pattern, evidence=tuple(evidence))
    return short, is_cut


def _first(attributes: Labels) -> Labels:
    size, kept = 0, 0
    for name, value in attributes:
        size += len(name) + len(value)
        if size > ATTRIBUTES_CHARS_MAX:
            break
        kept += 1
    return attributes[:kept]
