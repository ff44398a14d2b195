from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dejalog.daemon.alerts.deliveries import DeliveryError
from dejalog.daemon.alerts.sender import Sender
from dejalog.daemon.alerts.settings import AlertRule, AlertSettings
from dejalog.daemon.alerts.state import STATE_NAME, AlertState, NewAlert, WaitingAlert

RULE = AlertRule(name="a", query="pump", deliver="http://h/")


class Target:
    """Does with an alert what `outcomes` says of its id, in turn; then it succeeds."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[DeliveryError]] = {}
        self.tried: list[str] = []
        self.arrived: list[str] = []

    def deliver(self, alert: WaitingAlert) -> None:
        self.tried.append(alert.alert_id)
        if self.outcomes.get(alert.alert_id):
            raise self.outcomes[alert.alert_id].pop(0)
        self.arrived.append(alert.alert_id)

    def cancel(self) -> None: ...

    def close(self) -> None: ...


def down(reason: str = "refused") -> DeliveryError:
    return DeliveryError(reason, is_down=True)


def refused(reason: str = "400") -> DeliveryError:
    return DeliveryError(reason, is_down=False)


@contextmanager
def sending(
    tmp_path: Path, target: Target, **changes
) -> Iterator[tuple[AlertState, Sender, list[str]]]:
    state = AlertState(tmp_path / STATE_NAME)
    state.adopt([RULE], -1)
    said: list[str] = []
    faults: list[BaseException] = []
    sender = Sender(
        RULE.target,
        target,
        state,
        AlertSettings(**changes),
        say=said.append,
        on_failure=faults.append,
        retry_first_s=0.01,
    )
    sender.start()
    try:
        yield state, sender, said
    finally:
        assert sender.finish()
        state.close()
    assert not faults


def put(state: AlertState, sender: Sender, *names: str, created_ns: int | None = None) -> None:
    now_ns = time.time_ns() if created_ns is None else created_ns
    alerts = [NewAlert(name, "a", RULE.target, b"{}", now_ns) for name in names]
    state.commit(0, {}, alerts, waiting_max=100)
    sender.notify()


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_target_that_was_down_gets_everything_in_order_and_that_is_told_twice(tmp_path) -> None:
    target = Target()
    target.outcomes = {"1": [down(), down("still"), down()]}
    with sending(tmp_path, target) as (state, sender, said):
        put(state, sender, "1", "2", "3")
        wait(lambda: not state.waiting(9))
        wait(lambda: len(said) == 2)
        assert state.down() == []
    assert target.arrived == ["1", "2", "3"]
    assert target.tried == ["1", "1", "1", "1", "2", "3"]
    assert said[0] == "alerts are not delivered to http://h/ for now, none is lost: refused"
    assert said[1] == "alerts are delivered to http://h/ again"


def test_one_that_is_refused_holds_up_no_other_and_comes_later(tmp_path) -> None:
    target = Target()
    target.outcomes = {"1": [refused(), refused()]}
    with sending(tmp_path, target) as (state, sender, said):
        put(state, sender, "1", "2", "3")
        wait(lambda: not state.waiting(9))
    assert target.arrived == ["2", "3", "1"]
    assert len(said) == 1
    assert said[0].startswith("http://h/ refused an alert of a: 400")


def test_while_a_target_is_down_its_state_says_why(tmp_path) -> None:
    target = Target()
    target.outcomes = {"1": [down("no route")] * 1000}
    with sending(tmp_path, target, retry_max_s=1000.0) as (state, sender, said):
        put(state, sender, "1", "2")
        wait(lambda: bool(state.down()))
        assert state.down()[0].reason == "no route"
        wait(lambda: state.waiting(9)[0].attempts > 1)
        assert [each.attempts for each in state.waiting(9)][1] == 0
        assert len(said) == 1


def test_what_waits_too_long_is_dropped_counted_and_told(tmp_path) -> None:
    target = Target()
    state = AlertState(tmp_path / STATE_NAME)
    state.adopt([RULE], -1)
    state.commit(0, {}, [NewAlert("1", "a", RULE.target, b"{}", 1)], waiting_max=9)
    state.close()
    with sending(tmp_path, target, keep_s=60.0) as (state, sender, said):
        wait(lambda: bool(said))
        put(state, sender, "2")
        wait(lambda: target.arrived == ["2"])
        assert state.rules()[0].lost == 1
    assert said[0].startswith("dropped undelivered: 1 alert to http://h/ that had waited")


def test_what_was_cut_off_by_a_stop_is_delivered_by_the_next_run(tmp_path) -> None:
    class Slow(Target):
        def __init__(self) -> None:
            super().__init__()
            self.begun, self.stop = threading.Event(), threading.Event()

        def deliver(self, alert: WaitingAlert) -> None:
            self.begun.set()
            assert self.stop.wait(30)
            raise down("cut off")

        def cancel(self) -> None:
            self.stop.set()

    slow = Slow()
    with sending(tmp_path, slow) as (state, sender, said):
        put(state, sender, "1")
        assert slow.begun.wait(30)
    assert said == []
    target = Target()
    with sending(tmp_path, target) as (state, _, _):
        wait(lambda: target.arrived == ["1"])


def test_a_pause_that_the_target_asks_for_is_kept(tmp_path) -> None:
    target = Target()
    target.outcomes = {"1": [DeliveryError("busy", is_down=True, retry_after_s=1000.0)]}
    with sending(tmp_path, target) as (state, sender, said):
        put(state, sender, "1")
        wait(lambda: bool(said))
        put(state, sender, "2")
        time.sleep(0.1)
        assert target.tried == ["1"]
