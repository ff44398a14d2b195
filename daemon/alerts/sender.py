"""A thread that delivers what waits for one target, oldest first, for as long as it takes.

Each target has its own, so that one which is down holds up no other, and never ingest. While a
target is down only its oldest alert is tried, after pauses that grow; a refusal of one alert does
not stop the others. A target's state is told when it changes, and not with each attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from dejalog.daemon.alerts.deliveries import Delivery, DeliveryError, name_of
from dejalog.daemon.alerts.settings import AlertSettings
from dejalog.daemon.alerts.state import AlertState, WaitingAlert
from dejalog.daemon.excerpt import grouped

#: The first pause after a failure; each further one is twice as long.
RETRY_FIRST_S: Final = 1.0
#: Alerts that are read at once: a target that comes back takes them one after the other.
_BATCH: Final = 16
#: How often it looks for alerts that have become too old.
_EXPIRE_INTERVAL_S: Final = 60.0
#: The same refusal is not told again for so long.
_REFUSAL_TOLD_S: Final = 3600.0
#: How long a stop waits for deliveries that run: one that is cut off is made once more.
STOP_S: Final = 2.0
#: How long one takes to end that was cut off.
_CUT_OFF_S: Final = 1.0


class Sender:
    """The thread of one target; `on_failure` is called from it when the state cannot be kept."""

    def __init__(
        self,
        target: str,
        delivery: Delivery,
        state: AlertState,
        settings: AlertSettings,
        *,
        say: Callable[[str], None],
        on_failure: Callable[[BaseException], None],
        retry_first_s: float = RETRY_FIRST_S,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._target = target
        self._delivery = delivery
        self._state = state
        self._settings = settings
        self._say = say
        self._on_failure = on_failure
        self._retry_first_s = retry_first_s
        self._clock = clock
        self._told = ""
        self._told_refusal = ("", 0)
        #: Failures in a row that say that the target is down.
        self._failures = 0
        self._next_look_ns = 0
        self._stop = Event()
        self._wake = Event()
        # A delivery that cannot be cut off must not hold up the end of the process.
        self._thread = Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begins with what waits."""
        self._thread.start()

    def notify(self) -> None:
        """Says that there is something new."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after the delivery that runs; never waits."""
        self._stop.set()
        self._wake.set()

    def finish(self, grace_s: float = STOP_S) -> bool:
        """Does that and waits; after `grace_s` a delivery is cut off, and made by the next run.

        Returns whether the thread has ended.
        """
        self.stop()
        if self._thread.is_alive():
            self._thread.join(grace_s)
        self._delivery.cancel()
        if self._thread.is_alive():
            self._thread.join(_CUT_OFF_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                pause_s = self._round()
                if self._failures:
                    self._stop.wait(pause_s)  # New alerts are no reason to hurry.
                else:
                    self._wake.wait(pause_s)
        except BaseException as error:
            # After a stop the state may be closed already.
            if not self._stop.is_set():
                self._on_failure(error)
        finally:
            self._delivery.close()

    def _round(self) -> float:
        """Delivers what is due; returns how long there is nothing to do."""
        self._expire()
        while not self._stop.is_set():
            alerts = self._state.due(self._target, self._clock(), 1 if self._failures else _BATCH)
            if not alerts:
                break
            for alert in alerts:
                if self._stop.is_set():
                    break
                pause_s = self._deliver(alert)
                if pause_s is not None:
                    return pause_s
        return self._idle_s()

    def _deliver(self, alert: WaitingAlert) -> float | None:
        """Returns how long the target is left alone, where it is down."""
        try:
            self._delivery.deliver(alert)
        except DeliveryError as error:
            if self._stop.is_set():
                return None  # It was cut off; that says nothing of the target.
            return self._failed(alert, error)
        self._state.delivered(alert.number)
        self._failures = 0
        if self._told:
            self._told = ""
            self._state.set_up(self._target)
            self._say(f"alerts are delivered to {name_of(self._target)} again")
        return None

    def _failed(self, alert: WaitingAlert, error: DeliveryError) -> float | None:
        if not error.is_down:
            self._refused(alert, error)
            return None
        pause_s = self._pause_s(self._failures, error)
        self._failures += 1
        # The target is waited for, not the alert: nobody overtakes it.
        self._state.failed(alert.number, 0, str(error))
        self._state.set_down(self._target, str(error), self._clock())
        if not self._told:
            self._told = str(error)
            name = name_of(self._target)
            self._say(f"alerts are not delivered to {name} for now, none is lost: {error}")
        return pause_s

    def _refused(self, alert: WaitingAlert, error: DeliveryError) -> None:
        """The target answers, so that the others may go on; this one waits by itself."""
        self._failures = 0
        now_ns = self._clock()
        next_ns = now_ns + int(self._pause_s(alert.attempts, error) * 1e9)
        self._state.failed(alert.number, next_ns, str(error))
        told, told_ns = self._told_refusal
        if told != str(error) or now_ns - told_ns > _REFUSAL_TOLD_S * 1e9:
            self._told_refusal = (str(error), now_ns)
            self._say(
                f"{name_of(self._target)} refused an alert of {alert.rule}: {error}; it is tried "
                f"again for alerts.keep_s ({self._settings.keep_s:g} s)"
            )

    def _pause_s(self, failures: int, error: DeliveryError) -> float:
        pause_s = min(self._settings.retry_max_s, self._retry_first_s * 2.0 ** min(failures, 30))
        return max(pause_s, error.retry_after_s or 0.0)

    def _expire(self) -> None:
        now_ns = self._clock()
        if now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + int(_EXPIRE_INTERVAL_S * 1e9)
        expired = self._state.expire(self._target, now_ns - int(self._settings.keep_s * 1e9))
        if expired:
            self._say(
                f"dropped undelivered: {alerts_of(expired)} to {name_of(self._target)} that had "
                f"waited for alerts.keep_s ({self._settings.keep_s:g} s)"
            )

    def _idle_s(self) -> float:
        """Until the next alert is due, and an interval at most."""
        next_ns = self._state.next_ns(self._target)
        if next_ns is None:
            return _EXPIRE_INTERVAL_S
        due_s = max(0.0, (next_ns - self._clock()) / 1e9)
        return min(due_s, _EXPIRE_INTERVAL_S)


def alerts_of(count: int) -> str:
    """Returns so many alerts in words."""
    return "1 alert" if count == 1 else f"{grouped(count)} alerts"
