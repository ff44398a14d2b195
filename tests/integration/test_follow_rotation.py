"""Followed files through real renames, copies with truncation, compressions and deletions."""

from __future__ import annotations

import gzip
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dejalog.daemon.sources.files import FileSource
from dejalog.daemon.sources.timing import Timing
from dejalog.indexer.event import Position, Record

#: Short waits; what matters is that a copy or compression here ends well before it has settled.
QUICK = Timing(
    poll_interval_s=0.005,
    scan_s=0.02,
    idle_flush_s=0.05,
    partial_line_s=0.2,
    settle_s=0.3,
    orphan_wait_s=0.2,
)

#: How long a test waits before it fails.
PATIENCE_S = 20.0


class Reading:
    """A followed folder or file, with an index's memory of positions."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self.positions: dict[tuple[str, str], Position] = {}
        self.records: list[Record] = []
        self.start()

    def start(self) -> None:
        self.source = FileSource(self.paths, follow=True, timing=QUICK)
        self.source.seek(self.positions)

    def restart(self) -> None:
        self.source.close()
        self.start()

    def poll(self, *, records_max: int = 1000, timeout_s: float = 0.0) -> None:
        records = self.source.poll(records_max=records_max, bytes_max=1 << 20, timeout_s=timeout_s)
        for record in records:
            key = (record.source, record.partition)
            self.positions[key] = Position(*key, record.next_offset, record.state)
        self.records += records

    def poll_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.poll(timeout_s=0.01)

    def lines(self) -> list[bytes]:
        return [record.data for record in self.records]

    def wait_until(self, is_reached: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not is_reached() and time.monotonic() < end:
            self.poll(timeout_s=0.02)

    def expect(self, lines: list[bytes]) -> None:
        """Waits for the lines, then for as long as repeated ones would need to come."""
        self.wait_until(lambda: len(self.records) >= len(lines))
        self.poll_for(QUICK.settle_s + QUICK.replaced_wait_s)
        assert sorted(self.lines()) == sorted(lines)


def lines_of(start: int, count: int) -> list[bytes]:
    return [
        b"2024-05-01 10:00:%02d pump P-%d stopped" % (n % 60, n)
        for n in range(start, start + count)
    ]


def append(path: Path, lines: list[bytes]) -> list[bytes]:
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    return lines


def test_a_renamed_file_is_read_to_its_end_and_its_successor_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    written = append(log, lines_of(0, 5))
    reading = Reading(log)
    reading.wait_until(lambda: len(reading.records) == 5)
    with log.open("ab") as writer:
        log.rename(tmp_path / "app.log.1")
        reading.poll_for(0.1)
        writer.write(b"written after the rename\n")
    written = [*written, b"written after the rename", *append(log, lines_of(5, 5))]
    reading.expect(written)
    reading.source.close()


def test_what_was_unread_when_a_named_file_was_rotated_while_stopped_is_read(
    tmp_path: Path,
) -> None:
    log = tmp_path / "app.log"
    written = append(log, lines_of(0, 5))
    reading = Reading(log)
    reading.wait_until(lambda: len(reading.records) == 5)
    reading.source.close()
    written += append(log, lines_of(5, 5))
    log.rename(tmp_path / "app.log.1")
    (tmp_path / "app.log.2").write_bytes(b"an older file that was never asked for\n")
    written += append(log, lines_of(10, 5))
    reading.start()
    reading.expect(written)
    reading.source.close()


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_copy_made_before_truncation_is_not_read_again(tmp_path: Path, has_folder: bool) -> None:
    log = tmp_path / "app.log"
    written = append(log, lines_of(0, 200))
    reading = Reading(tmp_path if has_folder else log)
    reading.wait_until(lambda: len(reading.records) == 200)
    written += append(log, lines_of(200, 50))
    (tmp_path / "app.log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    written += append(log, lines_of(250, 10))
    reading.expect(written)
    reading.source.close()


def test_a_plain_truncation_starts_the_file_anew_under_another_partition(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    written = append(log, lines_of(0, 20))
    reading = Reading(log)
    reading.wait_until(lambda: len(reading.records) == 20)
    os.truncate(log, 0)
    written += append(log, lines_of(0, 5))
    reading.expect(written)
    first, second = sorted({record.partition for record in reading.records})
    assert second == f"{first}#2"
    reading.source.close()


def test_a_compressed_rotation_is_recognised_while_following_and_after_a_restart(
    tmp_path: Path,
) -> None:
    log = tmp_path / "app.log"
    written = append(log, lines_of(0, 300))
    reading = Reading(tmp_path)
    reading.wait_until(lambda: len(reading.records) == 300)
    rotated = log.rename(tmp_path / "app.log.1")
    written += append(log, lines_of(300, 10))
    reading.poll_for(0.1)
    body = gzip.compress(rotated.read_bytes())
    with (tmp_path / "app.log.1.gz").open("wb") as file:
        for start in range(0, len(body), 500):
            file.write(body[start : start + 500])
            file.flush()
            reading.poll()
    rotated.unlink()
    reading.expect(written)
    reading.restart()
    reading.expect(written)
    reading.source.close()


def test_a_deleted_file_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    written = append(log, lines_of(0, 3))
    reading = Reading(tmp_path)
    reading.wait_until(lambda: len(reading.records) == 3)
    with log.open("ab") as writer:
        log.unlink()
        writer.write(b"last words, without a newline")
    reading.expect([*written, b"last words, without a newline"])
    assert reading.source.progress().files_total == 0
    reading.source.close()


def test_new_files_and_a_file_that_is_not_there_yet_are_picked_up(tmp_path: Path) -> None:
    later = tmp_path / "later.log"
    folder = tmp_path / "folder"
    folder.mkdir()
    reading = Reading(later, folder)
    reading.poll_for(0.1)
    assert [problem.path for problem in reading.source.problems()] == [str(later)]
    written = append(folder / "new.log", lines_of(0, 2)) + append(later, lines_of(2, 2))
    reading.expect(written)
    assert reading.source.problems() == []
    reading.source.close()


def test_an_event_is_held_until_idle_and_a_partial_line_until_its_newline(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    reading = Reading(tmp_path)
    log.write_bytes(b"2024-05-01 10:00:00 failed\n\tat a.b(C.java:1)\n2024-05-01 10:00:01 half")
    reading.wait_until(lambda: len(reading.records) >= 1)
    assert reading.lines() == [b"2024-05-01 10:00:00 failed\n\tat a.b(C.java:1)"]
    with log.open("ab") as file:
        file.write(b" and half\n")
    reading.wait_until(lambda: len(reading.records) >= 2)
    assert reading.lines()[1:] == [b"2024-05-01 10:00:01 half and half"]
    reading.source.close()


@pytest.mark.parametrize("seed", range(4))
def test_random_rotations_with_restarts_read_every_line_once(tmp_path: Path, seed: int) -> None:
    machine = FollowedMachine(tmp_path, seed)
    for _ in range(40):
        machine.step()
    machine.reading.expect(machine.written)
    machine.reading.source.close()


class FollowedMachine:
    """Writes to and rotates a log at random while it is followed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder, self.log = folder, folder / "app.log"
        self.log.touch()
        self.written: list[bytes] = []
        self.reading = Reading(folder)

    def write(self) -> None:
        count = self.random.randrange(1, 60)
        self.written += append(self.log, lines_of(len(self.written), count))

    def shift(self) -> None:
        rotated = [path.name.split(".", 2)[2] for path in self.folder.glob("app.log.*")]
        for rest in sorted(rotated, key=lambda rest: -int(rest.split(".")[0])):
            number, *suffix = rest.split(".")
            target = ".".join(["app.log", str(int(number) + 1), *suffix])
            (self.folder / f"app.log.{rest}").rename(self.folder / target)
            self.poll_perhaps()

    def rename(self) -> None:
        self.shift()
        self.log.rename(self.folder / "app.log.1")
        self.poll_perhaps()
        self.log.touch()

    def copy_and_truncate(self) -> None:
        self.shift()
        (self.folder / "app.log.1").write_bytes(self.log.read_bytes())
        self.poll_perhaps()
        os.truncate(self.log, 0)
        self.poll_perhaps()

    def compress(self) -> None:
        for path in self.folder.glob("app.log.?"):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            self.poll_perhaps()
            path.unlink()

    def restart(self) -> None:
        self.reading.restart()

    def poll_perhaps(self) -> None:
        if self.random.random() < 0.5:
            self.reading.poll(records_max=self.random.randrange(1, 40))

    def wait(self) -> None:
        self.reading.poll_for(0.1)

    def step(self) -> None:
        rotations = [self.rename, self.copy_and_truncate, self.compress]
        self.random.choice([self.write] * 5 + rotations + [self.restart, self.wait])()
        self.poll_perhaps()
