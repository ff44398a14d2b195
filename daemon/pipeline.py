"""A source -> decode -> mask -> append, in two threads.

The reading thread polls the source, decodes, masks and collects batches; the writing thread
encodes and commits them. Between them stands a short queue, so that a slow disk or encoder slows
the source down instead of filling memory. After each commit the source is told what is stored.
An exception in either thread ends the run and is raised by `run`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, Full, Queue
from threading import Event as Flag
from threading import Thread

from dejalog.daemon.sources.source import Source
from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.decode import Decoder
from dejalog.indexer.event import DeadLetter, Position, Record
from dejalog.indexer.mask import mask_pattern

#: Batches that may wait for the writer: one being read, one ready, one being written.
_QUEUE_BATCHES = 1
#: How long a blocked thread waits before it looks whether the run is ending.
_TICK_S = 0.1
#: How often a closed gate (a full disk) is tried again.
_GATE_S = 1.0


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """When a batch is committed: at the first of these bounds.

    A batch holds at most `batch_events` events and about `batch_bytes` of input, and waits no
    longer than `flush_interval_s` for more.
    """

    batch_events: int = 8_192
    batch_bytes: int = 8 << 20
    flush_interval_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has stored so far; a record may hold several events."""

    records: int = 0
    events: int = 0
    dead_letters: int = 0
    new_patterns: int = 0
    skipped_records: int = 0
    void_records: int = 0


@dataclass(slots=True)
class _Pending:
    """The batch being collected."""

    events: list[PreparedEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    records: int = 0
    skipped: int = 0
    void: int = 0
    size_bytes: int = 0
    started_s: float = 0.0


class Pipeline:
    """One run of one source into one appender.

    Before each commit `gate` is asked; while it says no, the writer waits and the source with it.
    `on_dead_letters` is told of a batch's dead letters before its positions are acknowledged.
    """

    def __init__(
        self,
        source: Source,
        decoder: Decoder,
        appender: Appender,
        *,
        settings: PipelineSettings | None = None,
        on_commit: Callable[[Totals], None] | None = None,
        on_dead_letters: Callable[[Sequence[DeadLetter]], None] | None = None,
        gate: Callable[[], bool] | None = None,
    ) -> None:
        self._source = source
        self._decoder = decoder
        self._appender = appender
        self._settings = settings or PipelineSettings()
        self._on_commit = on_commit
        self._on_dead_letters = on_dead_letters
        self._gate = gate
        self._queue: Queue[_Pending | None] = Queue(_QUEUE_BATCHES)
        self._stop = Flag()
        self._failure: BaseException | None = None
        self._offsets: dict[tuple[str, str], int] = {}
        self.totals = Totals()

    def run(self) -> Totals:
        """Runs until the source is exhausted or `stop` is called; everything read is stored.

        But if the gate is closed at a stop, that batch and all after it are dropped, and nothing of
        them is acknowledged: their source gives them again, from the stored positions.
        """
        positions = {(p.source, p.partition): p for p in self._appender.positions()}
        self._offsets = {key: position.offset for key, position in positions.items()}
        self._source.seek(positions)
        writer = Thread(target=self._write, name="append")
        writer.start()
        try:
            self._read()
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._hand_over(None)
            writer.join()
        if self._failure is not None:
            raise self._failure
        return self.totals

    def stop(self) -> None:
        """Asks the run to end after what it has read; safe in a signal handler or thread."""
        self._stop.set()

    def _read(self) -> None:
        pending = _Pending()
        is_finishing = False
        while self._failure is None:
            if self._stop.is_set() and not is_finishing:
                self._source.finish()
                is_finishing = True
            records = self._source.poll(
                records_max=self._settings.batch_events - len(pending.events),
                bytes_max=max(1, self._settings.batch_bytes - pending.size_bytes),
                timeout_s=0.0 if is_finishing else self._wait_s(pending),
            )
            for record in records:
                self._take(record, pending)
            # A finished source has nothing to wait for, so the first empty poll is the last.
            is_over = not records and (is_finishing or self._source.is_exhausted)
            if pending.records and (is_over or self._is_due(pending)):
                self._hand_over(pending)
                pending = _Pending()
            if is_over:
                return

    def _take(self, record: Record, pending: _Pending) -> None:
        key = (record.source, record.partition)
        if not pending.records:
            pending.started_s = time.monotonic()
        pending.records += 1
        pending.size_bytes += len(record.data)
        if record.offset < self._offsets.get(key, record.offset):
            pending.skipped += 1  # Delivered again; its events are stored already.
            return
        self._offsets[key] = record.next_offset
        pending.positions[key] = Position(*key, record.next_offset, record.state)
        if record.is_void:
            pending.void += 1
            return
        decoded = self._decoder.decode(record)
        for event in decoded.events:
            pending.events.append(PreparedEvent(event, mask_pattern(event.text)[0]))
        pending.dead_letters.extend(decoded.dead_letters)

    def _is_due(self, pending: _Pending) -> bool:
        return (
            len(pending.events) >= self._settings.batch_events
            or pending.size_bytes >= self._settings.batch_bytes
            or self._wait_s(pending) <= 0
        )

    def _wait_s(self, pending: _Pending) -> float:
        if not pending.records:
            return self._settings.flush_interval_s
        waited_s = time.monotonic() - pending.started_s
        return max(0.0, self._settings.flush_interval_s - waited_s)

    def _hand_over(self, pending: _Pending | None) -> None:
        while self._failure is None:
            try:
                self._queue.put(pending, timeout=_TICK_S)
            except Full:
                continue
            return

    def _write(self) -> None:
        try:
            is_dropping = False
            while (pending := self._next()) is not None:
                # A later batch must not move the positions past one that was not stored.
                is_dropping = is_dropping or not self._is_let_in()
                if not is_dropping:
                    self._commit(pending)
        except BaseException as error:
            self._failure = error

    def _next(self) -> _Pending | None:
        while True:
            try:
                return self._queue.get(timeout=_TICK_S)
            except Empty:
                continue

    def _is_let_in(self) -> bool:
        while self._gate is not None and not self._gate():
            if self._stop.wait(_GATE_S):
                return False
        return True

    def _commit(self, pending: _Pending) -> None:
        positions = list(pending.positions.values())
        batch = Batch(pending.events, pending.dead_letters, positions)
        appended = self._appender.append(batch)
        if self._on_dead_letters is not None:
            self._on_dead_letters(pending.dead_letters)
        self._source.ack(positions)
        before = self.totals
        self.totals = replace(
            before,
            records=before.records + pending.records,
            events=before.events + appended.events,
            dead_letters=before.dead_letters + appended.dead_letters,
            new_patterns=before.new_patterns + appended.new_patterns,
            skipped_records=before.skipped_records + pending.skipped,
            void_records=before.void_records + pending.void,
        )
        if self._on_commit is not None:
            self._on_commit(self.totals)
