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
    broker.create_topic(topic, partitions=2)
    sent, worker = Sent(broker, topic), make_worker(broker)
    sent.more(20, partition=0)
    sent.more(20, partition=1)
    worker.run_to_end(broker, topic)
    sent.more(30, partition=0)
    broker.delete_records(topic, 0, 45)
    worker.run_to_end(broker, topic)
    [letter] = worker.dead_letters()
    assert (letter.reason, letter.partition, letter.offset) == ("gap", "0", 20)
    assert "25 records" in letter.detail
    assert "offsets 20 to 44" in letter.detail
    offsets = [place_of(event)[2] for event in worker.events() if event.partition == "0"]
    assert offsets == [*range(20), *range(45, 50)]
    assert worker.status()["dead_letters"] == 1
    # Once noted, it is not noted again.
    sent.more(1, partition=0)
    worker.run_to_end(broker, topic)
    assert len(worker.dead_letters()) == 1


def test_a_log_that_was_emptied_meanwhile_is_a_gap_up_to_its_end(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic)
    sent, worker = Sent(broker, topic), make_worker(broker)
    sent.more(10)
    worker.run_to_end(broker, topic)
    sent.more(10)
    broker.delete_records(topic, 0, 20)
    worker.run_to_end(broker, topic)
    [letter] = worker.dead_letters()
    assert (letter.reason, letter.offset) == ("gap", 10)
    sent.more(10)
    worker.run_to_end(broker, topic)
    assert [place_of(e)[2] for e in worker.events()] == [*range(10), *range(20, 30)]


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
