from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dejalog.daemon.alerts.settings import AlertRule, AlertSettings
from dejalog.daemon.alerts.state import STATE_NAME, AlertState
from dejalog.daemon.alerts.worker import AlertWorker, forget_rules
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import ConfigError, CorruptShardError
from dejalog.indexer.standing import StandingQuery

from .receiver import receiving


@contextmanager
def working(maker, *rules: AlertRule, said: list[str] | None = None, **changes) -> Iterator:
    searcher = maker.searcher()
    faults: list[BaseException] = []
    worker = AlertWorker(
        AlertSettings(queries=rules, **changes),
        KafkaSettings(),
        maker.directory,
        searcher,
        faults.append,
        say=(said if said is not None else []).append,
        retry_first_s=0.01,
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.finish()
        searcher.close()
    assert not faults


def put(maker, worker, *events) -> None:
    maker.add(*events, is_indexed=False)
    worker.notify()


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rule(url: str, **changes) -> AlertRule:
    return AlertRule(**{"name": "dry", "query": '"pump"', "deliver": url, **changes})


def texts(alerts) -> list[str]:
    return [alert["event"]["text"] for alert in alerts]


def test_what_comes_is_delivered_and_what_was_there_is_not(make_index) -> None:
    maker = make_index()
    maker.add("pump old", is_indexed=False)
    with receiving() as receiver, working(maker, rule(receiver.url)) as worker:
        put(maker, worker, "pump A dry", "fan B on", "pump C dry")
        assert texts(receiver.wait(2)) == ["pump A dry", "pump C dry"]
        put(maker, worker, "pump D dry")
        assert texts(receiver.wait(3))[2:] == ["pump D dry"]


def test_one_alert_of_a_pattern_goes_out_and_tells_of_the_others(make_index) -> None:
    maker = make_index()
    with receiving() as receiver:
        with working(maker, rule(receiver.url)) as worker:
            put(maker, worker, *["pump dry"] * 3)
            receiver.wait(1)
            put(maker, worker, *["pump dry"] * 40)
            put(maker, worker, "pump wet")
            assert [a["repeats"] for a in receiver.wait(2)] == [0, 0]
        # The quiet time is over at once with another setting, and what was counted is told.
        with working(maker, rule(receiver.url, quiet_s=0.0)) as worker:
            put(maker, worker, "pump dry")
            third = receiver.wait(3)[2]
    assert third["repeats"] == 42
    assert "(and 42 more since the last alert)" in third["summary"]


def test_beyond_the_rate_matches_are_counted(make_index) -> None:
    maker = make_index()
    with receiving() as receiver:
        with working(maker, rule(receiver.url, alerts_max=2)) as worker:
            put(maker, worker, *(f"pump {c}" for c in "ABCDE"))
            receiver.wait(2)
        state = AlertState(maker.path / STATE_NAME)
        assert state.rules()[0].held_back == 3
        state.close()
        with working(maker, rule(receiver.url, alerts_max=100)) as worker:
            put(maker, worker, "pump F")
            assert receiver.wait(3)[2]["held_back"] == 3


def test_what_came_while_nobody_looked_is_delivered_after_a_restart(make_index) -> None:
    maker = make_index()
    with receiving() as receiver:
        with working(maker, rule(receiver.url)) as worker:
            put(maker, worker, "pump A")
            receiver.wait(1)
        maker.add("pump B", "fan", "pump C", is_indexed=False)
        with working(maker, rule(receiver.url)):
            assert texts(receiver.wait(3)) == ["pump A", "pump B", "pump C"]
        with working(maker, rule(receiver.url)) as worker:
            put(maker, worker, "pump D")
            assert texts(receiver.wait(4)) == ["pump A", "pump B", "pump C", "pump D"]


def test_a_receiver_that_fails_gets_each_alert_once_it_works_under_the_same_id(make_index) -> None:
    maker, said = make_index(), []
    with receiving() as receiver:
        receiver.answers = [503, 500, 503]
        with working(maker, rule(receiver.url), said=said) as worker:
            put(maker, worker, "pump A", "pump B")
            receiver.wait(2)
            wait(lambda: len(said) == 2)
        ids = [headers["X-Dejalog-Alert-Id"] for headers, _ in receiver.requests]
    assert len(set(ids[:4])) == 1
    assert len(set(ids)) == 2
    assert "not delivered" in said[0]
    assert "again" in said[1]


def test_alerts_wait_through_a_restart_for_a_receiver_that_is_down(make_index) -> None:
    maker = make_index()
    with receiving() as receiver:
        receiver.answers = [503] * 1000
        with working(maker, rule(receiver.url)) as worker:
            put(maker, worker, "pump A")
            wait(lambda: len(receiver.requests) >= 2)
        receiver.answers = []
        with working(maker, rule(receiver.url)):
            assert texts(receiver.wait(1)) == ["pump A"]


def test_a_target_that_is_down_holds_up_no_other(make_index, tmp_path) -> None:
    maker, out = make_index(), tmp_path / "out"
    code = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    command = AlertRule(name="cmd", query='"pump"', command=(sys.executable, "-c", code, str(out)))
    down = rule("http://127.0.0.1:9/")
    with working(maker, down, command) as worker:
        put(maker, worker, "pump A", "pump B")
        wait(lambda: out.exists() and out.read_text().count("\n") == 2)
    alerts = [json.loads(line) for line in out.read_text().splitlines()]
    assert texts(alerts) == ["pump A", "pump B"]
    assert {alert["rule"] for alert in alerts} == {"cmd"}


def test_more_than_may_wait_is_dropped_and_told(make_index) -> None:
    maker, said = make_index(), []
    with working(
        maker, rule("http://127.0.0.1:9/", alerts_max=100), said=said, waiting_max=3
    ) as worker:
        put(maker, worker, *(f"pump {c}" for c in "ABCDEFG"))
        wait(lambda: any("dropped undelivered" in line for line in said))
    told = next(line for line in said if "dropped" in line)
    assert told.startswith("dropped undelivered: the oldest 4 alerts to http://127.0.0.1:9/")
    state = AlertState(maker.path / STATE_NAME)
    assert state.rules()[0].lost == 4
    assert [texts([json.loads(w.body)])[0] for w in state.waiting(9)] == [
        "pump E",
        "pump F",
        "pump G",
    ]
    state.close()


def test_new_patterns_alone_can_be_alerted(make_index) -> None:
    maker = make_index()
    maker.add("pump A", is_indexed=False)
    only_new = rule("http://x/", query="", is_new=True, where=("severity>=error",))
    with receiving() as receiver:
        only_new = rule(receiver.url, query="", is_new=True)
        with working(maker, only_new) as worker:
            put(maker, worker, "pump A", "pump B", "pump B", "pump A")
            put(maker, worker, "pump A", "pump C")
            alerts = receiver.wait(2)
    assert texts(alerts) == ["pump B", "pump C"]
    assert all(alert["is_new_pattern"] for alert in alerts)


def test_words_are_met_by_meaning(make_index) -> None:
    maker = make_index()
    with receiving() as receiver:
        asks = rule(receiver.url, query="motor overload")
        with working(maker, asks) as worker:
            put(maker, worker, "user anna logged in", "the motor is overloaded on axis 3")
            (alert,) = receiver.wait(1)
    assert alert["event"]["text"].startswith("the motor")
    assert alert["scores"]["total"] >= 0.5
    assert alert["evidence"]


def test_events_that_were_dropped_unseen_are_told(make_index) -> None:
    maker, said = make_index(), []
    asks = rule("http://127.0.0.1:9/")
    with working(maker, asks):
        pass
    maker.add("pump A", is_indexed=False)
    with working(maker, asks):
        pass
    for text in ("pump B", "pump C"):
        maker.add(text, is_indexed=False)
        maker.appender.seal()
    first, second = (shard.header.shard for shard in maker.directory.shards[:2])
    state = AlertState(maker.path / STATE_NAME)
    assert state.position() == 0
    state.close()
    with maker.directory.compacting():
        maker.directory.replace_shards([first, second], None)
    maker.add("pump D", is_indexed=False)
    with working(maker, asks, said=said):
        pass
    assert any(line.startswith("2 events were dropped or deleted before") for line in said)


def test_rules_that_are_gone_are_forgotten_and_begin_anew(make_index) -> None:
    maker = make_index()
    with receiving() as receiver:
        with working(maker, rule(receiver.url)) as worker:
            put(maker, worker, "pump A")
            receiver.wait(1)
        forget_rules(maker.directory)
        maker.add("pump B", is_indexed=False)
        with working(maker, rule(receiver.url)) as worker:
            put(maker, worker, "pump C")
            assert texts(receiver.wait(2)) == ["pump A", "pump C"]


def test_forgetting_without_a_state_makes_none_and_says_what_it_drops(make_index) -> None:
    maker, said = make_index(), []
    forget_rules(maker.directory)
    assert not (maker.path / STATE_NAME).exists()
    with working(maker, rule("http://127.0.0.1:9/"), said=said) as worker:
        put(maker, worker, "pump A")
        wait(lambda: bool(said))
    said = []
    forget_rules(maker.directory, said.append)
    assert said == ["dropped undelivered: 1 alert of queries that are no longer in alerts.queries"]


def test_a_rule_that_cannot_be_opened_ends_the_start(make_index) -> None:
    maker = make_index()
    with pytest.raises(ConfigError, match="bootstrap_servers"), working(maker, rule("kafka:x")):
        pass


def test_what_cannot_be_read_is_told_once_and_the_rest_is_alerted(make_index, monkeypatch) -> None:
    maker, said = make_index(), []
    select = StandingQuery.select

    def damaged(self, block):
        if block.first < 2:
            raise CorruptShardError(maker.path, "a checksum differs")
        return select(self, block)

    monkeypatch.setattr(StandingQuery, "select", damaged)
    with receiving() as receiver, working(maker, rule(receiver.url), said=said) as worker:
        for text in ("pump A", "pump B", "pump C"):
            put(maker, worker, text)
        assert texts(receiver.wait(1)) == ["pump C"]
    assert len(said) == 1
    assert "a checksum differs" in said[0]
