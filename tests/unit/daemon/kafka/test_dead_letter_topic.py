"""What the thread does where there is no broker; tests/kafka has one."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import pytest

from dejalog.daemon.kafka import dead_letter_topic
from dejalog.daemon.kafka.dead_letter_topic import PUBLISHED_SOURCE, DeadLetterTopic
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.indexer.append import Appender, Batch
from dejalog.indexer.errors import StorageError
from dejalog.indexer.event import DeadLetter, Position
from dejalog.indexer.store.directory import DataDirectory

SETTINGS = KafkaSettings(
    bootstrap_servers=("127.0.0.1:1",), group="plant-7", dead_letter_suffix=".dlq"
)
LETTER = DeadLetter(
    "bad-json", "not JSON: \u00e9", b"{x", 2, 1_700_000_000_123_456_789, "kafka:logs", "3", 41, 2,
    b"P-101", (("trace", b"\x00"), ("trace", b"\x01")),
)  # fmt: skip


def position_of(maker) -> list[int]:
    return [p.offset for p in maker.appender.positions() if p.source == PUBLISHED_SOURCE]


def started(maker, **options) -> DeadLetterTopic:
    thread = DeadLetterTopic(SETTINGS, maker.directory, maker.appender, **options)
    thread.start()
    return thread


def test_other_sources_letters_cost_a_transaction_only_now_and_then(
    make_index, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = make_index()
    letters = [replace(LETTER, source="file", offset=n) for n in range(5)]
    maker.appender.append(Batch([], letters, []))
    failures: list[BaseException] = []
    looked = Event()
    real = dead_letter_topic.letters_from

    def letters_from(directory, first):
        yield from real(directory, first)
        looked.set()

    monkeypatch.setattr(dead_letter_topic, "letters_from", letters_from)
    thread = started(maker, on_failure=failures.append)
    assert looked.wait(20)
    thread.finish()
    assert position_of(maker) == []
    monkeypatch.setattr(dead_letter_topic, "_PASSED_MAX", 5)
    looked.clear()
    thread = started(maker, on_failure=failures.append)
    assert looked.wait(20)
    thread.finish()
    assert position_of(maker) == [5]
    assert failures == []


def test_it_goes_on_at_its_position(make_index, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = make_index()
    maker.appender.append(Batch([], [LETTER], [Position(PUBLISHED_SOURCE, "", 1)]))
    asked: list[int] = []
    looked = Event()

    def letters_from(directory, first):
        asked.append(first)
        looked.set()
        return iter(())

    monkeypatch.setattr(dead_letter_topic, "letters_from", letters_from)
    thread = started(maker, on_failure=lambda _: None, interval_s=0.01)
    assert looked.wait(20)
    thread.finish()
    assert set(asked) == {1}


def test_an_index_that_cannot_be_read_ends_the_process(
    make_index, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = make_index()
    failed = Event()
    failures: list[BaseException] = []

    def letters_from(directory, first):
        raise StorageError("the disk is gone")

    def on_failure(error: BaseException) -> None:
        failures.append(error)
        failed.set()

    monkeypatch.setattr(dead_letter_topic, "letters_from", letters_from)
    thread = started(maker, on_failure=on_failure)
    assert failed.wait(20)
    thread.finish()
    assert str(failures[0]) == "the disk is gone"


def test_damage_in_an_old_shard_is_said_and_passed_by(make_index) -> None:
    """One bad page ended the daemon, and again at each start."""
    maker = make_index()
    maker.appender.append(Batch([], [LETTER, LETTER], []))
    maker.appender.seal()
    maker.appender.append(Batch([], [replace(LETTER, source="file")], []))
    path = maker.directory.shards[0].path / "data.mdb"
    maker.directory.close()
    data = path.read_bytes()
    at = data.rindex(b"not JSON")
    path.write_bytes(data[:at] + b"NOT" + data[at + 3 :])
    said: list[str] = []
    failures: list[BaseException] = []
    with DataDirectory.open(maker.path, is_writable=True) as directory:
        appender = Appender(directory, maker.encoder)
        thread = DeadLetterTopic(
            SETTINGS, directory, appender, failures.append, say=said.append, interval_s=0.01
        )
        letters, reached = thread._read()
        assert (letters, reached) == ([], 3)
        assert len(said) == 1
        assert said[0].startswith("dead letters 0 to 1 are not published to Kafka: shard")
        thread.start()
        thread.finish()
    assert failures == []


def test_a_shard_that_cannot_be_opened_is_named(make_index) -> None:
    maker = make_index()
    maker.appender.append(Batch([], [LETTER], []))
    maker.appender.seal()
    path = maker.directory.shards[0].path / "data.mdb"
    maker.directory.close()
    path.unlink()
    told = Event()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        told.set()

    with DataDirectory.open(maker.path, is_writable=True) as directory:
        appender = Appender(directory, maker.encoder)
        thread = DeadLetterTopic(SETTINGS, directory, appender, lambda _: None, say=say)
        thread.start()
        assert told.wait(20)
        thread.finish()
    assert "its dead letters are not published to Kafka: shard" in said[0]


def test_one_that_never_started_can_be_finished(make_index) -> None:
    maker = make_index()
    thread = DeadLetterTopic(SETTINGS, maker.directory, maker.appender, lambda _: None)
    thread.notify()
    thread.finish()
