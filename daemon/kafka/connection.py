"""How clients connect: the same settings as keyword arguments of aiokafka and of kafka-python."""

from __future__ import annotations

import ssl
from typing import Any

from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.errors import ConfigError


def security_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Returns the arguments that both libraries spell alike; raises ConfigError on a bad file."""
    arguments: dict[str, Any] = {"security_protocol": _protocol(settings)}
    if settings.tls:
        arguments["ssl_context"] = tls_context(settings)
    if settings.sasl_mechanism:
        arguments["sasl_mechanism"] = settings.sasl_mechanism
        arguments["sasl_plain_username"] = settings.sasl_username
        arguments["sasl_plain_password"] = settings.sasl_password
    return arguments


def client_arguments(settings: KafkaSettings, role: str) -> dict[str, Any]:
    """Returns what every kafka-python client is given; `role` names it in the broker's log."""
    return {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "client_id": f"dejalog-{role}",
        "request_timeout_ms": int(settings.request_timeout_s * 1000),
        **security_arguments(settings),
    }


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Returns a context that checks the broker's name; raises ConfigError on a bad file."""
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError("kafka", "tls_ca", f"cannot read {settings.tls_ca}: {error}") from error
    if settings.tls_cert:
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
        except (OSError, ssl.SSLError) as error:
            files = f"{settings.tls_cert} and {settings.tls_key}"
            reason = f"{files} are not a pair in PEM form: {error}"
            raise ConfigError("kafka", "tls_cert", reason) from error
    return context


def _protocol(settings: KafkaSettings) -> str:
    transport = "SSL" if settings.tls else "PLAINTEXT"
    return f"SASL_{transport}" if settings.sasl_mechanism else transport
