"""Listeners with passwords and TLS: a worker reads there, or ends with a reason that helps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .broker import PASSWORD, USER, Broker
from .sent import Sent
from .worker import Worker

MakeWorker = Callable[..., Worker]


def settings_for(broker: Broker, listener: str, mechanism: str = "") -> dict[str, object]:
    """The [kafka] keys that a listener wants."""
    files = broker.certificates
    assert files is not None
    settings: dict[str, object] = {}
    if listener != "SASL":
        settings |= {"tls": True, "tls_ca": str(files.authority)}
    if listener == "MUTUAL":
        settings |= {"tls_cert": str(files.client), "tls_key": str(files.client_key)}
    if mechanism:
        settings |= {
            "sasl_mechanism": mechanism,
            "sasl_username": USER,
            "sasl_password": PASSWORD,
        }
    return settings


@pytest.mark.parametrize(
    ("listener", "mechanism"),
    [
        ("SASL", "PLAIN"),
        ("SASL", "SCRAM-SHA-512"),
        ("MUTUAL", ""),
        ("SASLTLS", "SCRAM-SHA-256"),
    ],
    ids=lambda value: value.lower() or "certificate",
)
def test_a_worker_with_the_right_papers_reads(
    secure_broker: Broker, topic: str, make_worker: MakeWorker, listener: str, mechanism: str
) -> None:
    secure_broker.create_topic(topic)
    sent = Sent(secure_broker, topic)
    sent.more(20)
    settings = settings_for(secure_broker, listener, mechanism)
    worker = make_worker(secure_broker.listener(listener), **settings)
    worker.run_to_end(secure_broker, topic)
    sent.assert_exactly_once(worker)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_wrong_password_ends_a_worker_with_the_reason(
    secure_broker: Broker, make_worker: MakeWorker, mechanism: str
) -> None:
    settings = settings_for(secure_broker, "SASLTLS", mechanism) | {"sasl_password": "wrong"}
    worker = make_worker(secure_broker.listener("SASLTLS"), **settings)
    worker.start()
    reason = last_line(worker)
    assert secure_broker.listener("SASLTLS") in reason
    assert "uthentication" in reason or USER in reason
    assert "wrong" not in reason.split()


def test_a_broker_with_an_unknown_authority_is_not_trusted(
    secure_broker: Broker, make_worker: MakeWorker
) -> None:
    assert secure_broker.certificates is not None
    settings = settings_for(secure_broker, "TLS")
    settings["tls_ca"] = str(secure_broker.certificates.other_authority)
    worker = make_worker(secure_broker.listener("TLS"), **settings)
    worker.start()
    reason = last_line(worker)
    assert secure_broker.listener("TLS") in reason
    assert "certificate" in reason


def test_a_worker_without_the_certificate_that_is_asked_for_says_what_is_wrong(
    secure_broker: Broker, make_worker: MakeWorker
) -> None:
    worker = make_worker(secure_broker.listener("MUTUAL"), **settings_for(secure_broker, "TLS"))
    worker.start()
    # A broker that ends connections may also be one that starts; so it is tried again.
    worker.wait_until(lambda: "no broker at" in worker.said(), "it says that it is not let in")
    assert "tls_cert" in worker.said() or "TLS" in worker.said()
    worker.stop()


def last_line(worker: Worker) -> str:
    said = worker.ends_with()
    assert "Traceback" not in said
    return said.splitlines()[-1]
