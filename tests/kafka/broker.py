"""Apache Kafka itself: one node that is broker and controller, on loopback, in a folder of its own.

The node has five listeners, so that one process serves all tests: plain, SASL, TLS, TLS that asks
for the client's certificate, and SASL over TLS.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .certificates import Certificates, make_certificates
from .endpoint import Endpoint, wait_for
from .jars import class_path, java

USER = "gateway"
PASSWORD = "plant-7-secret"

#: Below what Linux gives to outgoing connections: while the broker is away, a client of the same
#: machine could otherwise be given its port.
_PORTS = range(15_000, 32_000)
#: A start takes 4 s on two idle cores; tests may keep both busy.
_START_S = 90.0
_STOP_S = 30.0

_LISTENERS = {
    "PLAIN": "PLAINTEXT",
    "SASL": "SASL_PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "SASLTLS": "SASL_SSL",
}

_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN

# One broker has one copy of everything.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
default.replication.factor=1
auto.create.topics.enable=false

# A killed broker is let in again after its last session, 9 s by default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# Groups form at once, and a member that was killed is missed soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500

# Records may be as old as the logs that they come from.
log.retention.ms=-1
# Old segments are compacted and deleted while a test waits for it.
log.initial.task.delay.ms=100
log.cleaner.backoff.ms=100
log.retention.check.interval.ms=200
log.segment.delete.delay.ms=100
# On the heap from the start, 128 MB by default.
log.cleaner.dedupe.buffer.size=2097152

message.max.bytes=16777216
socket.request.max.bytes=33554432
num.network.threads=1
num.io.threads=2
background.threads=2
"""

_LOGGING = """
rootLogger.level=WARN
rootLogger.appenderRef.stdout.ref=STDOUT
appender.stdout.type=Console
appender.stdout.name=STDOUT
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d %p %c{1} %m%n
"""

_JAVA_FLAGS = (
    "-Xmx256m",
    # Neither many threads nor the best machine code pay in a process that lives for a minute.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
)


class BrokerError(Exception):
    """The broker did not start or not stop; the message ends with what it logged last."""


class Broker(Endpoint):
    """A broker that can be stopped, killed and started again with the same ports and data."""

    def __init__(self, folder: Path) -> None:
        """Formats the storage; raises KafkaUnavailableError where that cannot be done here."""
        logging = f"-Dlog4j2.configurationFile={folder}/log4j2.properties"
        self._command = [java(), *_JAVA_FLAGS, logging, "-cp", class_path()]
        ports = free_ports(len(_LISTENERS) + 1)
        self._addresses = dict(zip((*_LISTENERS, "CONTROLLER"), ports, strict=True))
        super().__init__(self.listener("PLAIN"))
        self.certificates: Certificates | None = None
        if shutil.which("openssl"):
            self.certificates = make_certificates(folder / "certificates")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._format()

    def listener(self, name: str) -> str:
        """Returns the address of one of the listeners: PLAIN, SASL, TLS, MUTUAL, SASLTLS."""
        return f"127.0.0.1:{self._addresses[name]}"

    def start(self) -> None:
        """Starts the process, and returns when it answers; raises BrokerError."""
        with (self._folder / "broker.log").open("ab") as log:
            command = [*with_us(), *self._command, "kafka.Kafka", "server.properties"]
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        try:
            wait_for(self._has_answered, "the broker answers", _START_S)
        except AssertionError as error:
            self._end(signal.SIGKILL)
            raise BrokerError(f"{error}; {self._log_tail()}") from None

    def stop(self) -> None:
        """Asks the process to end, and waits until it has."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process at once, as a power cut does; its data stays."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts again what was stopped or killed."""
        assert self._process is None
        self.start()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise BrokerError(f"the broker did not stop; {self._log_tail()}") from None

    def _has_answered(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise BrokerError(f"the broker ended at its start; {self._log_tail()}")
        try:
            return bool(AdminClient(self._settings()).list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def _format(self) -> None:
        (self._folder / "server.properties").write_text(self._properties())
        (self._folder / "log4j2.properties").write_text(_LOGGING)
        # Any 16 bytes in base 64 can name a cluster.
        tool = ["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", "A" * 22]
        tool += ["--config", "server.properties"]
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            tool += ["--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]"]
        ran = subprocess.run(
            [*self._command, *tool],
            cwd=self._folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=_START_S,
        )
        if ran.returncode:
            raise BrokerError(f"the storage could not be formatted: {ran.stdout}{ran.stderr}")

    def _properties(self) -> str:
        names = [name for name in self._addresses if self.certificates or "SSL" not in _map(name)]
        lines = [
            _SETTINGS,
            f"log.dirs={self._folder}/data",
            f"controller.quorum.bootstrap.servers={self.listener('CONTROLLER')}",
            f"listeners={','.join(f'{name}://{self.listener(name)}' for name in names)}",
            f"listener.security.protocol.map={','.join(f'{n}:{_map(n)}' for n in names)}",
        ]
        for name in (name for name in names if name.startswith("SASL")):
            lines += _sasl(f"listener.name.{name.lower()}.")
        if self.certificates is not None:
            lines += _tls(self.certificates)
        return "\n".join(lines)

    def _log_tail(self) -> str:
        return f"its log ends with:\n{(self._folder / 'broker.log').read_text()[-4000:]}"


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on, and that nobody is given by chance."""
    found: dict[int, socket.socket] = {}
    try:
        while len(found) < count:
            port = random.SystemRandom().choice(_PORTS)
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                candidate.close()
                continue
            found[port] = candidate
    finally:
        for each in found.values():
            each.close()
    return list(found)


def with_us() -> list[str]:
    """Returns how a command begins that is to end when these tests end, however they do."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def _map(name: str) -> str:
    return _LISTENERS.get(name, "PLAINTEXT")


def _sasl(prefix: str) -> list[str]:
    module = "org.apache.kafka.common.security"
    plain = f'{module}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    lines = [
        f"{prefix}sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{prefix}plain.sasl.jaas.config={plain}",
    ]
    for mechanism in ("scram-sha-256", "scram-sha-512"):
        jaas = f"{module}.scram.ScramLoginModule required;"
        lines.append(f"{prefix}{mechanism}.sasl.jaas.config={jaas}")
    return lines


def _tls(certificates: Certificates) -> list[str]:
    both = certificates.broker.with_name("broker-with-key.pem")
    both.write_bytes(certificates.broker_key.read_bytes() + certificates.broker.read_bytes())
    return [
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={both}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={certificates.authority}",
        "listener.name.mutual.ssl.client.auth=required",
    ]
