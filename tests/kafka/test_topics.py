"""Topics that are missing, appear, grow, vanish and come back as others."""

from __future__ import annotations

from collections.abc import Callable

from .endpoint import Endpoint
from .sent import Sent
from .worker import Worker

MakeWorker = Callable[..., Worker]


def test_a_missing_topic_is_named_and_read_once_it_exists(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    late = f"{topic}-late"
    broker.create_topic(topic)
    sent, worker = Sent(broker, topic), make_worker(broker, [topic, late])
    worker.start()
    worker.wait_until(lambda: late in worker.said(), "the missing topic is named")
    sent.more(10)
    sent.wait_until_stored(worker)
    broker.create_topic(late, partitions=2)
    sent_late = Sent(broker, late)
    sent_late.more(10)
    sent_late.wait_until_stored(worker)
    worker.stop()
    sent.assert_exactly_once(worker)
    sent_late.assert_exactly_once(worker)


def test_a_pattern_finds_topics_and_partitions_that_are_made_later(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    first, second = f"{topic}.1", f"{topic}.2"
    broker.create_topic(first)
    broker.create_topic(f"{topic}-other")
    broker.produce(f"{topic}-other", [b"not asked for"])
    labels = {"line": "{group:line}"}
    worker = make_worker(broker, [{"pattern": rf"{topic}\.(?P<line>\d)", "labels": labels}])
    worker.start()
    both = [Sent(broker, first), Sent(broker, second)]
    both[0].more(10)
    both[0].wait_until_stored(worker)
    broker.create_topic(second)
    broker.add_partitions(first, 3)
    for sent in both:
        sent.more(30)
        sent.wait_until_stored(worker)
    worker.stop()
    for sent in both:
        sent.assert_exactly_once(worker)
    assert {topic for topic, _ in worker.positions()} == {first, second}
    assert {dict(event.labels)["line"] for event in worker.events()} == {"1", "2"}


def test_a_topic_made_anew_while_the_worker_was_down_ends_it_with_the_reason(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic)
    sent, worker = Sent(broker, topic), make_worker(broker)
    sent.more(20)
    worker.run_to_end(broker, topic)
    broker.delete_topic(topic)
    broker.create_topic(topic)
    broker.produce(topic, [b"another line 0"])
    worker.start()
    reason = worker.ends_with().splitlines()[-1]
    assert f"{topic}/0" in reason
    assert "made anew" in reason
    assert "dejalog kafka reset" in reason
    # Nothing was taken from the other topic under the old one's positions.
    sent.assert_exactly_once(worker)
    assert worker.positions() == {(topic, 0): 20}


def test_a_topic_made_anew_under_a_running_worker_ends_it_with_the_reason(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    broker.create_topic(topic)
    sent, worker = Sent(broker, topic), make_worker(broker)
    sent.more(20)
    worker.start()
    sent.wait_until_stored(worker)
    broker.delete_topic(topic)
    broker.create_topic(topic)
    broker.produce(topic, [b"another line 0"] * 5)
    assert "made anew" in worker.ends_with().splitlines()[-1]
    sent.assert_exactly_once(worker)


def test_a_deleted_topic_ends_nothing(
    broker: Endpoint, topic: str, make_worker: MakeWorker
) -> None:
    doomed = f"{topic}-doomed"
    broker.create_topic(topic)
    broker.create_topic(doomed)
    sent, sent_doomed = Sent(broker, topic), Sent(broker, doomed)
    worker = make_worker(broker, [topic, doomed])
    worker.start()
    for each in (sent, sent_doomed):
        each.more(10)
        each.wait_until_stored(worker)
    broker.delete_topic(doomed)
    worker.wait_until(lambda: f"{doomed} does not exist" in worker.said(), "it is missed")
    sent.more(10)
    sent.wait_until_stored(worker)
    worker.stop()
    sent.assert_exactly_once(worker)
    sent_doomed.assert_exactly_once(worker)
