"""Conversations of the tools with a broker: bounded waiting, and errors that say what to do.

kafka-python reports why a connection fails in its log only, tries again until its time is up, and
then raises that the time is up. So its log is listened to meanwhile, what no further try can mend
ends the tries, and the most telling of the errors is the one that is raised.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dejalog.daemon.excerpt import visible_line
from dejalog.daemon.kafka.connection import client_arguments
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import ConfigError, SourceError

#: How long a broker is tried, in two parts: after the first it is asked whether to go on. A person
#: waits at the other end; a broker that starts takes longer anyway (4 s on two idle cores).
CONNECT_S = (1.0, 4.0)
#: Tries are this far apart, so that a wrong password is sent once or twice, not ten times: brokers
#: lock users out.
_RETRY_S = 0.5
#: An answer that takes longer does not come; the daemon, which waits for a leader, takes longer.
ANSWER_S = 15.0


@contextmanager
def open_admin(settings: KafkaSettings, role: str) -> Iterator[Any]:
    """Yields a connected KafkaAdminClient; what fails in the block is raised as SourceError too.

    Raises ConfigError where no broker is configured or a certificate cannot be read.
    """
    from kafka import KafkaAdminClient

    arguments = tool_arguments(settings, role)
    with one_line_errors(settings):
        admin = connect(settings, KafkaAdminClient, arguments)
        try:
            yield admin
        finally:
            admin.close()


def tool_arguments(settings: KafkaSettings, role: str) -> dict[str, Any]:
    """Returns the arguments of a client for one command; raises ConfigError."""
    if not settings.bootstrap_servers:
        reason = "names no broker; set it in the configuration or with --set " + (
            "kafka.bootstrap_servers=HOST:PORT"
        )
        raise ConfigError("kafka", "bootstrap_servers", reason)
    return {
        **client_arguments(settings, role),
        "request_timeout_ms": int(min(settings.request_timeout_s, ANSWER_S) * 1000),
        "reconnect_backoff_ms": int(_RETRY_S * 1000),
        # A broker that restarts is found again at once; the default waits for up to 30 s.
        "reconnect_backoff_max_ms": int(4 * _RETRY_S * 1000),
    }


def connect(settings: KafkaSettings, kind: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Returns a client of a kind once it is connected; raises SourceError.

    Leaves neither thread nor socket behind where it fails.
    """
    from kafka.errors import KafkaError
    from kafka.net.compat import KafkaNetClient

    with _Complaints() as complaints:
        for part_s in CONNECT_S:
            nets: list[Any] = []

            def make_net(nets: list[Any] = nets, **each: Any) -> Any:
                nets.append(KafkaNetClient(**each))
                return nets[-1]

            try:
                return kind(
                    **arguments,
                    bootstrap_timeout_ms=int(part_s * 1000),
                    kafka_client=make_net,
                )
            except KafkaError as error:
                complaints.note(error)
                with complaints.paused():
                    _close(nets)
                if complaints.is_hopeless:
                    break
        raise SourceError(explain(complaints.worst, settings)) from complaints.worst


def _close(nets: list[Any]) -> None:
    """Ends what a client that could not be made has begun; it offers no way of its own."""
    for net in nets:
        net._manager.close()
        net._net.stop()
        net.close()


@contextmanager
def one_line_errors(
    settings: KafkaSettings, before: Callable[[], str] = lambda: ""
) -> Iterator[None]:
    """Turns what kafka-python raises in the block into a SourceError that says what to do.

    `before` is asked then for how the message begins.
    """
    from kafka.errors import KafkaError

    with _Complaints() as complaints:
        try:
            yield
        except KafkaError as error:
            complaints.note(error)
            text = explain(complaints.worst, settings, is_connected=True)
            raise SourceError(before() + text) from error


def retry_while_starting(call: Callable[[], Any], *, wait_s: float = 10.0) -> Any:
    """Returns what a call returns, asked again while a group's coordinator starts.

    The first question about any group makes the broker create the topic of all groups' offsets,
    and until it has, the answer is an error.
    """
    from kafka import errors

    starting = (
        errors.CoordinatorNotAvailableError,
        errors.CoordinatorLoadInProgressError,
        errors.NotCoordinatorError,
    )
    give_up_s = time.monotonic() + wait_s
    while True:
        try:
            return call()
        except starting:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(0.1)


def explain(
    error: BaseException | None, settings: KafkaSettings, *, is_connected: bool = False
) -> str:
    """Returns what happened, where, and what to do, for an error of kafka-python."""
    from kafka import errors

    at = ", ".join(settings.bootstrap_servers)
    said = _said(error)
    if isinstance(error, errors.SaslAuthenticationFailedError):
        who = f"the broker at {at} refused the user {settings.sasl_username!r}"
        return f"{who} ({said}); check kafka.sasl_username and kafka.sasl_password"
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        what = f"the broker at {at} does not take {settings.sasl_mechanism} passwords"
        return f"{what}; set kafka.sasl_mechanism to what its listener has"
    if isinstance(error, errors.IllegalSaslStateError):
        what = f"the listener at {at} takes no user"
        return f"{what}; name the broker's SASL port, or unset kafka.sasl_mechanism"
    if isinstance(error, errors.AuthorizationError):
        who = f"the user {settings.sasl_username!r}" if settings.sasl_username else "this client"
        return f"the broker at {at} does not let {who} do this ({said}); ask for an ACL that does"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        cause = said.rpartition("verify failed: ")[2]
        what = f"the certificate of the broker at {at} is not trusted ({cause})"
        return f"{what}; set kafka.tls_ca to the file of the authority that signed it"
    if settings.tls and ("SSL" in said or "TLS" in said):
        what = f"no TLS connection to the broker at {at} ({said})"
        return f"{what}; name its TLS port, or set kafka.tls_cert if it asks for a certificate"
    if isinstance(error, errors.InvalidReceiveError) or "socket disconnected" in said:
        what = f"the broker at {at} ends the connection at once"
        if settings.sasl_mechanism:
            # Under load its answer to a wrong password is overtaken by the end of the connection.
            user = f"perhaps it refused the user {settings.sasl_username!r}"
            return f"{what}; {user} (kafka.sasl_password), or its listener wants TLS (kafka.tls)"
        return f"{what}; its listener may want TLS (kafka.tls) or a user (kafka.sasl_mechanism)"
    if isinstance(error, errors.KafkaConnectionError | errors.NodeNotReadyError):
        if is_connected:
            what = f"the broker at {at} is gone, or advertises an address that is out of reach"
            return f"{what} ({said}); see that it runs, and its advertised.listeners"
        what = f"no broker can be reached at {at} ({said})"
        return f"{what}; start it, or correct kafka.bootstrap_servers"
    if isinstance(error, errors.KafkaTimeoutError | errors.RequestTimedOutError):
        return f"the broker at {at} did not answer in time ({said}); look at its log and load"
    return f"the broker at {at} answered: {said}"


def _said(error: BaseException | None) -> str:
    """What an error says without its class, or its class where it says nothing."""
    if error is None:
        return "no reason known"
    text = str(error.args[0]) if error.args else ""
    text = text or getattr(error, "description", None) or type(error).__name__
    text = text.removeprefix(f"{type(error).__name__}: ").removeprefix("Handshake failed: ")
    text = _SSL_PLACE.sub("", text).rstrip(" .")
    return visible_line(_ERRNO.get(text.split(" ")[-1], text))


#: Where in the C source an error of TLS was raised.
_SSL_PLACE = re.compile(r" ?\(_ssl\.c:\d+\)")
#: What kafka-python says of a connection, in the words of the system.
_ERRNO = {
    "ECONNREFUSED": "connection refused",
    "EHOSTUNREACH": "no route to the host",
    "ENETUNREACH": "the network is unreachable",
    "ETIMEDOUT": "connection timed out",
}


class _Complaints(logging.Handler):
    """Listens to kafka-python's log, and keeps the most telling error that it mentions."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.worst: BaseException | None = None
        self._logger = logging.getLogger("kafka")
        self._propagated = True

    def __enter__(self) -> _Complaints:
        self._logger.addHandler(self)
        # Nobody else is to print what is raised as one line here.
        self._propagated, self._logger.propagate = self._logger.propagate, False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagated

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at what would have been written."""
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, BaseException):
                self.note(argument)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Does not listen in the block."""
        self.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            self.setLevel(logging.WARNING)

    def note(self, error: BaseException) -> None:
        """Keeps an error unless a more telling one is known."""
        if self.worst is None or _weight(error) >= _weight(self.worst):
            self.worst = error

    @property
    def is_hopeless(self) -> bool:
        """Whether another try would end the same way."""
        return self.worst is not None and _weight(self.worst) >= _HOPELESS


#: The weight of errors from which on nothing but another setting helps.
_HOPELESS = 3


def _weight(error: BaseException) -> int:
    """How much an error says of the cause: a time that is up nothing, a refused user everything."""
    from kafka import errors

    refusals = (
        errors.SaslAuthenticationFailedError,
        errors.UnsupportedSaslMechanismError,
        errors.IllegalSaslStateError,
        errors.AuthorizationError,
    )
    if isinstance(error, refusals):
        return _HOPELESS + 1
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _HOPELESS
    if isinstance(error, errors.BrokerResponseError) and not error.retriable:
        return 2
    if isinstance(error, errors.KafkaTimeoutError | errors.RequestTimedOutError):
        return 0
    return 1
