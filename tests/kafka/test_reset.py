"""`dejalog kafka reset`: what a person decides when a topic was made anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .endpoint import Endpoint, wait_for
from .worker import Worker

MakeWorker = Callable[..., Worker]


def dejalog(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "worker-0" / "dejalog.toml"
    command = [sys.executable, "-m", "dejalog.daemon", *words, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_after_a_reset_a_topic_made_anew_is_read_from_its_beginning(
    broker: Endpoint, topic: str, make_worker: MakeWorker, tmp_path: Path
) -> None:
    broker.create_topic(topic)
    broker.produce(topic, [b"pump %d of the first topic" % n for n in range(20)])
    worker = make_worker(broker)
    worker.run_to_end(broker, topic)
    broker.delete_topic(topic)
    broker.create_topic(topic)
    broker.produce(topic, [b"pump %d of the second topic" % n for n in range(5)])
    worker.start()
    assert "dejalog kafka reset" in worker.ends_with()

    ran = dejalog(tmp_path, "kafka", "reset", topic)
    assert ran.stdout == f"{topic}/0 is read from 0 on\n", ran.stderr
    worker.start()
    wait_for(lambda: len(worker.events()) == 25, "the second topic is read")
    worker.stop()
    read = [(event.partition, event.offset, event.text) for event in worker.events()[20:]]
    assert read == [("0+1", n, f"pump {n} of the second topic") for n in range(5)]
    assert dejalog(tmp_path, "verify").returncode == 0
    lag = dejalog(tmp_path, "kafka", "lag", "-o", "json")
    assert '"lag":0' in lag.stdout, lag.stderr


def test_nothing_is_reset_while_a_worker_of_the_group_runs(
    broker: Endpoint, topic: str, make_worker: MakeWorker, tmp_path: Path
) -> None:
    broker.create_topic(topic)
    broker.produce(topic, [b"pump on"])
    worker = make_worker(broker)
    worker.start()
    worker.wait_until_at_end(broker, topic)
    ran = dejalog(tmp_path, "kafka", "reset", topic, "--data", str(tmp_path / "another"))
    assert ran.returncode == 3
    assert "stop every worker of the group" in ran.stderr
    worker.stop()


def test_a_topic_or_partition_that_is_not_there_is_named(
    broker: Endpoint, topic: str, make_worker: MakeWorker, tmp_path: Path
) -> None:
    make_worker(broker)
    assert f"no {topic}" in dejalog(tmp_path, "kafka", "reset", topic).stderr
    broker.create_topic(topic)
    ran = dejalog(tmp_path, "kafka", "reset", topic, "--partition", "7")
    assert f"no {topic}/7" in ran.stderr
    assert ran.returncode == 3
