"""A worker whose brokers answer with errors: what passes is waited for, what does not ends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from .mock import Api, Fault, MockCluster
from .sent import Sent
from .worker import Worker

#: More in a row than one that tries again once would get over ...
TIMES = 3
#: ... but each of these lets the group form again, which takes the mock cluster a session.
ENDS_MEMBERSHIP = {Fault.REBALANCE_IN_PROGRESS, Fault.UNKNOWN_MEMBER_ID, Fault.ILLEGAL_GENERATION}


@dataclass(frozen=True, slots=True)
class Running:
    """A worker that reads from the mock cluster, and what was sent to it so far."""

    cluster: MockCluster
    worker: Worker
    sent: Sent

    def wait_for_requests(self, api: Api, count: int) -> None:
        """Waits until so many requests have come, however they were answered."""
        self.worker.wait_until(lambda: self.cluster.requests(api) >= count, "it has asked")


@pytest.fixture(scope="module")
def running_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    cluster = MockCluster(3)
    topic = cluster.create_topic(f"faults-{uuid4().hex[:8]}", partitions=2)
    worker = Worker(tmp_path_factory.mktemp("faults"), cluster, [topic], topic)
    yield Running(cluster, worker, Sent(cluster, topic))
    worker.kill()
    cluster.close()


@pytest.fixture(params=["mock"])
def running(running_parts: Running) -> Running:
    """The worker of all these tests, running and idle; one test that fails spoils no other."""
    worker, sent = running_parts.worker, running_parts.sent
    for api in Api:
        running_parts.cluster.clear_errors(api)
    if worker.positions() != sent.ends():
        worker.kill()
    if not worker.is_running():
        worker.start()
        sent.more(10)
    sent.wait_until_stored(worker)
    return running_parts


@pytest.mark.parametrize(
    ("api", "fault"),
    [
        (Api.FETCH, Fault.NOT_LEADER_FOR_PARTITION),
        (Api.FETCH, Fault.CONNECTION_LOST),
        (Api.METADATA, Fault.CONNECTION_LOST),
        (Api.HEARTBEAT, Fault.NOT_COORDINATOR),
        (Api.HEARTBEAT, Fault.REBALANCE_IN_PROGRESS),
        (Api.HEARTBEAT, Fault.UNKNOWN_MEMBER_ID),
        (Api.OFFSET_COMMIT, Fault.COORDINATOR_LOAD_IN_PROGRESS),
        (Api.OFFSET_COMMIT, Fault.ILLEGAL_GENERATION),
    ],
    ids=lambda value: value.name.lower(),
)
def test_a_running_worker_gets_over(running: Running, api: Api, fault: Fault) -> None:
    before = running.cluster.requests(api)
    times = 1 if fault in ENDS_MEMBERSHIP else TIMES
    running.cluster.push_errors(api, *[fault] * times)
    running.sent.more(10)
    running.wait_for_requests(api, before + times)
    running.sent.wait_until_stored(running.worker)
    running.sent.more(10)
    running.sent.wait_until_stored(running.worker)
    running.sent.assert_exactly_once(running.worker)


@pytest.mark.parametrize(
    ("api", "faults"),
    [
        (
            Api.FIND_COORDINATOR,
            (Fault.COORDINATOR_NOT_AVAILABLE, Fault.COORDINATOR_LOAD_IN_PROGRESS),
        ),
        (Api.JOIN_GROUP, (Fault.COORDINATOR_LOAD_IN_PROGRESS, Fault.NOT_COORDINATOR)),
        (Api.SYNC_GROUP, (Fault.NOT_COORDINATOR, Fault.REBALANCE_IN_PROGRESS)),
        (Api.OFFSET_FETCH, (Fault.COORDINATOR_LOAD_IN_PROGRESS, Fault.NOT_COORDINATOR)),
        (Api.LIST_OFFSETS, (Fault.NOT_LEADER_FOR_PARTITION,) * TIMES),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Api) else "",
)
def test_a_worker_that_joins_gets_over_errors_of(
    running: Running, api: Api, faults: tuple[Fault, ...]
) -> None:
    running.worker.stop()
    before = running.cluster.requests(api)
    running.cluster.push_errors(api, *faults)
    running.sent.more(10)
    running.worker.start()
    running.sent.wait_until_stored(running.worker)
    assert running.cluster.requests(api) > before + len(faults)
    running.sent.assert_exactly_once(running.worker)


@pytest.mark.parametrize(
    ("api", "fault"),
    [
        (Api.JOIN_GROUP, Fault.GROUP_AUTHORIZATION_FAILED),
        (Api.FETCH, Fault.TOPIC_AUTHORIZATION_FAILED),
        (Api.OFFSET_COMMIT, Fault.GROUP_AUTHORIZATION_FAILED),
    ],
    ids=lambda value: value.name.lower(),
)
def test_a_worker_that_lacks_a_right_ends_with_the_reason(
    running: Running, api: Api, fault: Fault
) -> None:
    if api is Api.JOIN_GROUP:
        running.worker.stop()
    running.cluster.push_errors(api, *[fault] * 100)
    running.sent.more(10)
    if api is Api.JOIN_GROUP:
        running.worker.start()
    reason = running.worker.ends_with().splitlines()[-1]
    assert "AuthorizationFailed" in reason
    assert running.cluster.bootstrap.split(",")[0] in reason
    running.cluster.clear_errors(api)
    running.worker.start()
    running.sent.wait_until_stored(running.worker)
    running.sent.assert_exactly_once(running.worker)


def test_a_group_whose_coordinator_moves_is_followed(running: Running) -> None:
    for broker in (1, 2):
        running.cluster.set_coordinator(running.sent.topic, broker)
        running.sent.more(10)
        running.sent.wait_until_stored(running.worker)
    running.sent.assert_exactly_once(running.worker)
