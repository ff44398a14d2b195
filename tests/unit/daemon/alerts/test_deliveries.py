from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import threading
from pathlib import Path

import pytest

from dejalog.daemon.alerts.deliveries import (
    CommandDelivery,
    DeliveryError,
    WebhookDelivery,
    name_of,
    open_delivery,
    signature,
)
from dejalog.daemon.alerts.settings import AlertRule, AlertSettings
from dejalog.daemon.alerts.state import WaitingAlert
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import ConfigError

from .receiver import receiving


def alert(attempts: int = 0) -> WaitingAlert:
    body = json.dumps({"summary": "pump dry"}).encode()
    return WaitingAlert(1, "id1", "a", "http://h/", body, 0, attempts, 0, "")


def refused(delivery, status_of=None) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        delivery.deliver(alert())
    return caught.value


def test_a_webhook_gets_the_body_with_its_id_and_signature() -> None:
    with receiving() as receiver:
        delivery = WebhookDelivery(
            f"{receiver.url}?room=7", timeout_s=5, secrets={"a": "s3cret"}, clock=lambda: 1234.9
        )
        delivery.deliver(alert(attempts=2))
        ((headers, body),) = receiver.requests
    assert json.loads(body) == {"summary": "pump dry"}
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Dejalog-Alert-Id"] == headers["Idempotency-Key"] == "id1"
    assert headers["X-Dejalog-Attempt"] == "3"
    expected = hmac.new(b"s3cret", b"1234." + body, hashlib.sha256).hexdigest()
    assert headers["X-Dejalog-Signature"] == f"sha256={expected}"
    assert headers["X-Dejalog-Timestamp"] == "1234"
    assert signature("s3cret", "1234", body) == expected


def test_without_a_secret_nothing_is_signed() -> None:
    with receiving() as receiver:
        WebhookDelivery(receiver.url, timeout_s=5).deliver(alert())
        assert "X-Dejalog-Signature" not in receiver.requests[0][0]


@pytest.mark.parametrize(
    ("status", "is_down"),
    [(500, True), (503, True), (429, True), (408, True), (400, False), (404, False), (302, False)],
)
def test_an_answer_says_whether_the_target_or_the_alert_is_at_fault(status, is_down) -> None:
    with receiving() as receiver:
        receiver.answers = [(status, {"Location": "http://127.0.0.1:1/", "Retry-After": "7"})]
        error = refused(WebhookDelivery(receiver.url, timeout_s=5))
        assert len(receiver.requests) == 1, "a redirect must not be followed"
    assert str(status) in str(error)
    assert (error.is_down, error.retry_after_s) == (is_down, 7.0)


def test_a_receiver_that_is_not_there_or_does_not_answer_is_down() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        error = refused(WebhookDelivery(url, timeout_s=5))
        assert error.is_down
        assert "refused" in str(error)
        sock.listen()
        error = refused(WebhookDelivery(url, timeout_s=0.1))
        assert error.is_down
        assert "within 0.1 s" in str(error)


def test_what_is_not_http_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x00\x1b]0;title\x07 not http\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        error = refused(WebhookDelivery(url, timeout_s=5))
        thread.join()
    assert error.is_down
    assert "\x1b" not in str(error)


def test_a_delivery_that_is_cancelled_ends_at_once() -> None:
    with receiving() as receiver:
        receiver.gate.clear()
        delivery = WebhookDelivery(receiver.url, timeout_s=60)
        errors: list[DeliveryError] = []
        thread = threading.Thread(target=lambda: errors.append(refused(delivery)))
        thread.start()
        while not (delivery._connection and delivery._connection.sock):
            pass
        delivery.cancel()
        thread.join(20)
        assert errors
    assert refused(delivery).is_down


def python(code: str, timeout_s: float = 20) -> CommandDelivery:
    return CommandDelivery((sys.executable, "-c", code), timeout_s=timeout_s)


def test_a_command_gets_the_body_on_its_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import os, sys; open(sys.argv[1], 'w').write(sys.stdin.read() + ' ' + "
        "os.environ['DEJALOG_ALERT_ID'] + os.environ['DEJALOG_ALERT_ATTEMPT'])"
    )
    # One argument stays one argument: there is no shell that would cut or run it.
    target = tmp_path / "a b; touch c"
    CommandDelivery((sys.executable, "-c", code, str(target)), timeout_s=20).deliver(alert())
    assert target.read_text() == '{"summary": "pump dry"} id11'
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b; touch c"]


def test_a_command_that_fails_is_refused_with_its_last_words() -> None:
    error = refused(python("import sys; print('first', file=sys.stderr); sys.exit('no pager')"))
    assert not error.is_down
    assert str(error) == "it ended with 1: no pager"


def test_a_command_that_does_not_read_its_input_may_succeed() -> None:
    python("pass").deliver(alert())


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "time.sleep(60)"
    )
    error = refused(python(code, timeout_s=0.5))
    assert error.is_down
    assert "within 0.5 s" in str(error)


def test_a_command_that_is_not_there_is_down() -> None:
    error = refused(CommandDelivery(("/no/such/program",), timeout_s=5))
    assert error.is_down
    assert "/no/such/program cannot be started" in str(error)


def test_targets_are_named_without_what_is_secret() -> None:
    assert name_of("https://h.example/hooks/T0/x?key=1") == "https://h.example/(set)"
    assert name_of("command:/bin/page\0--password\0x") == "command /bin/page"
    assert name_of("kafka:alerts") == "kafka:alerts"


def test_a_way_is_opened_for_each_kind_of_target() -> None:
    settings = AlertSettings()
    hook = AlertRule(name="a", query="x", deliver="https://h/")
    assert isinstance(open_delivery([hook], settings, KafkaSettings()), WebhookDelivery)
    command = AlertRule(name="a", query="x", command=("y",))
    assert isinstance(open_delivery([command], settings, KafkaSettings()), CommandDelivery)
    topic = AlertRule(name="a", query="x", deliver="kafka:y")
    with pytest.raises(ConfigError, match=r"needs kafka\.bootstrap_servers"):
        open_delivery([topic], settings, KafkaSettings())
    with pytest.raises(ConfigError, match="tls_ca"):
        open_delivery([hook], AlertSettings(tls_ca="/no/such/file"), KafkaSettings())
