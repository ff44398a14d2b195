from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread

import pytest

from dejalog.daemon.config import DataSettings, Settings
from dejalog.daemon.kafka.settings import KafkaSettings, TopicRule
from dejalog.daemon.retrying import DeadLetterRetry, letter_records, try_letters
from dejalog.indexer.append import Batch
from dejalog.indexer.decode import DecodeSettings
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.event import DeadLetter, Kind
from dejalog.indexer.letters import LetterFilter, RetryReport, RetryRunningError

LETTER = DeadLetter(
    "bad-json", "not JSON", b"pump P-101 tripped", 18, 10**18, "kafka:notes.line4", "3", 41, 0,
    b"P-101", (("unit", b"seal"),),
)  # fmt: skip
RULE = TopicRule(
    pattern=r"notes\.(?P<line>\w+)", encoding="text", kind="note",
    labels={"asset": "{key}", "line": "{group:line}", "unit": "{header:unit}"},
)  # fmt: skip


def settings_of(maker, **changes: object) -> Settings:
    return Settings(data=DataSettings(str(maker.path), 0), **changes)


def index_with(make_index, *letters: DeadLetter):
    maker = make_index()
    maker.appender.append(Batch([], letters, []))
    return maker


def test_a_letter_of_a_topic_falls_under_the_topics_present_rule() -> None:
    make = letter_records(Settings(kafka=KafkaSettings(topics=(RULE,))))
    record = make(LETTER)
    assert (record.source, record.partition, record.offset) == ("kafka:notes.line4", "3", 41)
    assert (record.encoding, record.kind, record.data) == ("text", Kind.NOTE, LETTER.data)
    assert record.labels == (("asset", "P-101"), ("line", "line4"), ("unit", "seal"))
    assert (record.received_at_ns, record.headers) == (10**18, LETTER.headers)


def test_a_letter_of_a_topic_that_was_reset_falls_under_its_rule_and_keeps_its_name() -> None:
    """`3+1` was no number, so its rule was passed over: no encoding, no labels."""
    make = letter_records(Settings(kafka=KafkaSettings(topics=(RULE,))))
    assert make(replace(LETTER, partition="3+1")) == replace(make(LETTER), partition="3+1")


def test_any_other_letter_is_decoded_as_the_settings_say() -> None:
    make = letter_records(Settings(kafka=KafkaSettings(topics=(RULE,))))
    record = make(replace(LETTER, source="grpc:cmms"))
    assert (record.source, record.encoding, record.labels, record.kind) == (
        "grpc:cmms", "auto", (), None,
    )  # fmt: skip
    assert (record.data, record.key, record.headers) == (LETTER.data, b"P-101", LETTER.headers)


def test_a_letter_whose_bytes_are_empty_is_decoded_too() -> None:
    """An empty value is no tombstone: it had become a letter."""
    record = letter_records(Settings())(replace(LETTER, data=b"", size_bytes=0))
    assert not record.is_void


def test_a_retry_uses_the_encoding_that_is_set_now(make_index) -> None:
    maker = index_with(make_index, replace(LETTER, source="file"))
    strict = settings_of(maker, decode=DecodeSettings(encoding="json"))
    assert try_letters(strict, maker.directory, LetterFilter()) == RetryReport(still_dead=1)
    retry = DeadLetterRetry(strict, maker.directory, maker.appender)
    assert retry(LetterFilter()) == RetryReport(still_dead=1)
    assert try_letters(settings_of(maker), maker.directory, LetterFilter()).retried == 1
    retry = DeadLetterRetry(settings_of(maker), maker.directory, maker.appender)
    assert retry(LetterFilter(reason="empty")) == RetryReport()
    assert retry(LetterFilter(reason="bad-json")) == RetryReport(retried=1, events=1)


def test_a_second_retry_at_the_same_time_is_refused(make_index) -> None:
    """Both would have found the letter unmarked and stored its event."""
    maker = index_with(make_index, LETTER)
    inside, go_on = Event(), Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(20)

    retry = DeadLetterRetry(settings_of(maker), maker.directory, maker.appender, on_commit=wait)
    reports: list[RetryReport] = []
    thread = Thread(target=lambda: reports.append(retry(LetterFilter())))
    thread.start()
    assert inside.wait(20)
    with pytest.raises(RetryRunningError, match="ask again"):
        retry(LetterFilter())
    go_on.set()
    thread.join()
    assert reports == [RetryReport(retried=1, events=1)]
    assert retry(LetterFilter()) == RetryReport(resolved=1)


def test_on_a_full_disk_nothing_is_stored_and_it_can_be_asked_again(make_index) -> None:
    maker = index_with(make_index, LETTER)
    full = replace(settings_of(maker), data=DataSettings(str(maker.path), 1 << 60))
    with pytest.raises(DataDirectoryError, match="make room"):
        DeadLetterRetry(full, maker.directory, maker.appender)(LetterFilter())
    retry = DeadLetterRetry(settings_of(maker), maker.directory, maker.appender)
    assert retry(LetterFilter()) == RetryReport(retried=1, events=1)


def test_after_finish_nothing_is_retried_any_more(make_index) -> None:
    maker = index_with(make_index, LETTER)
    retry = DeadLetterRetry(settings_of(maker), maker.directory, maker.appender)
    retry.finish()
    assert retry(LetterFilter()) == RetryReport(is_complete=False)


def test_a_caller_who_has_gone_ends_it(make_index) -> None:
    maker = index_with(make_index, LETTER, replace(LETTER, offset=42))
    asked = iter([False, True])
    retry = DeadLetterRetry(settings_of(maker), maker.directory, maker.appender)
    report = retry(LetterFilter(), lambda: next(asked))
    assert report == RetryReport(retried=1, events=1, is_complete=False)
