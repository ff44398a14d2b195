"""How one alert is delivered: to a webhook, to a command, or to a topic of Kafka (topic.py).

A delivery either succeeds or raises DeliveryError. Nothing here tries twice.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Final, Protocol
from urllib.parse import urlsplit

from dejalog.daemon.alerts.settings import KAFKA_PREFIX, AlertRule, AlertSettings
from dejalog.daemon.alerts.state import WaitingAlert
from dejalog.daemon.excerpt import visible_line
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.secret_settings import shown
from dejalog.indexer.errors import ConfigError, DejalogError

#: How much of what a receiver says becomes part of a reason.
_SAID_CHARS: Final = 200
#: Answers that say "not now": the receiver takes nothing, whichever alert it is.
_BUSY_STATUSES: Final = frozenset({408, 425, 429})
#: What a receiver may ask to wait for at most; it is its own loss.
_RETRY_AFTER_MAX_S: Final = 3600.0


class DeliveryError(DejalogError):
    """An alert did not arrive.

    `is_down` says that another one would not either: the target cannot be reached, or is busy.
    `retry_after_s` is what it asked for, None where it did not.
    """

    def __init__(self, reason: str, *, is_down: bool, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.is_down = is_down
        self.retry_after_s = retry_after_s


class Delivery(Protocol):
    """A way to one target, for one thread; `cancel` and `close` may come from another."""

    def deliver(self, alert: WaitingAlert) -> None:
        """Returns once the alert has arrived; raises DeliveryError."""

    def cancel(self) -> None:
        """Ends a delivery that runs, soon."""

    def close(self) -> None:
        """Gives back what it holds."""


def open_delivery(
    rules: Sequence[AlertRule], settings: AlertSettings, kafka: KafkaSettings
) -> Delivery:
    """Returns the way to the target that these rules have in common; raises ConfigError."""
    rule = rules[0]
    if rule.command:
        return CommandDelivery(rule.command, timeout_s=settings.timeout_s)
    if rule.deliver.startswith(KAFKA_PREFIX):
        from dejalog.daemon.alerts.topic import TopicDelivery

        if not kafka.bootstrap_servers:
            reason = f"{rule.name}: {rule.deliver} needs kafka.bootstrap_servers"
            raise ConfigError("alerts", "queries", reason)
        topic = rule.deliver.removeprefix(KAFKA_PREFIX)
        return TopicDelivery(topic, kafka, timeout_s=settings.timeout_s)
    return WebhookDelivery(
        rule.deliver,
        timeout_s=settings.timeout_s,
        tls_ca=settings.tls_ca,
        secrets={each.name: each.secret for each in rules if each.secret},
    )


def name_of(target: str) -> str:
    """Returns a target as people may see it: without a URL's path, without arguments."""
    if target.startswith("command:"):
        return f"command {target.removeprefix('command:').partition(chr(0))[0]}"
    return str(shown("deliver", target))


def headers_of(alert: WaitingAlert) -> dict[str, str]:
    """Returns what goes beside every alert: the id is the same at each attempt."""
    return {
        "X-Dejalog-Alert-Id": alert.alert_id,
        "X-Dejalog-Rule": alert.rule,
        "X-Dejalog-Attempt": str(alert.attempts + 1),
        "Idempotency-Key": alert.alert_id,
    }


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Returns the HMAC-SHA256 of `timestamp.body` in hexadecimal."""
    signed = timestamp.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class WebhookDelivery:
    """POST with the body as JSON; a connection for each alert. Redirects are not followed.

    `secrets` are those that rules sign with, by the rules' names.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        tls_ca: str = "",
        secrets: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout_s = timeout_s
        self._clock = clock
        self._tls = _tls_context(tls_ca) if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._is_cancelled = False
        self._secrets = secrets or {}

    def deliver(self, alert: WaitingAlert) -> None:
        """Returns once the receiver has answered with a status of 2xx; raises DeliveryError."""
        connection = self._connection = self._connect()
        try:
            if self._is_cancelled:
                raise DeliveryError("the daemon stops", is_down=True)
            connection.request("POST", self._path, alert.body, self._headers(alert))
            answer = connection.getresponse()
            said = answer.read(4 * _SAID_CHARS)
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryError(_reason(error, self._timeout_s), is_down=True) from error
        finally:
            connection.close()
            self._connection = None
        if not 200 <= answer.status < 300:
            raise _refusal(answer, said)

    def cancel(self) -> None:
        """Cuts off the connection."""
        self._is_cancelled = True
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # It has ended by itself.

    def close(self) -> None:
        """There is nothing to give back."""

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._tls
        )

    def _headers(self, alert: WaitingAlert) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"dejalog/{version('dejalog')}",
            **headers_of(alert),
        }
        secret = self._secrets.get(alert.rule)
        if secret:
            timestamp = str(int(self._clock()))
            headers["X-Dejalog-Timestamp"] = timestamp
            headers["X-Dejalog-Signature"] = "sha256=" + signature(secret, timestamp, alert.body)
        return headers


class CommandDelivery:
    """A program for each alert, with the body on its standard input; no shell.

    It has arrived when the program ends with 0. Past `timeout_s` the program, and what it has
    started, is killed.
    """

    def __init__(self, command: tuple[str, ...], *, timeout_s: float) -> None:
        self._command = command
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._is_cancelled = False

    def deliver(self, alert: WaitingAlert) -> None:
        """Returns once the program has ended with 0; raises DeliveryError."""
        if self._is_cancelled:
            raise DeliveryError("the daemon stops", is_down=True)
        about = {
            "DEJALOG_ALERT_ID": alert.alert_id,
            "DEJALOG_ALERT_RULE": alert.rule,
            "DEJALOG_ALERT_ATTEMPT": str(alert.attempts + 1),
        }
        # In a file: what a program says without end must not fill the memory.
        with tempfile.TemporaryFile() as said:
            try:
                process = self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env={**os.environ, **about},
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                reason = f"{self._command[0]} cannot be started: {error}"
                raise DeliveryError(reason, is_down=True) from error
            try:
                code = self._wait(process, alert.body)
            finally:
                self._process = None
            if code:
                raise DeliveryError(f"it ended with {code}{_last_line(said)}", is_down=False)

    def cancel(self) -> None:
        """Kills the program."""
        self._is_cancelled = True
        process = self._process
        if process is not None:
            _kill(process)

    def close(self) -> None:
        """There is nothing to give back."""

    def _wait(self, process: subprocess.Popen[bytes], body: bytes) -> int:
        try:
            process.communicate(body, timeout=self._timeout_s)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            process.communicate()
            reason = f"it did not end within {self._timeout_s:g} s and was killed"
            raise DeliveryError(reason, is_down=True) from error
        if self._is_cancelled:
            raise DeliveryError("the daemon stops", is_down=True)
        return process.returncode


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)  # It leads a group of its own.
    except ProcessLookupError:
        return


def _last_line(said: object) -> str:
    said.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
    said.seek(max(0, said.tell() - 4 * _SAID_CHARS))  # type: ignore[attr-defined]
    lines = said.read().decode(errors="replace").split("\n")  # type: ignore[attr-defined]
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f": {visible_line(last.strip()[:_SAID_CHARS])}" if last else ""


def _tls_context(tls_ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if tls_ca:
        try:
            context.load_verify_locations(tls_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError("alerts", "tls_ca", f"cannot read {tls_ca}: {error}") from error
    return context


def _reason(error: BaseException, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer within {timeout_s:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is it running?"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); set alerts.tls_ca"
    said = str(error) or type(error).__name__
    return visible_line(said[:_SAID_CHARS])


def _refusal(answer: http.client.HTTPResponse, said: bytes) -> DeliveryError:
    status = answer.status
    reason = f"it answered {status} {visible_line(answer.reason[:_SAID_CHARS])}".rstrip()
    if 300 <= status < 400:
        reason += ", and redirects are not followed; set deliver to where it leads"
    elif said.strip():
        first = said.decode(errors="replace").strip().split("\n")[0]
        reason += f": {visible_line(first[:_SAID_CHARS])}"
    is_down = status >= 500 or status in _BUSY_STATUSES
    return DeliveryError(reason, is_down=is_down, retry_after_s=_retry_after_s(answer))


def _retry_after_s(answer: http.client.HTTPResponse) -> float | None:
    """The seconds of a Retry-After header; a date in it is not read."""
    given = answer.getheader("Retry-After", "").strip()
    if not (given.isascii() and given.isdigit()):
        return None
    return min(float(given[:10]), _RETRY_AFTER_MAX_S)
