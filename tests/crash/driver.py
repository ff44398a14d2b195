"""Kills processes that work on one index, and checks after each kill what they left behind.

    python tests/crash/driver.py FOLDER --kills 1000 --seed 7

Modules are loaded once, and each process is a fork of this one, which never opens an index itself.
Two ways to kill:

- One process appends, seals, makes word indexes, compacts, deletes and retains. It kills itself
  with SIGKILL before the n-th step of one stage; steps are syncs, renames, removals, commits.
- One process writes, another compacts and retains, and a third reads; the first two are killed
  after random times, one after the other.

What is acknowledged is written to a side file (O_APPEND) right after the call that stored it; what
may vanish is written there right before the call that drops it. Every event's text has its number.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

# Before NumPy is loaded: its threads would not outlive a fork.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from dejalog.indexer import lexical
from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.compaction.describe import read_columns, read_labelsets
from dejalog.indexer.compaction.plan import RetainRules
from dejalog.indexer.deletion import deleted_events, pending_deletions
from dejalog.indexer.encode import Encoded
from dejalog.indexer.errors import DejalogError
from dejalog.indexer.event import DeadLetter, Event, Kind, Position, TimeOrigin
from dejalog.indexer.filter import Condition
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.retain import delete_events, retain
from dejalog.indexer.store import shard as shard_module
from dejalog.indexer.store.compacted import DELETED_KIND
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import open_block
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.verify import verify

SECOND_NS = 10**9

#: After so many events the next kill begins with an empty index, so that a check stays short.
EVENTS_MAX = 1_500

#: The last step of a stage that a kill may wait for: a little more than the stage usually has.
STAGES = {
    "start": 4,
    "append": 25,
    "seal": 25,
    "words": 40,
    "compact": 120,
    "swap": 25,
    "retain": 20,
}

#: Operations after which a process gives up waiting for its step.
OPERATIONS_MAX = 80

SOURCE = ("file", "1:1")
OTHER = ("file", "2:2")
_ID = re.compile(r"number ID-(\d+)")


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class WordEncoder:
    """A small deterministic encoder: a word is a random direction named by its hash."""

    dim, pooled_dim, fingerprint = 48, 48, "words-48"

    def encode_patterns(self, patterns: Sequence[str]) -> list[Encoded]:
        return [self._encode(pattern.split()[:24]) for pattern in patterns]

    def _encode(self, words: list[str]) -> Encoded:
        vectors = np.stack([self._word(word) for word in words])
        pooled = vectors.sum(axis=0)
        return Encoded(vectors, pooled / np.linalg.norm(pooled), is_truncated=False)

    def _word(self, word: str) -> np.ndarray:
        seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest())
        vector = np.random.default_rng(seed).standard_normal(self.dim).astype(np.float32)
        return vector / np.linalg.norm(vector)


class Side:
    """The side file: a line a word and numbers, whole or not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(self, word: str, *numbers: int) -> None:
        os.write(self._file, f"{word} {' '.join(map(str, numbers))}\n".encode())

    @staticmethod
    def read(path: Path) -> Iterator[tuple[str, list[int]]]:
        for line in path.read_text().splitlines():
            word, *numbers = line.split()
            yield word, [int(number) for number in numbers]


class Steps:
    """Counts what a process does by stage, and kills it before one of its steps."""

    def __init__(self, side: Side, stage: str, left: int) -> None:
        self._side = side
        self._wanted = stage
        self._left = left
        self._stages = ["start"]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stages.append(name)
        try:
            yield
        finally:
            self._stages.pop()

    def step(self) -> None:
        if self._stages[-1] != self._wanted:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Counts every sync, rename and removal, and both ends of every commit."""
        for name in ("fsync", "rename", "replace", "unlink", "remove", "rmdir", "mkdir"):
            setattr(os, name, self._counted(getattr(os, name)))
        shard_module._write = self._committed(shard_module._write)
        lexical.LexicalIndex.append = self._counted(lexical.LexicalIndex.append)
        swap = DataDirectory.replace_shards

        def replace_shards(directory: DataDirectory, *arguments: object) -> None:
            with self.stage("retain" if "retain" in self._stages else "swap"):
                swap(directory, *arguments)

        DataDirectory.replace_shards = replace_shards

    def _counted(self, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            self.step()
            result = original(*arguments, **named)
            self.step()
            return result

        return call

    def _committed(self, original: Callable[..., object]) -> Callable[..., object]:
        @contextmanager
        def write(*arguments: object) -> Iterator[object]:
            self.step()
            with original(*arguments) as inner:
                yield inner
                self.step()
            self.step()

        return write


class Worker:
    """Does what a daemon and a compaction do, at random, and says so in the side file."""

    def __init__(self, data: Path, side: Side, rng: random.Random, *, is_writer: bool) -> None:
        self._side = side
        self._rng = rng
        self._encoder = WordEncoder()
        self._directory = DataDirectory.open(data, is_writable=is_writer)
        self._complete: set[int] = set()
        if is_writer:
            self._appender = Appender(self._directory, self._encoder)
            offsets = {(p.source, p.partition): p.offset for p in self._appender.positions()}
            self._next = offsets.get(SOURCE, 1)
            self._turn = offsets.get(OTHER, 0)

    def append(self) -> None:
        first, rng = self._next, self._rng
        last = first + rng.randrange(1, 40)
        events = [self._event(number) for number in range(first, last)]
        prepared = [PreparedEvent(event, mask_pattern(event.text)[0]) for event in events]
        letters = []
        positions = [Position(*SOURCE, last)]
        if is_odd := rng.random() < 0.3:
            letters = [DeadLetter("not-utf8", "byte 0", b"\xff", first, 0, *SOURCE, first)]
            self._turn += 1
            positions.append(Position(*OTHER, self._turn))
        self._appender.append(Batch(prepared, letters, positions))
        self._side.say("appended", first, last)
        if is_odd:
            self._side.say("letter", first, self._turn)
        self._next = last

    def seal(self) -> None:
        self._appender.seal()

    def words(self) -> None:
        self._directory.refresh()
        for shard in self._directory.shards:
            if shard.tier is Tier.FRESH and shard.header.shard not in self._complete:
                self._make_words(shard)

    def _make_words(self, shard: shard_module.Shard) -> None:
        number = shard.header.shard
        try:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                while catch_up(shard, index):
                    pass
        except (OSError, DejalogError):
            self._directory.refresh()
            if number in self._directory.manifest.numbers:
                raise
        if number != self._directory.manifest.numbers[-1]:
            self._complete.add(number)

    def compact(self) -> None:
        rules = CompactRules(
            bits=self._rng.choice([1, 2, 4]),
            merge_factor=2,
            originals_bytes_max=self._rng.choice([0, 1 << 30]),
            write_bytes_per_s=0,
        )
        compact_directory(self._directory, lambda: self._encoder, rules)

    def delete(self) -> None:
        """Deletes a third of the events of a stretch of time."""
        lowest, label = self._rng.randrange(1, max(2, self._next)), self._rng.randrange(3)
        highest = lowest + self._rng.randrange(1, 60)
        self._side.say("deleting", lowest, highest, label)
        end = self._next
        delete_events(
            self._directory,
            [Condition("third", "=", str(label))],
            since_ns=lowest * SECOND_NS,
            until_ns=highest * SECOND_NS,
        )
        self._side.say("deleted", lowest, min(highest, end), label)

    def retain(self) -> None:
        """Drops whole shards of which everything is older than the last few hundred events.

        A compactor may look before the writer has made its first shard.
        """
        self._directory.refresh()
        if not self._directory.shards:
            return
        with self._directory.shards[-1].snapshot() as snapshot:
            newest = {(p.source, p.partition): p.offset for p in snapshot.positions()}
        now = newest.get(SOURCE, 1)
        age = self._rng.randrange(150, 600)
        self._side.say("dropping", now - age)
        rules = RetainRules(age_max_s=float(age))
        retain(self._directory, rules, clock=lambda: now * SECOND_NS)

    def _event(self, number: int) -> Event:
        text = (
            f"pump P-{number % 17} stopped at valve {number % 5}, number ID-{number} x{number % 97}"
        )
        labels = (("third", str(number % 3)),)
        return Event(
            Kind.LOG, number * SECOND_NS, TimeOrigin.EVENT, text, *SOURCE, number, labels=labels
        )


def work_alone(data: Path, side_path: Path, seed: int, stage: str, step: int) -> None:
    """Works until the step of the stage, or until it gives up waiting for it."""
    side, rng = Side(side_path), random.Random(seed)
    steps = Steps(side, stage, step)
    steps.install()
    worker = Worker(data, side, rng, is_writer=True)
    if stage == "start":
        return
    weights = {"append": 8, "seal": 2, "words": 2, "compact": 2, "retain": 1, "delete": 1}
    weights[{"swap": "compact"}.get(stage, stage)] += 3
    for _ in range(OPERATIONS_MAX):
        (name,) = rng.choices(list(weights), list(weights.values()))
        if name == "compact":
            with steps.stage("seal"):
                worker.seal()
            with steps.stage("words"):
                worker.words()
        with steps.stage(name):
            getattr(worker, name)()


def write_on(data: Path, side_path: Path, seed: int) -> None:
    """Writes until it is killed."""
    rng = random.Random(seed)
    worker = Worker(data, Side(side_path), rng, is_writer=True)
    while True:
        (name,) = rng.choices(["append", "seal", "words", "delete"], [8, 2, 3, 1])
        getattr(worker, name)()


def compact_on(data: Path, side_path: Path, seed: int) -> None:
    """Compacts and retains until it is killed."""
    rng = random.Random(seed)
    worker = Worker(data, Side(side_path), rng, is_writer=False)
    while True:
        worker.compact()
        if rng.random() < 0.2:
            worker.retain()
        time.sleep(0.01)


def read_on(data: Path, side_path: Path) -> None:
    """Reads until it is killed: what was acknowledged before a look is there in that look."""
    with DataDirectory.open(data, is_writable=False) as directory:
        while True:
            before = Said.read(side_path)
            directory.refresh()
            present, _ = stored(directory)
            after = Said.read(side_path)
            found = set(present)
            assert len(found) == len(present), "a reader sees an event twice"
            wanted = range(max(1, after.dropped_below), before.appended)
            unseen = set(wanted) - found - after.may_lack
            assert not unseen, f"a reader does not see {sorted(unseen)}"
            assert not directory.damaged, directory.damaged


@dataclass
class Said:
    """What the side file says about all events."""

    appended: int = 1
    letters: set[int] = field(default_factory=set)
    turn: int = 0
    dropped_below: int = 0
    may_lack: set[int] = field(default_factory=set)
    must_lack: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Said:
        said = cls()
        for word, numbers in Side.read(path):
            if word == "appended":
                said.appended = max(said.appended, numbers[1])
            elif word == "letter":
                said.letters.add(numbers[0])
                said.turn = max(said.turn, numbers[1])
            elif word == "dropping":
                said.dropped_below = max(said.dropped_below, numbers[0])
            elif word in {"deleting", "deleted"}:
                first, last, label = numbers
                meant = {n for n in range(first, last) if n % 3 == label}
                (said.may_lack if word == "deleting" else said.must_lack).update(meant)
        return said


def check(data: Path, side_path: Path) -> int:
    """Starts again as a daemon would, and compares; returns the number of events."""
    said = Said.read(side_path) if side_path.exists() else Said()
    with DataDirectory.open(data, is_writable=True) as directory:
        with directory.compacting():
            names = sorted(child.name for child in (data / "shards").iterdir())
        assert names == sorted(f"{n:06d}" for n in directory.manifest.numbers), names
        assert not directory.damaged, directory.damaged
        report = verify(directory, is_quiet=True)
        assert report.problems == [], report.problems
        present, letters = stored(directory)
        positions = {}
        if directory.shards:
            with directory.shards[-1].snapshot() as snapshot:
                positions = {(p.source, p.partition): p.offset for p in snapshot.positions()}
    end = positions.get(SOURCE, 1)
    assert end >= said.appended, f"position {end}, acknowledged {said.appended}"
    assert positions.get(OTHER, 0) >= said.turn
    assert len(present) == len(set(present)), "an event is there twice"
    found = set(present)
    assert max(found, default=0) < end
    lost = set(range(max(1, said.dropped_below), end)) - found - said.may_lack
    assert not lost, f"lost: {sorted(lost)}"
    back = found & said.must_lack
    assert not back, f"deleted events that are back: {sorted(back)}"
    lost_letters = {n for n in said.letters if n >= said.dropped_below} - set(letters)
    assert not lost_letters, f"lost dead letters: {sorted(lost_letters)}"
    assert len(letters) == len(set(letters)), "a dead letter is there twice"
    return len(present)


def stored(directory: DataDirectory) -> tuple[list[int], list[int]]:
    """The numbers that stand in the texts of all events that count, and in dead letters."""
    present: list[int] = []
    letters: list[int] = []
    for shard in directory.shards:
        columns, labelsets = read_columns(shard), read_labelsets(shard)
        first = shard.header.first_event
        entry = directory.manifest.entry(shard.header.shard)
        pending = pending_deletions(entry, directory.manifest.deletions, first)
        is_gone = deleted_events(columns, labelsets, first, pending)
        is_gone |= columns.kinds == DELETED_KIND
        with shard.snapshot() as snapshot:
            for start, block in snapshot.texts_from(first):
                opened = open_block(start, block)
                # Columns are of a moment before: what came since is left out.
                for index in range(min(len(opened), len(is_gone) - (start - first))):
                    if not is_gone[start + index - first]:
                        match = _ID.search(opened.text(index))
                        assert match is not None
                        assert int(match[1]) == int(opened.offsets[index])
                        present.append(int(match[1]))
            letters.extend(letter.offset for _, letter in snapshot.dead_letters())
    return present, letters


def fork(errors: Path, work: Callable[..., object], *arguments: object) -> int:
    """Runs `work` in a process of its own; exit code 0, or 1 and the traceback in `errors`."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # Nobody outlives a campaign that has failed.
    try:
        result = work(*arguments)
        if isinstance(result, int):
            (errors.parent / "result").write_text(str(result))
        code = 0
    except BaseException:
        with errors.open("a") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(code)


class Campaign:
    """Kills, checks, and counts by stage."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._rng = random.Random(seed)
        self._errors = folder / "errors.txt"
        self.kills: Counter[str] = Counter()
        self._begin()

    def run(self, kills: int) -> None:
        while self.kills.total() < kills:
            if self._rng.random() < 0.2:
                self._kill_two()
            else:
                self._kill_alone()
            if self._check() > EVENTS_MAX:
                self._begin()

    def _begin(self) -> None:
        self._data = Path(tempfile.mkdtemp(prefix="index-", dir=self._folder)) / "data"
        self._side = self._data.with_name("side.txt")
        for old in self._folder.glob("index-*"):
            if old != self._data.parent:
                shutil.rmtree(old)

    def _kill_alone(self) -> None:
        stage = self._rng.choice(list(STAGES))
        step = self._rng.randrange(1, STAGES[stage] + 1)
        seed = self._rng.randrange(2**32)
        pid = fork(self._errors, work_alone, self._data, self._side, seed, stage, step)
        if self._ended(pid) == -signal.SIGKILL:
            self.kills[stage] += 1

    def _kill_two(self) -> None:
        seed = self._rng.randrange(2**32)
        if not (self._data / "manifest.json").exists():
            return
        writer = fork(self._errors, write_on, self._data, self._side, seed)
        compactor = fork(self._errors, compact_on, self._data, self._side, seed)
        reader = fork(self._errors, read_on, self._data, self._side)
        victims = [writer, compactor]
        self._rng.shuffle(victims)
        for pid, name in zip(victims, ("first", "second"), strict=True):
            time.sleep(self._rng.uniform(0.02, 0.5))
            os.kill(pid, signal.SIGKILL)
            if self._ended(pid) == -signal.SIGKILL:
                self.kills[f"random, {name} of two"] += 1
        os.kill(reader, signal.SIGKILL)
        self._ended(reader)

    def _check(self) -> int:
        pid = fork(self._errors, check, self._data, self._side)
        if self._ended(pid) != 0:
            raise SystemExit(f"the check ended otherwise; see {self._folder}")
        return int((self._folder / "result").read_text())

    def _ended(self, pid: int) -> int:
        _, status = os.waitpid(pid, 0)
        if self._errors.exists():
            raise SystemExit(
                f"{self._errors.read_text()}\nafter {self.kills.total()} kills, in {self._data}"
            )
        return os.waitstatus_to_exitcode(status)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args(arguments)
    started = time.monotonic()
    campaign = Campaign(parsed.folder, parsed.seed)
    campaign.run(parsed.kills)
    seconds = time.monotonic() - started
    total = campaign.kills.total()
    report = {
        "kills": total,
        "seed": parsed.seed,
        "seconds": round(seconds, 1),
        "seconds_per_kill": round(seconds / total, 3),
        "by_stage": dict(sorted(campaign.kills.items())),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
