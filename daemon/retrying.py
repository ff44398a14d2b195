"""Retries dead letters with the settings of this process, for the command line and the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock

from dejalog.daemon.config import Settings
from dejalog.daemon.engine import disk_gate, open_decoder
from dejalog.daemon.kafka.places import place_of
from dejalog.daemon.kafka.rules import TopicRules
from dejalog.indexer.append import Appender
from dejalog.indexer.dead_letters import first_letter, read_mark, select_letters
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.event import DeadLetter, Record
from dejalog.indexer.letters import LetterFilter, RetryReport, RetryRunningError
from dejalog.indexer.retry import retry_letters
from dejalog.indexer.store.directory import DataDirectory


def letter_records(settings: Settings) -> Callable[[DeadLetter], Record]:
    """Returns what makes a record of a letter's bytes again.

    A letter of a Kafka topic falls under the topic's present rule; any other one is decoded as
    `decode.encoding` says, since a letter keeps neither the encoding nor the labels of its record.
    """
    rules = TopicRules(settings.kafka.topics)

    def make(letter: DeadLetter) -> Record:
        place = place_of((letter.source, letter.partition))
        if place is not None:
            made = rules.record(
                topic=place.topic,
                partition=place.partition,
                offset=letter.offset,
                key=letter.key,
                value=letter.data,
                headers=letter.headers,
                received_at_ns=letter.received_at_ns,
            )
            # After a reset the index has another name for it (places.py).
            return replace(made, partition=letter.partition)
        return Record(
            source=letter.source,
            partition=letter.partition,
            offset=letter.offset,
            next_offset=letter.offset,
            data=letter.data,
            received_at_ns=letter.received_at_ns,
            headers=letter.headers,
            key=letter.key,
        )

    return make


def try_letters(settings: Settings, directory: DataDirectory, wanted: LetterFilter) -> RetryReport:
    """Says what a retry would do, and stores nothing."""
    return retry_letters(
        None,
        select_letters(directory, wanted),
        letter_records(settings),
        open_decoder(settings),
        mark=read_mark(directory),
    )


class DeadLetterRetry:
    """Retries with one appender, one retry at a time, on the thread that calls.

    `on_commit` is called after each batch.
    """

    def __init__(
        self,
        settings: Settings,
        directory: DataDirectory,
        appender: Appender,
        *,
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._appender = appender
        self._on_commit = on_commit
        self._has_room = disk_gate(settings, is_fatal=False)
        self._stop = Event()
        self._running = Lock()

    def __call__(
        self, wanted: LetterFilter, is_cancelled: Callable[[], bool] = lambda: False
    ) -> RetryReport:
        """Retries the letters that are meant, until it is cancelled or `finish` is called.

        Raises RetryRunningError, DataDirectoryError where the disk is too full, StorageError.
        """
        if not self._running.acquire(blocking=False):
            raise RetryRunningError
        try:
            self._directory.refresh()
            return retry_letters(
                self._appender,
                select_letters(self._directory, wanted),
                letter_records(self._settings),
                open_decoder(self._settings),
                keep_from=first_letter(self._directory),
                is_stopped=lambda: self._stop.is_set() or is_cancelled(),
                before_commit=self._check_room,
                on_commit=self._on_commit,
            )
        finally:
            self._running.release()

    def finish(self) -> None:
        """Ends a retry that runs after the batch that it is at, and lets none begin any more."""
        self._stop.set()
        with self._running:
            return

    def _check_room(self) -> None:
        if not self._has_room():
            raise DataDirectoryError(
                f"the disk of {self._directory.path} has less free than data.disk_free_bytes_min "
                "asks for; make room and retry: what was stored before is not stored again"
            )
