"""Brokers for the tests of this folder, real and mock, each named as such in the tests' ids.

The tests run where Java and Maven are there, or where DEJALOG_TEST_KAFKA names a broker; elsewhere
they are skipped, which the last lines of a run say. With CI=true they fail instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from .broker import Broker
from .endpoint import Endpoint
from .jars import KafkaUnavailableError
from .mock import MockCluster
from .worker import Worker

_FOLDER = Path(__file__).parent
#: A broker that is already there, as host:port.
NAMED_BROKER = os.environ.get("DEJALOG_TEST_KAFKA", "")
#: A test waits for groups, which take seconds to form and to miss a member.
_TEST_S = 300


#: Half of the time goes to these modules; most of it is waiting, so halves run side by side.
_SECOND_HALF = {
    "test_broker",
    "test_coordinator",
    "test_dead_letter_topic",
    "test_security",
    "test_tools",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With --dist loadgroup, keeps the tests on two workers at most, each with one broker."""
    for item in items:
        if item.path.is_relative_to(_FOLDER):
            half = 2 if item.path.stem in _SECOND_HALF else 1
            item.add_marker(pytest.mark.xdist_group(f"kafka-{half}"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_TEST_S))


@pytest.fixture(scope="session", params=["real"])
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One broker for all tests; each makes topics and groups of its own."""
    if NAMED_BROKER:
        yield Endpoint(NAMED_BROKER)
        return
    yield from _running(tmp_path_factory.mktemp("kafka"))


@pytest.fixture(params=["real"])
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that the test may stop and kill."""
    if NAMED_BROKER:
        _unavailable(f"{NAMED_BROKER} is not for a test to stop; unset DEJALOG_TEST_KAFKA")
    (tmp_path / "kafka").mkdir()
    yield from _running(tmp_path / "kafka")


@pytest.fixture
def secure_broker(broker: Endpoint) -> Broker:
    """The broker of all tests, where it has listeners with TLS and SASL."""
    if not isinstance(broker, Broker):
        _unavailable(f"{broker.bootstrap} has no user and certificate for tests")
    if broker.certificates is None:
        _unavailable("there is no openssl to make certificates with; install openssl")
    return broker


@pytest.fixture(params=["mock"])
def mock_cluster() -> Iterator[MockCluster]:
    """Three fake brokers, whose faults the test commands."""
    cluster = MockCluster(3)
    yield cluster
    cluster.close()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, of a topic or of a group; nothing is made."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:80].strip("-")
    return f"{name}-{os.urandom(4).hex()}"


@pytest.fixture
def make_worker(tmp_path: Path, topic: str) -> Iterator[Callable[..., Worker]]:
    """Returns a function that makes workers, which are not started; those that run are killed.

    Each has a data directory of its own; all are in one group, which has the topic's name.
    """
    made: list[Worker] = []

    def make(
        endpoint: Endpoint | str,
        topics: Sequence[str | Mapping[str, object]] = (topic,),
        **settings: object,
    ) -> Worker:
        folder = tmp_path / f"worker-{len(made)}"
        made.append(Worker(folder, endpoint, topics, **{"group": topic, **settings}))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()


def _running(folder: Path) -> Iterator[Broker]:
    try:
        running = Broker(folder)
        running.start()
    except KafkaUnavailableError as error:
        _unavailable(str(error))
    yield running
    # What it holds is thrown away with its folder.
    running.kill()


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Kafka, and CI may not do without: {reason}", pytrace=False)
    pytest.skip(f"no Kafka: {reason}")
