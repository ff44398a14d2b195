from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dejalog.daemon.alerts.gate import Gate
from dejalog.daemon.alerts.settings import AlertRule
from dejalog.daemon.alerts.state import STATE_NAME, AlertState, NewAlert
from dejalog.indexer.errors import StorageError

HOOK = "http://h/"
RULE = AlertRule(name="a", query="pump", deliver=HOOK)
OTHER = AlertRule(name="b", query="fan", command=("x",))


def opened(tmp_path: Path) -> AlertState:
    return AlertState(tmp_path / STATE_NAME)


def alert(number: int, rule: AlertRule = RULE) -> NewAlert:
    return NewAlert(f"id{number}", rule.name, rule.target, b"{}", number)


def test_position_gate_and_alerts_are_there_after_reopening(tmp_path: Path) -> None:
    state = opened(tmp_path)
    assert state.adopt([RULE], 7) == (7, 0)
    gate, since = state.gate(RULE)
    assert since == 7
    gate.admit("p", 3, 100)
    assert state.commit(9, {"a": gate}, [alert(1)], waiting_max=5) == 0
    assert gate.changed == {}
    state.close()
    state = opened(tmp_path)
    assert state.adopt([RULE], 20) == (9, 0)
    gate, since = state.gate(RULE)
    assert (since, gate.window.sent) == (7, 1)
    assert gate.admit("p", 1, 101) is None
    (waiting,) = state.due(HOOK, 0, 10)
    assert (waiting.alert_id, waiting.rule, waiting.attempts) == ("id1", "a", 0)
    state.close()


def test_a_new_rule_begins_with_what_comes_and_a_gone_one_is_forgotten(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.adopt([RULE], 3)
    state.commit(5, {}, [alert(1)], waiting_max=5)
    assert state.adopt([RULE, OTHER], 8) == (5, 0)
    assert [each.since for each in state.rules()] == [3, 8]
    assert state.adopt([OTHER], 9) == (5, 1)
    assert state.waiting(9) == []
    assert state.adopt([], 12) == (12, 0)
    assert state.adopt([RULE], 15) == (15, 0)
    state.close()


def test_an_index_that_was_restored_is_followed_from_its_own_end(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.adopt([RULE], 100)
    assert state.adopt([RULE], 40) == (40, 0)
    assert state.rules()[0].since == 40
    state.close()


def test_a_delivery_moves_an_alert_on(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.adopt([RULE, OTHER], -1)
    state.commit(1, {}, [alert(1), alert(2), alert(3, OTHER)], waiting_max=5)
    first, second = state.due(HOOK, 0, 10)
    state.failed(first.number, 50, "it said no")
    assert [each.alert_id for each in state.due(HOOK, 49, 10)] == ["id2"]
    again = state.due(HOOK, 50, 1)[0]
    assert (again.alert_id, again.attempts, again.reason) == ("id1", 1, "it said no")
    state.delivered(second.number)
    assert state.next_ns(HOOK) == 50
    state.delivered(first.number)
    assert state.next_ns(HOOK) is None
    assert [each.alert_id for each in state.waiting(9)] == ["id3"]
    state.close()


def test_the_same_alert_waits_once(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.adopt([RULE], -1)
    state.commit(1, {}, [alert(1)], waiting_max=5)
    state.commit(1, {}, [alert(1)], waiting_max=5)
    assert len(state.waiting(9)) == 1
    state.close()


def test_the_oldest_beyond_the_bound_and_beyond_their_time_are_dropped_and_counted(
    tmp_path: Path,
) -> None:
    state = opened(tmp_path)
    state.adopt([RULE, OTHER], -1)
    state.commit(1, {}, [alert(0, OTHER)], waiting_max=2)
    assert state.commit(2, {}, [alert(n) for n in range(1, 6)], waiting_max=2) == 3
    assert [each.alert_id for each in state.waiting(9)] == ["id0", "id4", "id5"]
    assert state.expire(HOOK, 5) == 1
    assert {each.name: each.lost for each in state.rules()} == {"a": 4, "b": 0}
    state.close()


def test_a_target_that_is_down_is_known_until_it_is_up_or_the_process_starts(
    tmp_path: Path,
) -> None:
    state = opened(tmp_path)
    state.set_down(HOOK, "refused", 5)
    state.set_down(HOOK, "too late", 9)
    (down,) = state.down()
    assert (down.reason, down.down_since_ns) == ("too late", 5)
    state.set_up(HOOK)
    assert state.down() == []
    state.set_down(HOOK, "refused", 5)
    state.adopt([RULE], 0)
    assert state.down() == []
    state.close()


def test_others_may_read_while_it_is_written_and_when_it_is_not(tmp_path: Path) -> None:
    assert AlertState.open_existing(tmp_path) is None
    state = opened(tmp_path)
    state.adopt([RULE], 4)
    reader = AlertState.open_existing(tmp_path)
    assert reader is not None
    assert reader.position() == 4
    with pytest.raises(StorageError, match="readonly"):
        reader.adopt([], 0)
    reader.close()
    state.close()
    reader = AlertState.open_existing(tmp_path)
    assert reader is not None
    assert reader.position() == 4
    reader.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.adopt([RULE], 4)

    class Broken(Gate):
        @property
        def window(self):  # type: ignore[override]
            raise RuntimeError("stop")

        @window.setter
        def window(self, value) -> None: ...

    with pytest.raises(RuntimeError):
        state.commit(9, {"a": Broken(RULE)}, [alert(1)], waiting_max=5)
    assert state.position() == 4
    assert state.waiting(9) == []
    state.commit(5, {}, [], waiting_max=5)
    state.close()


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / STATE_NAME).write_bytes(b"not a database, and long enough to be read as one" * 50)
    with pytest.raises(StorageError, match=r"alerts\.sqlite.*remove it"):
        opened(tmp_path)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / STATE_NAME) as database:
        database.execute("pragma user_version = 99")
    database.close()
    with pytest.raises(StorageError, match="newer dejalog"):
        opened(tmp_path)
