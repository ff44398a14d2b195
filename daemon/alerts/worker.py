"""Alerts: a thread that asks the configured queries of what was committed, and senders behind it.

1. New events are looked at once, in order, by every rule; a gate per rule decides what goes out.
2. How far it came, the gates and the alerts are stored in one transaction.
3. A sender for each target delivers what waits (sender.py).

It only reads the index, so that neither a slow query nor a target that is down holds up ingest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

import numpy as np

from dejalog.daemon.alerts.alert_json import new_alert
from dejalog.daemon.alerts.deliveries import name_of, open_delivery
from dejalog.daemon.alerts.gate import Gate
from dejalog.daemon.alerts.sender import RETRY_FIRST_S, STOP_S, Sender, alerts_of
from dejalog.daemon.alerts.settings import AlertRule, AlertSettings
from dejalog.daemon.alerts.state import STATE_NAME, AlertState, NewAlert
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.schedule import print_line
from dejalog.indexer.arrivals import Arrivals, EventBlock
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.search import Searcher
from dejalog.indexer.standing import StandingQuery
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.layout import digest

#: Text blocks looked at within one hold of the shards and one transaction: some 0.2 s of a backlog.
_BLOCKS_PER_ROUND: Final = 64
#: How often the position alone is stored, where nothing matched: events behind it that had no
#: effect may be looked at again.
_POSITION_INTERVAL_S: Final = 1.0
#: Pattern names that are remembered; about 6 MB.
_NAMES_MAX: Final = 65_536


class AlertWorker:
    """The thread and its senders, for settings with queries.

    `on_failure` is called from its threads when the index or the state cannot be read or written;
    what targets do is told by `say`. Raises ConfigError, StorageError.
    """

    def __init__(
        self,
        settings: AlertSettings,
        kafka: KafkaSettings,
        directory: DataDirectory,
        searcher: Searcher,
        on_failure: Callable[[BaseException], None],
        *,
        say: Callable[[str], None] = print_line,
        clock: Callable[[], int] = time.time_ns,
        retry_first_s: float = RETRY_FIRST_S,
    ) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self._say = say
        self._clock = clock
        self._arrivals = Arrivals(searcher.shards)
        self._names: dict[tuple[int, int], str] = {}
        self._told_damage: set[str] = set()
        self._stored_s = time.monotonic()
        self._wake = Event()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="alert-queries")
        self._state = AlertState(directory.path / STATE_NAME)
        try:
            self._position = self._adopt()
            self._rules = [self._open_rule(rule, searcher) for rule in settings.queries]
            self._senders = {
                target: Sender(
                    target,
                    open_delivery(
                        [each for each in settings.queries if each.target == target],
                        settings,
                        kafka,
                    ),
                    self._state,
                    settings,
                    say=say,
                    on_failure=on_failure,
                    retry_first_s=retry_first_s,
                    clock=clock,
                )
                for target in dict.fromkeys(rule.target for rule in settings.queries)
            }
        except BaseException:
            self._state.close()
            raise

    def start(self) -> None:
        """Begins with what was committed since the last run, and with what waits."""
        for sender in self._senders.values():
            sender.start()
        self._thread.start()

    def notify(self) -> None:
        """Says that something was committed; never waits."""
        self._wake.set()

    def finish(self) -> None:
        """Ends soon; the next run goes on with what is left."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for sender in self._senders.values():
            sender.stop()
        end_s = time.monotonic() + STOP_S
        for sender in self._senders.values():
            sender.finish(max(0.0, end_s - time.monotonic()))
        self._state.close()

    def _adopt(self) -> int:
        with self._arrivals.reading() as reading:
            newest = reading.newest
        position, dropped = self._state.adopt(self._settings.queries, newest)
        if dropped:
            self._say(_dropped_with_rules(dropped))
        return position

    def _open_rule(self, rule: AlertRule, searcher: Searcher) -> _OpenRule:
        gate, since = self._state.gate(rule)
        query = StandingQuery(rule.request(), searcher.encoder, is_new=rule.is_new)
        return _OpenRule(rule, query, gate, since)

    def _run(self) -> None:
        try:
            while True:
                self._wake.clear()  # Before looking, or a notice could be lost.
                is_last = self._stop.is_set()
                while self._round() and not is_last:
                    is_last = self._stop.is_set()  # The next run goes on with a backlog.
                if is_last:
                    break
                self._wake.wait()
            self._store([], is_due=True)
        except BaseException as error:
            self._on_failure(error)

    def _round(self) -> bool:
        """Looks at what is new, up to a bound; returns whether there is more."""
        alerts: list[NewAlert] = []
        with self._arrivals.reading() as reading:
            before = self._position
            for open_rule in self._rules:
                open_rule.query.learn(reading.label_names)
            for place, block in enumerate(reading.blocks(before)):
                if place == _BLOCKS_PER_ROUND:
                    break
                self._check_gap(block)
                for open_rule in self._rules:
                    try:
                        alerts += self._look(open_rule, block)
                    except CorruptShardError as error:
                        reading.set_aside(error)
                self._position = block.last
            has_more = before < self._position < reading.newest
            damage = [str(error) for error in reading.damage]
        for text in damage:
            if text not in self._told_damage:
                self._told_damage.add(text)
                self._say(f"events that cannot be read give no alerts: {text}")
        self._store(alerts, is_due=bool(alerts) or any(each.has_news for each in self._rules))
        return has_more

    def _check_gap(self, block: EventBlock) -> None:
        missing = block.first - 1 - self._position
        if missing > 0 and self._position >= 0:
            self._say(
                f"{grouped(missing)} events were dropped or deleted before alerts.queries looked "
                "at them"
            )

    def _look(self, open_rule: _OpenRule, block: EventBlock) -> list[NewAlert]:
        """The alerts that a rule makes of a block; the events that make none are counted."""
        indexes = open_rule.query.select(block).indexes
        indexes = indexes[block.first + indexes > open_rule.since]
        if not len(indexes):
            return []
        _, firsts, counts = np.unique(
            block.pattern_index[indexes], return_index=True, return_counts=True
        )
        alerts, now_ns = [], self._clock()
        for place in np.argsort(firsts):
            index = int(indexes[firsts[place]])
            name = self._pattern_id(block, index)
            admitted = open_rule.gate.admit(name, int(counts[place]), now_ns)
            open_rule.has_news = True
            if admitted is not None:
                match = open_rule.query.match(block, index)
                alerts.append(new_alert(open_rule.rule, match, admitted, now_ns))
        return alerts

    def _pattern_id(self, block: EventBlock, index: int) -> str:
        number = int(block.columns.patterns[index])
        key = (block.state.header.shard, number)
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _NAMES_MAX:
                self._names.clear()
            name = self._names[key] = digest(block.pattern_text(number)).hex()
        return name

    def _store(self, alerts: list[NewAlert], *, is_due: bool) -> None:
        if not is_due and time.monotonic() - self._stored_s < _POSITION_INTERVAL_S:
            return
        gates = {each.rule.name: each.gate for each in self._rules if each.has_news}
        waiting_max = self._settings.waiting_max
        dropped = self._state.commit(self._position, gates, alerts, waiting_max=waiting_max)
        self._stored_s = time.monotonic()
        for open_rule in self._rules:
            open_rule.has_news = False
        for target in {alert.target for alert in alerts}:
            self._senders[target].notify()
        if dropped:
            targets = ", ".join(sorted({name_of(alert.target) for alert in alerts}))
            self._say(
                f"dropped undelivered: the oldest {alerts_of(dropped)} to {targets}, as more than "
                f"alerts.waiting_max ({waiting_max}) waited"
            )


@dataclass(slots=True)
class _OpenRule:
    """A rule at work: events up to `since` were there before it; `has_news` is to be stored."""

    rule: AlertRule
    query: StandingQuery
    gate: Gate
    since: int
    has_news: bool = False


def forget_rules(directory: DataDirectory, say: Callable[[str], None] = print_line) -> None:
    """Empties the state where no queries are configured any more: a later one begins anew."""
    path = directory.path / STATE_NAME
    if not path.is_file():
        return
    state = AlertState(path)
    try:
        _, dropped = state.adopt((), -1)
    finally:
        state.close()
    if dropped:
        say(_dropped_with_rules(dropped))


def _dropped_with_rules(count: int) -> str:
    return (
        f"dropped undelivered: {alerts_of(count)} of queries that are no longer in alerts.queries"
    )
