from __future__ import annotations

import gc
import logging
import socket
from collections.abc import Iterator

import pytest

from dejalog.daemon.kafka import broker
from dejalog.daemon.kafka.broker import explain, one_line_errors, open_admin, retry_while_starting
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import ConfigError, SourceError

pytestmark = [
    # kafka-python reads its own files through a function that Python 3.11 to 3.12 calls deprecated.
    pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning"),
    # It leaves the socket of a connection that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

SETTINGS = KafkaSettings(
    bootstrap_servers=("gw:9092",),
    sasl_mechanism="PLAIN",
    sasl_username="worker",
    sasl_password="secret",
)
TLS = KafkaSettings(bootstrap_servers=("gw:9093",), tls=True)
UNTRUSTED = (
    "Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "self-signed certificate (_ssl.c:1006)"
)


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which nobody listens, held so that nobody else is given it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "text", "settings", "said"),
    [
        (
            "SaslAuthenticationFailedError",
            "SaslAuthenticationFailedError: Authentication failed: Invalid username or password",
            SETTINGS,
            "the broker at gw:9092 refused the user 'worker' (Authentication failed: Invalid "
            "username or password); check kafka.sasl_username and kafka.sasl_password",
        ),
        (
            "UnsupportedSaslMechanismError",
            "",
            SETTINGS,
            "the broker at gw:9092 does not take PLAIN passwords; set kafka.sasl_mechanism to what "
            "its listener has",
        ),
        (
            "TopicAuthorizationFailedError",
            "topic logs",
            SETTINGS,
            "the broker at gw:9092 does not let the user 'worker' do this (topic logs); ask for an "
            "ACL that does",
        ),
        (
            "KafkaConnectionError",
            UNTRUSTED,
            TLS,
            "the certificate of the broker at gw:9093 is not trusted (self-signed certificate); "
            "set kafka.tls_ca to the file of the authority that signed it",
        ),
        (
            "KafkaConnectionError",
            "111 ECONNREFUSED",
            TLS,
            "no broker can be reached at gw:9093 (connection refused); start it, or correct "
            "kafka.bootstrap_servers",
        ),
        (
            "KafkaConnectionError",
            "socket disconnected",
            KafkaSettings(bootstrap_servers=("gw:9092",)),
            "the broker at gw:9092 ends the connection at once; its listener may want TLS "
            "(kafka.tls) or a user (kafka.sasl_mechanism)",
        ),
        (
            "InvalidReplicationFactorError",
            "only 1 broker",
            SETTINGS,
            "the broker at gw:9092 answered: only 1 broker",
        ),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(
    name: str, text: str, settings: KafkaSettings, said: str
) -> None:
    from kafka import errors

    error = getattr(errors, name)(*([text] if text else []))
    assert explain(error, settings) == said


def test_what_a_broker_says_cannot_steer_a_terminal() -> None:
    from kafka import errors

    said = explain(errors.PolicyViolationError("no\x1b[2J\nway"), SETTINGS)
    assert said.isprintable()


def complaint_of(settings: KafkaSettings) -> str:
    try:
        with open_admin(settings, "test"):
            pytest.fail("it was reached")
    except SourceError as error:
        return str(error)


def test_no_broker_at_the_address_is_told_within_the_time(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broker, "CONNECT_S", (0.2, 0.2))
    settings = KafkaSettings(bootstrap_servers=(f"127.0.0.1:{port}",))
    said = complaint_of(settings)
    gc.collect()
    assert said.startswith(f"no broker can be reached at 127.0.0.1:{port} (connection refused)")
    # What is raised in one line is not printed in ten lines besides.
    assert [each for each in caplog.records if each.name.startswith("kafka")] == []
    assert logging.getLogger("kafka").propagate


def test_without_a_broker_in_the_configuration_nothing_is_tried() -> None:
    with pytest.raises(ConfigError, match="bootstrap_servers: names no broker"):
        open_admin(KafkaSettings(), "test").__enter__()


def test_the_cause_in_the_log_is_told_rather_than_the_time_that_is_up() -> None:
    from kafka import errors

    refused = errors.SaslAuthenticationFailedError("Authentication failed")

    def connect() -> None:
        logging.getLogger("kafka.net.manager").warning("connection to %s failed: %s", 1, refused)
        raise errors.KafkaTimeoutError("Unable to bootstrap")

    with (
        pytest.raises(SourceError, match=r"so far 3: .* refused the user 'worker'"),
        one_line_errors(SETTINGS, lambda: "so far 3: "),
    ):
        connect()


def test_errors_of_our_own_go_through_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors(SETTINGS):
        raise ZeroDivisionError


def test_a_coordinator_that_starts_is_asked_again() -> None:
    from kafka import errors

    answers = [errors.CoordinatorNotAvailableError, errors.CoordinatorLoadInProgressError, None]

    def ask() -> str:
        error = answers.pop(0)
        if error is not None:
            raise error
        return "offsets"

    assert retry_while_starting(ask) == "offsets"
    assert answers == []


def test_a_coordinator_that_never_comes_ends_the_waiting() -> None:
    from kafka import errors

    def ask() -> None:
        raise errors.CoordinatorNotAvailableError

    with pytest.raises(errors.CoordinatorNotAvailableError):
        retry_while_starting(ask, wait_s=0.0)
