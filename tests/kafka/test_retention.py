"""Records that a broker deletes before a worker has read them: gaps, recorded and counted."""

from __future__ import annotations

from collections.abc import Callable

from .endpoint import Endpoint
from .sent import Sent
from .worker import Worker, place_of

MakeWorker = Callable[..., Worker]


def test_records_deleted_while_the_worker_was_down_are_a_gap(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic, partitions=3)
    sent, worker = Sent(broker, topic), make_worker(broker)
    for partition in range(3):
        sent.more(20, partition)
    worker.run_to_end(broker, topic)
    for partition in range(3):
        sent.more(30, partition)
    # Of one partition the last five are left, of another nothing; the third has lost nothing.
    broker.delete_records(topic, 0, 45)
    broker.delete_records(topic, 1, 50)
    worker.run_to_end(broker, topic)
    gaps = sorted(worker.dead_letters(), key=lambda letter: letter.partition)
    assert [(each.reason, each.partition, each.offset) for each in gaps] == [
        ("gap", "0", 20),
        ("gap", "1", 20),
    ]
    assert "25 records" in gaps[0].detail
    assert "offsets 20 to 44" in gaps[0].detail
    assert "30 records" in gaps[1].detail
    assert worker.status()["dead_letters"] == 2
    # Once noted, they are not noted again.
    for partition in range(3):
        sent.more(1, partition)
    worker.run_to_end(broker, topic)
    assert len(worker.dead_letters()) == 2
    read = sorted(place_of(event)[1:] for event in worker.events())
    kept = {0: [*range(20), *range(45, 51)], 1: [*range(20), 50], 2: range(51)}
    assert read == [(partition, offset) for partition in kept for offset in kept[partition]]


def test_records_deleted_under_a_running_worker_are_a_gap(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic)
    sent, worker = Sent(broker, topic), make_worker(broker)
    sent.more(10)
    worker.start()
    sent.wait_until_stored(worker)
    with worker.frozen():
        # The fetch that was waiting is answered with the first of these at once.
        sent.more(10)
        sent.more(10)
        sent.more(100)
        broker.delete_records(topic, 0, 120)
    sent.wait_until_stored(worker)
    worker.stop()
    read = {place_of(event)[2] for event in worker.events()}
    [letter] = worker.dead_letters()
    assert letter.reason == "gap"
    lost = set(range(letter.offset, 120))
    assert f"offsets {letter.offset} to 119" in letter.detail
    assert not read & lost
    assert read | lost == set(range(130))


def test_records_deleted_before_a_first_start_are_no_gap(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic)
    sent, worker = Sent(broker, topic), make_worker(broker)
    sent.more(20)
    broker.delete_records(topic, 0, 15)
    worker.run_to_end(broker, topic)
    assert [place_of(event)[2] for event in worker.events()] == [15, 16, 17, 18, 19]
    assert worker.dead_letters() == []
