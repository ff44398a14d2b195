"""Two workers with data directories of their own share one group and its four partitions."""

from __future__ import annotations

from collections.abc import Callable

from .endpoint import Endpoint
from .sent import Sent
from .worker import Worker

MakeWorker = Callable[..., Worker]

PARTITIONS = 4
#: Small enough that a kill falls between batches that are stored and offsets that are committed.
BATCHES = {"ingest": {"batch_events": 50, "flush_interval_s": 0.02}}


def wait_until_shared(broker: Endpoint, group: str, worker: Worker, members: int) -> None:
    """Waits until so many members have all partitions between them, each the same number."""

    def is_shared() -> bool:
        shares = broker.members(group)
        return [len(share) for share in shares] == [PARTITIONS // members] * members

    worker.wait_until(is_shared, f"{members} workers share the partitions")


def test_a_worker_that_joins_and_leaves_loses_and_repeats_nothing(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic, PARTITIONS)
    sent = Sent(broker, topic)
    first, second = make_pair(broker, make_worker, are_peers=False)
    first.start()
    with sent.flowing():
        wait_until_shared(broker, topic, first, 1)
        second.start()
        wait_until_shared(broker, topic, first, 2)
        sent.wait_for_more(300)
        second.stop()
        wait_until_shared(broker, topic, first, 1)
        sent.wait_for_more(300)
    sent.wait_until_stored(first, second)
    first.stop()
    assert first.events()
    assert second.events()
    sent.assert_exactly_once(first, second)


def test_a_worker_that_is_killed_and_comes_back_has_shared_exactly_with_its_peer(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic, PARTITIONS)
    sent = Sent(broker, topic)
    # Commits are so rare that what the group knows is far behind what is stored.
    first, second = make_pair(broker, make_worker, are_peers=True, commit_interval_s=5.0)
    first.start()
    second.start()
    with sent.flowing():
        wait_until_shared(broker, topic, first, 2)
        sent.wait_for_more(300)
        second.kill()
        wait_until_shared(broker, topic, first, 1)
        sent.wait_for_more(300)
        second.start()
        wait_until_shared(broker, topic, first, 2)
        sent.wait_for_more(300)
    sent.wait_until_stored(first, second)
    first.stop()
    second.stop()
    sent.assert_exactly_once(first, second)


def test_a_worker_that_is_gone_for_good_is_replaced_without_its_data_directory(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    """The partitions are read on from what the group knows: never later than what was stored."""
    broker.create_topic(topic, PARTITIONS)
    sent = Sent(broker, topic)
    first, second = make_pair(broker, make_worker, are_peers=False)
    first.start()
    second.start()
    with sent.flowing():
        wait_until_shared(broker, topic, first, 2)
        sent.wait_for_more(300)
        second.kill()
        wait_until_shared(broker, topic, first, 1)
        sent.wait_for_more(300)
    sent.wait_until_stored(first)
    first.stop()
    sent.assert_none_missing(first, second)


def test_a_worker_that_was_frozen_past_its_session_joins_again(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    """What it had read before it froze may be in both indexes: nobody could ask it."""
    broker.create_topic(topic, PARTITIONS)
    sent = Sent(broker, topic)
    first, second = make_pair(broker, make_worker, are_peers=False)
    first.start()
    second.start()
    with sent.flowing():
        wait_until_shared(broker, topic, first, 2)
        sent.wait_for_more(300)
        with second.frozen():
            wait_until_shared(broker, topic, first, 1)
            sent.wait_for_more(300)
        wait_until_shared(broker, topic, first, 2)
        sent.wait_for_more(300)
    sent.wait_until_stored(first, second)
    first.stop()
    second.stop()
    sent.assert_none_missing(first, second)


def make_pair(
    broker: Endpoint, make_worker: MakeWorker, *, are_peers: bool, **kafka: object
) -> tuple[Worker, Worker]:
    pair = [make_worker(broker, sections=BATCHES, **kafka) for _ in range(2)]
    if are_peers:
        for one, other in (pair, pair[::-1]):
            one.configure({"kafka": {"peers": (str(other.data),)}})
    return pair[0], pair[1]
