"""Publishes dead letters of Kafka topics to `<topic><suffix>`, in order and at least once.

A thread of its own walks the dead letters of the index, which are the truth, and produces each to
the topic beside the one that it came from. How far it has come is a position, stored after the
broker has acknowledged: a crash repeats letters and never leaves one out. While the broker is away
or refuses, it stays where it is and ingest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any, Final

from dejalog.daemon.kafka.broker import explain, open_admin
from dejalog.daemon.kafka.outgoing import Outgoing, is_published, lesser, outgoing
from dejalog.daemon.kafka.producing import Arguments, Producing
from dejalog.daemon.kafka.rules import topic_of
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.schedule import print_line
from dejalog.indexer.append import Appender, Batch
from dejalog.indexer.dead_letters import letters_from
from dejalog.indexer.errors import CorruptShardError, DejalogError, SourceError
from dejalog.indexer.event import DeadLetter, Position
from dejalog.indexer.store.directory import DataDirectory

#: The source of the position that says how far this has come; its offset is the next letter.
PUBLISHED_SOURCE: Final = "dejalog:dead-letter-topic"

#: Letters in flight at once; with 64 KiB each, bytes bound it first.
_BATCH_LETTERS: Final = 500
_BATCH_BYTES: Final = 4 << 20
#: Letters that were only passed by, and not published, until that is worth a transaction.
_PASSED_MAX: Final = 10_000
#: How often it looks when nobody has told it of a commit.
_INTERVAL_S: Final = 5.0
#: A broker that is away is tried again after so long, and each time twice as long.
_AWAY_S: Final = (1.0, 30.0)
#: A refusal stands until a person has changed something.
_REFUSED_S: Final = 60.0
#: How long a topic's partitions are asked for; a stop waits for it.
_METADATA_S: Final = 5.0
#: Within the time of one request and this, records are sent again before that counts as a failure.
_RESENT_S: Final = 5.0
#: The bound of a topic that was not configured otherwise is 1 MiB, and for the broker to apply.
_REQUEST_BYTES_MAX: Final = 64 << 20


class DeadLetterTopic:
    """The thread; for settings with a `dead_letter_suffix`.

    `on_failure` is called from it when the index cannot be read or written; what the broker does
    is told by `say`, once until it changes.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        directory: DataDirectory,
        appender: Appender,
        on_failure: Callable[[BaseException], None],
        *,
        say: Callable[[str], None] = print_line,
        interval_s: float = _INTERVAL_S,
        refused_s: float = _REFUSED_S,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._appender = appender
        self._on_failure = on_failure
        self._say = say
        self._interval_s = interval_s
        self._refused_s = refused_s
        self._away_s = _AWAY_S[0]
        self._told = ""
        #: Letters up to this one are sent one by one, to find the one that is refused.
        self._careful_until = -1
        self._stored = self._next = _published(appender)
        self._wake = Event()
        self._stop = Event()
        self._producing = Producing(settings, "dead-letters", adapt=self._adapted, stop=self._stop)
        self._thread = Thread(target=self._run, name="dead-letter-topic")

    def start(self) -> None:
        """Begins with the first letter that is not published yet."""
        self._thread.start()

    def notify(self) -> None:
        """Says that something was committed; never waits."""
        self._wake.set()

    def finish(self) -> None:
        """Ends soon; what is not acknowledged by then is published by the next run."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            for damaged in self._directory.damaged.values():
                self._say(f"its dead letters are not published to Kafka: {damaged}")
            while not self._stop.is_set():
                self._wake.clear()
                wait_s = self._round()
                if wait_s is None:
                    self._wake.wait(self._interval_s)
                else:
                    self._stop.wait(wait_s)  # Commits go on meanwhile, and are no reason to hurry.
        except BaseException as error:
            self._on_failure(error)
        finally:
            self._producing.disconnect()

    def _round(self) -> float | None:
        """Publishes all there is; returns how long to wait after a failure, or None."""
        while not self._stop.is_set():
            letters, reached = self._read()
            if not letters:
                self._reach(reached, is_due=reached - self._stored >= _PASSED_MAX)
                return None
            wait_s = self._deliver(letters, reached)
            if wait_s is not None:
                return wait_s
        return None

    def _deliver(self, letters: Sequence[tuple[int, DeadLetter]], reached: int) -> float | None:
        from kafka.errors import KafkaError

        try:
            self._producing.connect()
            failed = self._publish(letters)
        except (SourceError, KafkaError) as error:
            return self._failed(error, letters[0][1])
        if failed is None:
            self._reach(reached, is_due=True)
            self._recovered()
            return None
        number, letter, reason = failed
        if number > letters[0][0]:
            self._reach(number, is_due=True)
        if _is_of_record(reason) and self._careful_until < number:
            self._careful_until = letters[-1][0]
            self._producing.disconnect()
            return None
        return self._failed(reason, letter)

    def _read(self) -> tuple[list[tuple[int, DeadLetter]], int]:
        """The next letters to publish, and the number behind the last one that was looked at."""
        letters: list[tuple[int, DeadLetter]] = []
        size, reached = 0, self._next
        try:
            for number, letter in letters_from(self._directory, self._next):
                if self._stop.is_set():
                    break
                reached = number + 1
                if is_published(letter, self._settings.dead_letter_suffix):
                    letters.append((number, letter))
                    size += len(letter.data)
                is_full = len(letters) >= _BATCH_LETTERS or size >= _BATCH_BYTES
                if is_full or (letters and letters[0][0] <= self._careful_until):
                    break
        except CorruptShardError as error:
            if not letters:
                self._next = self._behind_damage(reached, error)
                return self._read()
        return letters, reached

    def _behind_damage(self, number: int, error: CorruptShardError) -> int:
        """The first letter of the next shard, since one bad page must not end ingest at each start.

        Raises the error where that shard is appended to.
        """
        starts = [shard.header.first_dead_letter for shard in self._directory.shards]
        behind = [start for start in starts if start > number]
        if not behind:
            raise error
        numbers = f"{number} to {behind[0] - 1}"
        self._say(f"dead letters {numbers} are not published to Kafka: {error}")
        return behind[0]

    def _reach(self, number: int, *, is_due: bool) -> None:
        self._next = number
        if is_due and number > self._stored:
            position = Position(PUBLISHED_SOURCE, "", number)
            self._appender.append(Batch([], [], [position]))
            self._stored = number

    def _publish(
        self, letters: Sequence[tuple[int, DeadLetter]]
    ) -> tuple[int, DeadLetter, BaseException] | None:
        """Sends and waits for all; returns the first that failed, behind which some may be there.

        Raises KafkaError where nothing can be sent at all.
        """
        from kafka.errors import KafkaError

        is_careful = letters[0][0] <= self._careful_until
        sent: list[Any] = []
        failure: BaseException | None = None
        for number, letter in letters:
            try:
                sent.append(self._send(outgoing(number, letter, self._settings)))
            except KafkaError as error:
                failure = error
                break
        outcomes = [*(self._producing.outcome(future) for future in sent), failure]
        for (number, letter), outcome in zip(letters, outcomes, strict=False):
            if outcome is None:
                continue
            reason: BaseException | None = outcome
            if is_careful and _is_of_record(outcome):
                reason = self._publish_lesser(number, letter)
            return None if reason is None else (number, letter, reason)
        return None

    def _publish_lesser(self, number: int, letter: DeadLetter) -> BaseException | None:
        # An idempotent producer takes nothing more once a record was refused for good.
        self._producing.disconnect()
        return self._producing.outcome(self._send(lesser(number, letter, self._settings)))

    def _send(self, record: Outgoing) -> Any:
        producer = self._producing.connect()
        partitions = producer.partitions_for(record.topic)
        return producer.send(
            record.topic,
            value=record.value,
            key=record.key,
            headers=list(record.headers),
            # A topic with fewer partitions: one key's letters still keep their order.
            partition=record.partition if record.partition in partitions else None,
            timestamp_ms=record.timestamp_ms,
        )

    def _adapted(self, arguments: Arguments) -> Arguments:
        return {
            "delivery_timeout_ms": arguments["request_timeout_ms"] + int(_RESENT_S * 1000),
            "max_block_ms": int(_METADATA_S * 1000),
            "max_request_size": _REQUEST_BYTES_MAX,
        }

    def _failed(self, error: BaseException, letter: DeadLetter) -> float:
        """Tells what is wrong unless that is known; returns how long to wait."""
        if self._stop.is_set():
            return 0.0
        topic = (topic_of(letter.source) or "") + self._settings.dead_letter_suffix
        is_missing = self._is_missing(error, topic)
        self._producing.disconnect()
        if is_missing:
            text = (
                f"there is no topic {topic}, or this user may not see it; make it with "
                "'dejalog kafka topics create'"
            )
        else:
            text = str(error) if isinstance(error, DejalogError) else explain(error, self._settings)
        kind = f"missing {topic}" if is_missing else type(error).__name__
        if kind != self._told:
            self._told = kind
            self._say(f"dead letters are not published to {topic} for now, none is lost: {text}")
        if is_missing or not (isinstance(error, SourceError) or getattr(error, "retriable", False)):
            return self._refused_s
        wait_s, self._away_s = self._away_s, min(_AWAY_S[1], 2 * self._away_s)
        return wait_s

    def _is_missing(self, error: BaseException, topic: str) -> bool:
        """Whether the broker answers, and the topic is not there."""
        from kafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

        if not isinstance(error, KafkaTimeoutError | UnknownTopicOrPartitionError):
            return False
        # kafka-python asks for a missing topic until its time is up, as for a missing broker.
        try:
            with open_admin(self._settings, "dead-letters") as admin:
                return bool(topic not in admin.list_topics())
        except SourceError:
            return False

    def _recovered(self) -> None:
        self._away_s = _AWAY_S[0]
        if self._told:
            self._told = ""
            self._say("dead letters are published again")


def _published(appender: Appender) -> int:
    """The next letter to publish; all that there are, if none ever was."""
    for position in appender.positions():
        if position.source == PUBLISHED_SOURCE:
            return position.offset
    return 0


def _is_of_record(error: BaseException) -> bool:
    """Whether the broker would take another record in this one's place."""
    from kafka import errors

    return isinstance(
        error,
        errors.MessageSizeTooLargeError
        | errors.RecordListTooLargeError
        | errors.InvalidTimestampError
        | errors.InvalidRecordError
        | errors.CorruptRecordError,
    )
