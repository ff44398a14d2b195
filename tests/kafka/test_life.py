"""A worker while it is stopped and started, and while its broker is away or comes and goes."""

from __future__ import annotations

import time
from collections.abc import Callable

from .broker import Broker, free_ports
from .endpoint import Endpoint
from .mock import MockCluster
from .sent import Sent
from .worker import Worker

MakeWorker = Callable[..., Worker]

#: Longer than the workers' session: the group has lost its member when the broker is back.
AWAY_S = 5.0


def test_a_stopped_worker_goes_on_where_it_stopped(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic, partitions=2)
    sent, worker = Sent(broker, topic), make_worker(broker)
    sent.more(200)
    worker.run_to_end(broker, topic)
    sent.more(200)
    worker.run_to_end(broker, topic)
    sent.assert_exactly_once(worker)
    assert broker.committed(topic) == worker.positions()


def test_status_tells_how_far_each_partition_is_behind(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic, partitions=2)
    sent, address = Sent(broker, topic), f"127.0.0.1:{free_ports(1)[0]}"
    worker = make_worker(broker, sections={"server": {"listen": address}})
    worker.start()
    sent.more(50)
    sent.wait_until_stored(worker)

    def partitions() -> list[dict[str, object]]:
        return worker.status("--server", address)["partitions"]

    expected = [
        {
            "source": f"kafka:{topic}",
            "partition": str(number),
            "position": end,
            "end": end,
            "lag": 0,
            "lost": 0,
        }
        for (_, number), end in sent.ends().items()
    ]
    worker.wait_until(lambda: partitions() == expected, f"status says {expected}")
    worker.stop()


def test_a_second_worker_on_the_same_data_directory_is_refused(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic)
    sent, first, second = Sent(broker, topic), make_worker(broker), make_worker(broker)
    sent.more(10)
    first.start()
    first.wait_until_at_end(broker, topic)
    second.configure({"data": {"directory": str(first.data)}})
    second.start()
    reason = second.ends_with()
    assert str(first.data) in reason
    assert "Traceback" not in reason
    sent.more(10)
    first.wait_until_at_end(broker, topic)
    first.stop()
    sent.assert_exactly_once(first)


def test_a_worker_without_a_position_begins_where_the_group_is_or_where_it_is_told(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic, partitions=3)
    for partition in range(3):
        broker.produce(topic, [b"old"] * 10, partition=partition)
    broker.commit(topic, topic, {0: 4})
    worker = make_worker(broker, start="latest")
    worker.start()
    # Only what comes after it knows the ends is new to it.
    worker.wait_until(lambda: len(broker.committed(topic)) == 3, "it has begun everywhere")
    assert broker.committed(topic)[topic, 1] == 10
    for partition in (0, 1):
        broker.produce(topic, [b"new"], partition=partition)
    ends = {(topic, 0): 11, (topic, 1): 11}
    worker.wait_until(lambda: worker.positions() == ends, "what is new is stored")
    worker.stop()
    assert worker.texts(topic) == ["old"] * 6 + ["new"] * 2


def test_a_worker_waits_for_a_broker_that_is_not_there_yet(
    own_broker: Broker, topic: str, make_worker: MakeWorker
) -> None:
    own_broker.create_topic(topic)
    sent, worker = Sent(own_broker, topic), make_worker(own_broker)
    sent.more(50)
    own_broker.stop()
    worker.start()
    worker.wait_until(lambda: "no broker at" in worker.said(), "it says that no broker is there")
    assert own_broker.bootstrap in worker.said()
    own_broker.restart()
    worker.wait_until_at_end(own_broker, topic)
    worker.stop()
    sent.assert_exactly_once(worker)


def test_a_worker_reads_on_when_its_broker_is_back_and_ends_while_it_is_away(
    own_broker: Broker, topic: str, make_worker: MakeWorker
) -> None:
    own_broker.create_topic(topic, partitions=2)
    sent, worker = Sent(own_broker, topic), make_worker(own_broker)
    sent.more(100)
    worker.start()
    worker.wait_until_at_end(own_broker, topic)
    own_broker.kill()
    time.sleep(AWAY_S)
    own_broker.restart()
    sent.more(100)
    worker.wait_until_at_end(own_broker, topic)
    own_broker.stop()
    time.sleep(AWAY_S)
    worker.stop()
    sent.assert_exactly_once(worker)


def test_a_change_of_leader_loses_nothing_and_repeats_nothing(
    mock_cluster: MockCluster, topic: str, make_worker: MakeWorker
) -> None:
    mock_cluster.create_topic(topic, partitions=2)
    for partition in range(2):
        mock_cluster.set_leader(topic, partition, 1)
    sent, worker = Sent(mock_cluster, topic), make_worker(mock_cluster)
    mock_cluster.set_coordinator(topic, 3)
    worker.start()
    for leader in (2, 3, 1):
        sent.more(100)
        for partition in range(2):
            mock_cluster.set_leader(topic, partition, leader)
        sent.more(100)
        sent.wait_until_stored(worker)
    worker.stop()
    sent.assert_exactly_once(worker)


def test_a_broker_that_goes_down_is_left_for_the_next_leader(
    mock_cluster: MockCluster, topic: str, make_worker: MakeWorker
) -> None:
    mock_cluster.create_topic(topic, partitions=2)
    sent, worker = Sent(mock_cluster, topic), make_worker(mock_cluster)
    worker.start()
    sent.more(100)
    sent.wait_until_stored(worker)
    for down, leader in ((1, 2), (2, 3)):
        mock_cluster.set_down(down)
        for partition in range(2):
            mock_cluster.set_leader(topic, partition, leader)
        mock_cluster.set_coordinator(topic, leader)
        sent.more(100)
        sent.wait_until_stored(worker)
        mock_cluster.set_up(down)
    worker.stop()
    sent.assert_exactly_once(worker)


def test_a_slow_network_only_makes_it_later(
    mock_cluster: MockCluster, topic: str, make_worker: MakeWorker
) -> None:
    mock_cluster.create_topic(topic, partitions=2)
    sent, worker = Sent(mock_cluster, topic), make_worker(mock_cluster)
    sent.more(500)
    for number in (1, 2, 3):
        mock_cluster.set_rtt(number, 150)
    worker.start()
    sent.wait_until_stored(worker)
    worker.stop()
    sent.assert_exactly_once(worker)
