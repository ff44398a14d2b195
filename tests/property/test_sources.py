"""Whatever rotation does to files between and during runs, every byte becomes one record once."""

from __future__ import annotations

import gzip
import os
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.daemon.sources.files import FileSource
from dejalog.indexer.event import Position, Record

#: Longer than what a file is first recognised by, so that all contents begin alike.
BANNER = b"".join(
    b"gateway 7 banner line %03d ............................\n" % i for i in range(40)
)


def numbered(lines: Iterable[bytes]) -> list[bytes]:
    # A banner alone, written again at the same inode, cannot be told from the one before.
    return sorted(line for line in lines if line[:1].isdigit())


class Store:
    """Keeps positions as an index does: those of the records that were committed."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, str], Position] = {}
        self.records: list[Record] = []

    def commit(self, records: list[Record]) -> None:
        for record in records:
            key = (record.source, record.partition)
            self.positions[key] = Position(*key, record.next_offset, record.state)
        self.records.extend(records)

    def lines(self) -> list[bytes]:
        return numbered(line for record in self.records for line in record.data.splitlines())


class Machine:
    """Writes, rotates and reads one folder of logs at random."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.log = folder / "app.log"
        self.number = 0
        self.written: list[bytes] = []
        self.banner = self.random.choice([b"", BANNER, b"start\n"])
        self.store = Store()
        self.new_log()

    def new_log(self) -> None:
        if self.banner:
            self.append(self.banner)
        else:
            self.log.touch()

    def append(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)
        self.written.extend(data.splitlines())

    def write(self) -> None:
        for _ in range(self.random.randrange(1, 40)):
            self.number += 1
            self.append(b"%d %s\n" % (self.number, b"x" * self.random.randrange(120)))

    def shift(self) -> None:
        names = [n for n in os.listdir(self.folder) if n.startswith("app.log.")]
        for name in sorted(names, key=lambda n: -int(n.split(".")[2])):
            _, _, number, *rest = name.split(".")
            target = ".".join(["app.log", str(int(number) + 1), *rest])
            (self.folder / name).rename(self.folder / target)

    def rename(self) -> None:
        self.shift()
        self.log.rename(self.folder / "app.log.1")
        self.new_log()

    def copy_and_truncate(self) -> None:
        self.shift()
        (self.folder / "app.log.1").write_bytes(self.log.read_bytes())
        self.log.write_bytes(b"")
        self.new_log()

    def compress(self) -> None:
        plain = [p for p in self.folder.glob("app.log.*") if p.suffix != ".gz"]
        for path in plain:
            data = path.read_bytes()
            cut = self.random.randrange(len(data) + 1)
            members = [data[:cut], data[cut:]] if self.random.random() < 0.3 else [data]
            body = b"".join(gzip.compress(member) for member in members)
            path.with_name(path.name + ".gz").write_bytes(body)
            path.unlink()

    def delete(self) -> None:
        self.read(is_killed=False)
        for path in self.folder.glob("app.log.*"):
            path.unlink()

    def read(self, *, is_killed: bool) -> None:
        source = FileSource([self.folder], follow=False)
        source.seek(self.store.positions)
        kill_after = self.random.randrange(60) if is_killed else 1 << 30
        while not source.is_exhausted and kill_after > 0:
            records_max = min(kill_after, self.random.randrange(1, 50))
            records = source.poll(records_max=records_max, bytes_max=1 << 20, timeout_s=0)
            self.store.commit(records)
            kill_after -= max(1, len(records))
        source.close()

    def step(self) -> None:
        action = self.random.choice(
            [self.write] * 4
            + [self.rename, self.copy_and_truncate, self.compress, self.delete]
            + [lambda: self.read(is_killed=True)] * 4
            + [lambda: self.read(is_killed=False)]
        )
        action()


@pytest.mark.parametrize("seed", range(60))
def test_random_kills_and_rotations_read_every_line_once(tmp_path: Path, seed: int) -> None:
    machine = Machine(tmp_path, seed)
    for _ in range(40):
        machine.step()
    machine.read(is_killed=False)
    assert machine.store.lines() == numbered(machine.written)
    assert_tiled(machine.store.records)


def assert_tiled(records: list[Record]) -> None:
    ends: dict[str, int] = defaultdict(int)
    for record in records:
        assert record.offset == ends[record.partition]
        ends[record.partition] = record.next_offset


CONTENT = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from(
            [b"\n", b"\r\n", b"2024-05-01 10:00:00 pump P-101 stopped\n", b"\tat x.y\n"]
        ),
    ),
    max_size=40,
).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(content=CONTENT, is_compressed=st.booleans(), data=st.data())
def test_a_run_that_is_killed_anywhere_goes_on_as_if_it_had_not_been(
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
    is_compressed: bool,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("killed") / "app.log"
    path.write_bytes(gzip.compress(content) if is_compressed else content)
    whole = read_all(path, Store())
    cut = data.draw(st.integers(0, len(whole.records)))
    killed = Store()
    killed.commit(whole.records[:cut])
    read_all(path, killed)
    assert [(r.offset, r.data) for r in killed.records] == [
        (r.offset, r.data) for r in whole.records
    ]
    assert [r.next_offset for r in killed.records] == [r.next_offset for r in whole.records]


def read_all(path: Path, store: Store) -> Store:
    source = FileSource([path], follow=False)
    source.seek(store.positions)
    while not source.is_exhausted:
        store.commit(source.poll(records_max=7, bytes_max=1 << 16, timeout_s=0))
    source.close()
    return store
