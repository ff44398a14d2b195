from __future__ import annotations

import inspect
import ssl
import subprocess
from pathlib import Path

import pytest

from dejalog.daemon.kafka.connection import client_arguments, security_arguments, tls_context
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import ConfigError

# kafka-python reads its own files through a function that Python 3.11 to 3.12 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

USER = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "worker", "sasl_password": "secret"}


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two certificates that signed themselves, and their keys."""
    folder = tmp_path_factory.mktemp("pem")
    for name in ("one", "two"):
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ),
                *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
                *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"tls": True}, "SSL"),
        (USER, "SASL_PLAINTEXT"),
        ({"tls": True, **USER}, "SASL_SSL"),
    ],
)
def test_both_libraries_take_every_argument(fields, protocol: str) -> None:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from kafka import KafkaAdminClient, KafkaProducer

    settings = KafkaSettings(bootstrap_servers=("one:9092", "two:9092"), **fields)
    arguments = security_arguments(settings)
    assert arguments["security_protocol"] == protocol
    assert ("ssl_context" in arguments) is settings.tls
    for kind in (AIOKafkaConsumer, AIOKafkaProducer):
        assert arguments.keys() <= inspect.signature(kind.__init__).parameters.keys()
    for kind in (KafkaAdminClient, KafkaProducer):
        assert client_arguments(settings, "test").keys() <= kind.DEFAULT_CONFIG.keys()


def test_a_client_names_itself_and_asks_all_servers() -> None:
    settings = KafkaSettings(bootstrap_servers=("one:9092", "two:9092"), request_timeout_s=12.5)
    arguments = client_arguments(settings, "lag")
    assert arguments["client_id"] == "dejalog-lag"
    assert arguments["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert arguments["request_timeout_ms"] == 12_500


def test_user_and_password_go_through_unchanged() -> None:
    arguments = security_arguments(KafkaSettings(**USER))
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-256"
    assert arguments["sasl_plain_username"] == "worker"
    assert arguments["sasl_plain_password"] == "secret"


def test_the_brokers_certificate_and_its_name_are_always_checked(pem: Path) -> None:
    context = tls_context(KafkaSettings(tls=True, tls_ca=str(pem / "one.pem")))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [dict(pair[0] for pair in ca["subject"]) for ca in context.get_ca_certs()] == [
        {"commonName": "one"}
    ]


def test_a_certificate_of_ones_own_is_shown_to_the_broker(pem: Path) -> None:
    cert, key = str(pem / "one.pem"), str(pem / "one.key")
    context = tls_context(KafkaSettings(tls=True, tls_ca=cert, tls_cert=cert, tls_key=key))
    assert isinstance(context, ssl.SSLContext)


@pytest.mark.parametrize(
    ("ca", "cert", "key", "setting"),
    [
        ("none.pem", "one.pem", "one.key", "tls_ca"),
        ("one.key", "one.pem", "one.key", "tls_ca"),
        ("one.pem", "one.pem", "two.key", "tls_cert"),
        ("one.pem", "none.pem", "one.key", "tls_cert"),
        ("one.pem", "one.key", "one.pem", "tls_cert"),
    ],
)
def test_a_file_that_does_not_serve_is_named(
    pem: Path, ca: str, cert: str, key: str, setting: str
) -> None:
    settings = KafkaSettings(
        tls=True, tls_ca=str(pem / ca), tls_cert=str(pem / cert), tls_key=str(pem / key)
    )
    with pytest.raises(ConfigError) as caught:
        security_arguments(settings)
    assert (caught.value.origin, caught.value.key) == ("kafka", setting)
    assert str(pem / (ca if setting == "tls_ca" else cert)) in caught.value.reason
