"""The [kafka] section, checked when it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dejalog.daemon.kafka.templates import check_template
from dejalog.indexer.decode import ENCODINGS
from dejalog.indexer.errors import ConfigError

#: Where a partition begins that has neither a stored position nor an offset of the group.
STARTS = ("earliest", "latest")
#: What `kind` may say of a topic's events; empty leaves it to what each record says.
KINDS = ("", "log", "note")
#: GSSAPI and OAUTHBEARER need libraries that a gateway does not have.
SASL_MECHANISMS = ("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
#: Kafka's own rule for the name of a topic.
_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class TopicRule:
    """Which topics are read, and how their records become events.

    `name` is one topic, `pattern` a regular expression that a topic's whole name must match; one of
    the two. `labels` are templates (templates.py): `{site = "plant-7", asset = "{key}"}`. Raises
    ConfigError.
    """

    name: str = ""
    pattern: str = ""
    encoding: str = "auto"
    kind: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.name) == bool(self.pattern):
            raise _bad("topics", "each topic has either a name or a pattern")
        if self.name and (not _TOPIC_NAME.fullmatch(self.name) or self.name in (".", "..")):
            raise _bad("topics", f"{self.name!r} cannot be the name of a topic")
        if self.encoding not in ENCODINGS:
            known = ", ".join(ENCODINGS)
            raise _bad("topics", f"encoding {self.encoding!r} is none of {known}")
        if self.kind not in KINDS:
            raise _bad("topics", f"kind {self.kind!r} is neither log nor note")
        groups = self._groups()
        for template in self.labels.values():
            problem = check_template(template, groups)
            if problem:
                raise _bad("topics", f"label template {template!r}: {problem}")

    def _groups(self) -> frozenset[str]:
        try:
            return frozenset(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise _bad("topics", f"pattern {self.pattern!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Which broker and topics are read, as which group; no bootstrap servers: Kafka is not used.

    `instance` names this worker to the group (static membership), so that a restart within the
    session timeout moves no partition. `peers` are data directories of the group's other workers on
    this machine: how far a partition is stored there counts, too. With `dead_letter_suffix`, for
    example `.dlq`, dead letters are also produced to the topic of that name. Raises ConfigError.
    """

    bootstrap_servers: tuple[str, ...] = ()
    topics: tuple[TopicRule, ...] = ()
    group: str = "dejalog"
    instance: str = ""
    start: str = "earliest"
    session_timeout_s: float = 10.0
    request_timeout_s: float = 40.0
    metadata_max_age_s: float = 30.0
    commit_interval_s: float = 1.0
    #: What is fetched of one partition at a time; a larger record is still fetched, alone.
    fetch_bytes_max: int = 512 << 10
    #: What may wait between the broker and the pipeline.
    queue_bytes_max: int = 16 << 20
    peers: tuple[str, ...] = ()
    dead_letter_suffix: str = ""
    tls: bool = False
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: str = ""

    def __post_init__(self) -> None:
        for server in self.bootstrap_servers:
            host, colon, port = server.rpartition(":")
            if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
                raise _bad("bootstrap_servers", f"{server!r} is not host:port")
        if self.bootstrap_servers and not self.group:
            raise _bad("group", "must not be empty")
        if self.start not in STARTS:
            raise _bad("start", f"{self.start!r} is neither earliest nor latest")
        suffix = self.dead_letter_suffix
        if suffix and not _TOPIC_NAME.fullmatch(suffix):
            raise _bad("dead_letter_suffix", f"{suffix!r} cannot end the name of a topic")
        self._check_security()

    def _check_security(self) -> None:
        if not self.tls and (self.tls_ca or self.tls_cert or self.tls_key):
            raise _bad("tls", "must be true where a certificate is set")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise _bad("tls_cert", "needs tls_key, and the other way round")
        if self.sasl_mechanism not in SASL_MECHANISMS:
            known = ", ".join(filter(None, SASL_MECHANISMS))
            raise _bad("sasl_mechanism", f"{self.sasl_mechanism!r} is none of {known}")
        if bool(self.sasl_mechanism) != bool(self.sasl_username and self.sasl_password):
            raise _bad("sasl_mechanism", "goes with sasl_username and sasl_password")


def _bad(key: str, reason: str) -> ConfigError:
    return ConfigError("kafka", key, reason)
