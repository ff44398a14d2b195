from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dejalog.daemon.pipeline import Pipeline, PipelineSettings, Totals
from dejalog.daemon.sources.source import Positions, Progress
from dejalog.daemon.sources.stdin import StdinSource
from dejalog.indexer.append import Appender, Batch
from dejalog.indexer.decode import Decoder
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Position, Record
from dejalog.indexer.store.directory import DataDirectory


class ListSource:
    """Hands out records from a list; remembers what it was told."""

    name = "list"

    def __init__(self, records: Sequence[Record], *, ends: bool = True) -> None:
        self._records = list(records)
        self._ends = ends
        self.acked: list[Position] = []
        self.sought: dict[tuple[str, str], Position] = {}

    def seek(self, positions: Positions) -> None:
        self.sought = dict(positions)

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        assert records_max > 0
        assert bytes_max > 0
        if not self._records and not self._ends:
            time.sleep(min(timeout_s, 0.01))
        taken, self._records = self._records[:records_max], self._records[records_max:]
        return taken

    @property
    def is_exhausted(self) -> bool:
        return self._ends and not self._records

    def finish(self) -> None:
        self._records, self._ends = [], True

    def ack(self, positions: Sequence[Position]) -> None:
        self.acked += positions

    def close(self) -> None: ...

    def progress(self) -> Progress:
        return Progress()


def record(number: int, data: bytes | None = None) -> Record:
    return Record(
        source="list",
        partition="0",
        offset=number,
        next_offset=number + 1,
        data=b"motor M-7 stopped, job 77000%d" % number if data is None else data,
        received_at_ns=number,
        encoding="text",
    )


@pytest.fixture
def appender(tmp_path: Path, encoder: Encoder):
    with DataDirectory.open(tmp_path / "data", is_writable=True) as directory:
        yield Appender(directory, encoder)


SMALL = PipelineSettings(batch_events=3)


def test_everything_a_source_has_is_stored_and_then_acknowledged(appender: Appender) -> None:
    source = ListSource([record(n) for n in range(10)])
    commits: list[Totals] = []
    pipeline = Pipeline(source, Decoder(), appender, settings=SMALL, on_commit=commits.append)
    totals = pipeline.run()
    assert totals == Totals(records=10, events=10, new_patterns=1)
    assert [c.events for c in commits] == [3, 6, 9, 10]
    assert source.acked[-1].offset == 10
    assert appender.positions() == [Position("list", "0", 10)]


def test_what_cannot_be_decoded_is_a_dead_letter_and_is_told(appender: Appender) -> None:
    source = ListSource([record(0), record(1, b"\xff\xfe"), record(2)])
    told: list[str] = []
    totals = Pipeline(
        source, Decoder(), appender, on_dead_letters=lambda ls: told.extend(x.reason for x in ls)
    ).run()
    assert (totals.records, totals.events, totals.dead_letters) == (3, 2, 1)
    assert told == ["not-utf8"]


def test_records_that_come_again_are_skipped(appender: Appender) -> None:
    Pipeline(ListSource([record(n) for n in range(4)]), Decoder(), appender).run()
    again = ListSource([record(n) for n in range(6)])
    totals = Pipeline(again, Decoder(), appender).run()
    assert again.sought == {("list", "0"): Position("list", "0", 4)}
    assert (totals.events, totals.skipped_records) == (2, 4)


class FailingAppender:
    """Works until the given batch."""

    def __init__(self, appender: Appender, fails_at: int) -> None:
        self._appender, self._left = appender, fails_at

    def positions(self) -> list[Position]:
        return self._appender.positions()

    def append(self, batch: Batch) -> object:
        self._left -= 1
        if self._left < 0:
            raise OSError("the disk has gone")
        return self._appender.append(batch)


def test_a_fault_of_the_writer_ends_the_run_with_its_own_error(appender: Appender) -> None:
    source = ListSource([record(n) for n in range(30)])
    failing = FailingAppender(appender, fails_at=2)
    with pytest.raises(OSError, match="the disk has gone"):
        Pipeline(source, Decoder(), failing, settings=SMALL).run()
    assert source.acked[-1].offset == 6


def test_a_fault_of_the_source_ends_the_run_and_what_was_read_before_is_kept(
    appender: Appender,
) -> None:
    class Breaking(ListSource):
        def poll(self, **bounds: object) -> list[Record]:
            if not self._records:
                raise OSError("unplugged")
            return super().poll(**bounds)

    source = Breaking([record(n) for n in range(3)], ends=False)
    with pytest.raises(OSError, match="unplugged"):
        Pipeline(source, Decoder(), appender, settings=SMALL).run()
    assert appender.positions() == [Position("list", "0", 3)]


def test_stopping_stores_what_has_been_read(appender: Appender) -> None:
    source = ListSource([record(n) for n in range(2)], ends=False)
    slow = replace(SMALL, batch_events=100, flush_interval_s=60.0)
    pipeline = Pipeline(source, Decoder(), appender, settings=slow)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    while source._records:
        time.sleep(0.01)
    time.sleep(0.05)
    pipeline.stop()
    thread.join(timeout=20)
    assert pipeline.totals.events == 2


def test_a_slow_stream_is_stored_after_the_flush_interval(appender: Appender) -> None:
    source = ListSource([record(0)], ends=False)
    quick = PipelineSettings(batch_events=1000, flush_interval_s=0.05)
    pipeline = Pipeline(source, Decoder(), appender, settings=quick)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    deadline = time.monotonic() + 20
    while pipeline.totals.events == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pipeline.totals.events == 1
    pipeline.stop()
    thread.join(timeout=20)


def test_a_closed_gate_holds_the_writer_and_loses_nothing(appender: Appender) -> None:
    is_open = threading.Event()
    source = ListSource([record(n) for n in range(5)])
    pipeline = Pipeline(source, Decoder(), appender, settings=SMALL, gate=is_open.is_set)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    time.sleep(0.3)
    assert pipeline.totals.events == 0
    is_open.set()
    thread.join(timeout=20)
    assert pipeline.totals.events == 5


def test_after_one_dropped_batch_nothing_more_is_stored_or_acknowledged(
    appender: Appender,
) -> None:
    # A daemon was stopped while its disk was full. The writer gave up the batch that waited at the
    # gate, then room was made, and it stored the next one: the position had passed three records
    # that nobody would ever read again, and clients were told that theirs were stored.
    source = ListSource([record(n) for n in range(9)])

    def gate() -> bool:
        if pipeline._stop.is_set():
            return True
        while pipeline._queue.empty():
            time.sleep(0.001)
        pipeline.stop()
        return False

    pipeline = Pipeline(source, Decoder(), appender, settings=SMALL, gate=gate)
    assert pipeline.run() == Totals()
    assert source.acked == []
    assert appender.positions() == []


def test_stopping_stores_everything_that_was_taken_from_a_pipe(appender: Appender) -> None:
    # `dejalog index -` was interrupted. One read had taken all lines out of the pipe, a few batches
    # of them were stored, and the others were lost, though a pipe cannot be read again.
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb", buffering=0) as writer:
        text = b"".join(b"motor M-7 stopped, job 77%04d\n" % n for n in range(50)) + b"job 8 sta"
        writer.write(text)
        pipeline = Pipeline(
            StdinSource(reader, partition="press"),
            Decoder(),
            appender,
            settings=replace(SMALL, flush_interval_s=60.0),
            on_commit=lambda totals: pipeline.stop(),
        )
        assert pipeline.run().events == 51
    assert appender.positions() == [Position("stdin", "press", len(text))]


def test_stopping_does_not_wait_for_a_source_that_never_says_that_it_is_exhausted(
    appender: Appender,
) -> None:
    class Endless(ListSource):
        def finish(self) -> None: ...

    pipeline = Pipeline(Endless([record(0)], ends=False), Decoder(), appender)
    pipeline.stop()
    assert pipeline.run().events == 1
