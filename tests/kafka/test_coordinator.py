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
    """The worker of all these tests, running and idle; a test that ended it spoils no other."""
    for api in Api:
        running_parts.cluster.clear_errors(api)
    if not running_parts.worker.is_running():
        running_parts.worker.start()
    running_parts.sent.more(10)
    running_parts.sent.wait_until_stored(running_parts.worker)
    return running_parts


@pytest.mark.parametrize(
    ("api", "fault"),
    [
        (Api.FETCH, Fault.NOT_LEADER_FOR_PARTITION),
        (Api.FETCH, Fault.UNKNOWN_SERVER_ERROR),
        (Api.FETCH, Fault.CONNECTION_LOST),
        (Api.METADATA, Fault.CONNECTION_LOST),
        (Api.HEARTBEAT, Fault.NOT_COORDINATOR),
        (Api.HEARTBEAT, Fault.COORDINATOR_NOT_AVAILABLE),
        (Api.HEARTBEAT, Fault.REBALANCE_IN_PROGRESS),
        (Api.HEARTBEAT, Fault.UNKNOWN_MEMBER_ID),
        (Api.HEARTBEAT, Fault.CONNECTION_LOST),
        (Api.OFFSET_COMMIT, Fault.NOT_COORDINATOR),
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
    running.worker.wait_until(
        lambda: running.cluster.requests(api) >= before + times, "the errors have been answered"
    )
    running.sent.more(10)
    running.sent.wait_until_stored(running.worker)
    running.sent.assert_exactly_once(running.worker)


@pytest.mark.parametrize(
    ("api", "fault"),
    [
        (Api.FIND_COORDINATOR, Fault.COORDINATOR_NOT_AVAILABLE),
        (Api.JOIN_GROUP, Fault.NOT_COORDINATOR),
        (Api.JOIN_GROUP, Fault.COORDINATOR_LOAD_IN_PROGRESS),
        (Api.JOIN_GROUP, Fault.UNKNOWN_MEMBER_ID),
        (Api.SYNC_GROUP, Fault.REBALANCE_IN_PROGRESS),
        (Api.SYNC_GROUP, Fault.NOT_COORDINATOR),
        (Api.OFFSET_FETCH, Fault.COORDINATOR_LOAD_IN_PROGRESS),
        (Api.OFFSET_FETCH, Fault.NOT_COORDINATOR),
        (Api.LIST_OFFSETS, Fault.NOT_LEADER_FOR_PARTITION),
    ],
    ids=lambda value: value.name.lower(),
)
def test_a_worker_that_joins_gets_over(running: Running, api: Api, fault: Fault) -> None:
    before = running.cluster.requests(api)
    running.cluster.push_errors(api, *[fault] * TIMES)
    # The member that is thrown out joins again.
    running.cluster.push_errors(Api.HEARTBEAT, Fault.UNKNOWN_MEMBER_ID)
    running.sent.more(10)
    running.worker.wait_until(
        lambda: running.cluster.requests(api) > before + TIMES, "the errors have been answered"
    )
    running.sent.wait_until_stored(running.worker)
    running.sent.more(10)
    running.sent.wait_until_stored(running.worker)
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
def test_a_worker_that_may_not_read_says_so_and_ends(
    running: Running, api: Api, fault: Fault
) -> None:
    running.cluster.push_errors(api, *[fault] * 100)
    running.cluster.push_errors(Api.HEARTBEAT, Fault.UNKNOWN_MEMBER_ID)
    running.sent.more(10)
    said = running.worker.ends_with()
    last = said.splitlines()[-1]
    assert "AuthorizationFailed" in last
    assert running.cluster.bootstrap.split(",")[0] in last
    running.cluster.clear_errors(api)
    running.worker.start()
    running.sent.wait_until_stored(running.worker)
    running.sent.assert_exactly_once(running.worker)


def test_a_group_whose_coordinator_moves_is_followed(running: Running) -> None:
    group = running.sent.topic
    for broker in (1, 2, 3):
        running.cluster.set_coordinator(group, broker)
        running.sent.more(10)
        running.sent.wait_until_stored(running.worker)
    running.sent.assert_exactly_once(running.worker)
