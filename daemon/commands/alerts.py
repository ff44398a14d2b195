"""`dejalog alerts`: the standing queries of the configuration, and what became of their alerts.

Exit codes: 0 found or done, 1 there is none, 2 the call was wrong, 3 it failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from typing import Any

from dejalog.daemon.alerts.settings import AlertRule
from dejalog.daemon.alerts.state import AlertState, DownTarget, RuleState, WaitingAlert
from dejalog.daemon.config import Settings
from dejalog.daemon.engine import data_path
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.flags import add_common_flags, load_settings
from dejalog.daemon.hit_json import Json, time_to_json, to_line
from dejalog.daemon.human_time import format_age, format_time, named_zone
from dejalog.indexer.answer import Match
from dejalog.indexer.errors import ConfigError, DejalogError
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Occurrence, Scores

NAME = "alerts"
HELP = "list the standing queries of the configuration, what waits to be delivered, or test one"
EXAMPLE = """dejalog alerts list
         dejalog alerts pending -o json
         dejalog alerts test overload"""

EXIT_DONE, EXIT_NONE = 0, 1
#: Rows that `pending` shows; their number is told in full.
_PENDING_MAX = 100
_TEST_TEXT = "this is a test of the delivery of alerts; nothing happened"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    _add_action(actions, "list", "say which queries there are, and what became of their alerts")
    _add_action(actions, "pending", "say which alerts wait to be delivered, and why")
    testing = _add_action(actions, "test", "deliver a made-up alert of a query, now")
    testing.add_argument("name", metavar="NAME", help="the query's name in [[alerts.queries]]")


def _add_action(actions: Any, name: str, meaning: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=meaning, description=meaning)
    add_common_flags(parser)
    for action in parser._actions:
        # What was given before this word must not be overwritten by a default behind it.
        if action.dest in ("config", "data", "set"):
            action.default = argparse.SUPPRESS
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="zone of times shown (default: this system's)"
    )
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    settings = load_settings(parsed).settings
    zone = named_zone(parsed.timezone) if parsed.timezone else None
    is_json = parsed.output == "json"
    if parsed.action == "test":
        return _test(settings, parsed.name, is_json=is_json)
    with _state(settings) as state:
        if parsed.action == "list":
            return _list(settings, state, zone, is_json=is_json)
        return _pending(state, zone, is_json=is_json)


@contextmanager
def _state(settings: Settings) -> Iterator[AlertState | None]:
    state = AlertState.open_existing(data_path(settings))
    try:
        yield state
    finally:
        if state is not None:
            state.close()


def _list(
    settings: Settings, state: AlertState | None, zone: tzinfo | None, *, is_json: bool
) -> int:
    known = {} if state is None else {each.name: each for each in state.rules()}
    rules = settings.alerts.queries
    for rule in rules:
        became = known.get(rule.name)
        line = to_line(_rule_json(rule, became)) if is_json else _rule_line(rule, became, zone)
        sys.stdout.write(line + "\n")
    if not rules:
        sys.stderr.write(
            "dejalog: no queries are configured; write [[alerts.queries]] as in docs/ALERTS.md\n"
        )
    return EXIT_DONE if rules else EXIT_NONE


def _rule_json(rule: AlertRule, became: RuleState | None) -> dict[str, Json]:
    value: dict[str, Json] = {
        "rule": rule.name,
        "query": rule.query,
        "where": list(rule.where),
        "is_new": rule.is_new,
        "target": _target(rule.target),
        "alerts": 0 if became is None else became.alerts,
        "waiting": 0 if became is None else became.waiting,
        "lost": 0 if became is None else became.lost,
        "held_back": 0 if became is None else became.held_back,
        "last": None,
        "last_unix_nano": None,
    }
    if became is not None and became.last_ns is not None:
        value |= time_to_json("last", became.last_ns)
    return value


def _rule_line(rule: AlertRule, became: RuleState | None, zone: tzinfo | None) -> str:
    asked = " ".join([rule.query, *rule.where, *(["(new patterns)"] if rule.is_new else [])])
    line = f"{rule.name}  {visible_line(asked.strip())}  to {_target(rule.target)}: "
    if became is None:
        return line + "the daemon has not seen it yet"
    line += f"{grouped(became.alerts)} alerts"
    if became.last_ns is not None:
        line += f", the last at {format_time(became.last_ns, zone)}"
    for count, what in (
        (became.waiting, "waiting"),
        (became.held_back, "matches held back"),
        (became.lost, "DROPPED undelivered"),
    ):
        line += f", {grouped(count)} {what}" if count else ""
    return line


def _pending(state: AlertState | None, zone: tzinfo | None, *, is_json: bool) -> int:
    waiting = [] if state is None else state.waiting(_PENDING_MAX)
    down = [] if state is None else state.down()
    total = 0 if state is None else sum(each.waiting for each in state.rules())
    for alert in waiting:
        line = to_line(_waiting_json(alert)) if is_json else _waiting_line(alert, zone)
        sys.stdout.write(line + "\n")
    for target in down:
        sys.stderr.write(_down_line(target, zone) + "\n")
    if total > len(waiting):
        sys.stderr.write(f"dejalog: showing the oldest {len(waiting)} of {grouped(total)}\n")
    if not waiting:
        sys.stderr.write("dejalog: no alert waits\n")
    return EXIT_DONE if waiting else EXIT_NONE


def _waiting_json(alert: WaitingAlert) -> dict[str, Json]:
    return {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "target": _target(alert.target),
        **time_to_json("created", alert.created_ns),
        "attempts": alert.attempts,
        "reason": alert.reason,
    }


def _waiting_line(alert: WaitingAlert, zone: tzinfo | None) -> str:
    line = f"{format_time(alert.created_ns, zone)}  {alert.rule}  to {_target(alert.target)}"
    if not alert.attempts:
        return f"{line}: not tried yet"
    tried = "once" if alert.attempts == 1 else f"{grouped(alert.attempts)} times"
    return f"{line}: tried {tried}; {visible_line(alert.reason)}"


def _down_line(down: DownTarget, zone: tzinfo | None) -> str:
    since = f"{format_time(down.down_since_ns, zone)}, {format_age(down.down_since_ns, _now())}"
    return f"dejalog: {_target(down.target)} is down since {since}: {visible_line(down.reason)}"


def _test(settings: Settings, name: str, *, is_json: bool) -> int:
    from dejalog.daemon.alerts.alert_json import made_up_alert
    from dejalog.daemon.alerts.deliveries import DeliveryError, open_delivery

    rules = settings.alerts.queries
    rule = next((each for each in rules if each.name == name), None)
    if rule is None:
        known = ", ".join(each.name for each in rules) or "none"
        raise ConfigError("alerts", "queries", f"there is no query {name!r}; known: {known}")
    made = made_up_alert(rule, _made_up_match(), _now())
    delivery = open_delivery([rule], settings.alerts, settings.kafka)
    alert = WaitingAlert(
        0, made.alert_id, made.rule, made.target, made.body, made.created_ns, 0, 0, ""
    )
    try:
        delivery.deliver(alert)
    except DeliveryError as error:
        raise DejalogError(f"not delivered to {_target(rule.target)}: {error}") from error
    finally:
        delivery.close()
    if is_json:
        value: dict[str, Json] = {"alert_id": made.alert_id, "target": _target(rule.target)}
        sys.stdout.write(to_line(value) + "\n")
    else:
        sys.stdout.write(f"delivered to {_target(rule.target)} as {made.alert_id}\n")
    return EXIT_DONE


def _made_up_match() -> Match:
    event = Event(
        kind=Kind.LOG,
        time_ns=_now(),
        time_origin=TimeOrigin.RECEIVED,
        text=_TEST_TEXT,
        source="dejalog:test",
        partition="",
        offset=0,
    )
    return Match(Occurrence(-1, event), "", _TEST_TEXT, Scores(1.0, 0, 0, 0, 0), (), False)


def _target(target: str) -> str:
    from dejalog.daemon.alerts.deliveries import name_of

    return visible_line(name_of(target))


def _now() -> int:
    return time.time_ns()
