from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dejalog.indexer.errors import CorruptShardError, StorageError
from dejalog.indexer.event import DeadLetter, Position
from dejalog.indexer.store.environment import MAP_BYTES
from dejalog.indexer.store.layout import Counters, TextBlock, Vectors, digest
from dejalog.indexer.store.shard import Shard, new_header

HEADER = new_header(
    shard=1,
    created_ns=5,
    first_event=100,
    first_dead_letter=10,
    encoder_fingerprint="model",
    mask_version=1,
    dim=4,
    pooled_dim=2,
)
POSITIONS = [Position("file", "1:2", 77, '{"path": "a.log"}'), Position("grpc:x", "0", 3)]


def vectors(count: int) -> Vectors:
    return Vectors(
        lengths=np.ones(count, np.uint32),
        codes=np.arange(count * 4, dtype=np.int8).reshape(count, 4),
        scales=np.ones(count, np.float32),
        pooled_codes=np.ones((count, 2), np.int8),
        pooled_scales=np.ones(count, np.float32),
    )


def block(*texts: str) -> TextBlock:
    encoded = [text.encode() for text in texts]
    count = len(texts)
    return TextBlock(
        [("file", "1:2")],
        np.zeros(count, "<u4").tobytes(),
        np.arange(count, dtype="<i8").tobytes(),
        np.zeros(count, "<u4").tobytes(),
        b"\x01" * count,
        [[] for _ in texts],
        np.array([len(t) for t in encoded], "<u4").tobytes(),
        b"".join(encoded),
    )


@pytest.fixture
def shard(tmp_path: Path):
    opened = Shard.create(tmp_path / "000001", HEADER, POSITIONS)
    yield opened
    opened.close()


def test_a_new_shard_begins_with_its_predecessors_positions(shard: Shard) -> None:
    with shard.snapshot() as snapshot:
        assert sorted(snapshot.positions(), key=lambda p: p.source) == POSITIONS
        assert snapshot.position("grpc:x", "0") == POSITIONS[1]
        assert snapshot.position("grpc:x", "1") is None
        assert snapshot.counters() == Counters()
        assert snapshot.header() == HEADER


def test_what_a_transaction_put_is_there_after_reopening(shard: Shard, tmp_path: Path) -> None:
    with shard.write() as write:
        write.put_patterns(0, ["a <num>", "b"], [digest("a <num>"), digest("b")])
        write.put_vectors(0, vectors(2))
        write.put_patterns(2, ["c"], [digest("c")])
        write.put_vectors(2, vectors(1))
        write.put_labelset(0, [("host", "gw7")])
        write.put_texts(100, block("a 12345", "b"))
        write.put_texts(102, block("c"))
        letter = DeadLetter("not-utf8", "byte 0", b"\xff", 1, 9, "file", "1:2", 5)
        write.put_dead_letter(10, letter)
        write.put_counters(Counters(events=3, patterns=3))
    shard.close()
    reopened = Shard.open(tmp_path / "000001", is_writable=False)
    with reopened.snapshot() as snapshot:
        assert [snapshot.pattern(n) for n in range(3)] == ["a <num>", "b", "c"]
        assert snapshot.find_pattern(digest("c")) == 2
        assert snapshot.find_pattern(digest("d")) is None
        assert [first for first, _ in snapshot.vectors_from(2)] == [2]
        assert [first for first, _ in snapshot.texts_from(101)] == [100, 102]
        assert list(snapshot.labelsets_from(0)) == [(0, [("host", "gw7")])]
        assert list(snapshot.dead_letters()) == [(10, letter)]
    reopened.close()


def test_an_exception_inside_a_transaction_keeps_nothing_of_it(shard: Shard) -> None:
    def fail_half_way() -> None:
        with shard.write() as write:
            write.put_positions([Position("file", "1:2", 99)])
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail_half_way()
    with shard.snapshot() as snapshot:
        assert snapshot.position("file", "1:2") == POSITIONS[0]


def test_a_snapshot_does_not_see_what_is_committed_after_it_began(shard: Shard) -> None:
    with shard.snapshot() as snapshot:
        with shard.write() as write:
            write.put_counters(Counters(events=1))
        assert snapshot.counters() == Counters()


def test_a_pattern_number_is_given_once(shard: Shard) -> None:
    with shard.write() as write:
        write.put_patterns(0, ["a"], [digest("a")])
    with pytest.raises(AssertionError, match="already"), shard.write() as write:
        write.put_patterns(0, ["b"], [digest("b")])


def test_a_flipped_byte_on_disk_is_named_and_not_returned(shard: Shard, tmp_path: Path) -> None:
    with shard.write() as write:
        write.put_patterns(0, ["compressor"], [digest("compressor")])
        write.put_texts(100, block("x" * 50 + "needle-in-the-file" + "y" * 50))
        write.put_labelset(0, [("host", "unmistakable-label")])
    shard.close()
    path = tmp_path / "000001" / "data.mdb"
    data = bytearray(path.read_bytes())
    for at in [i for i in range(len(data)) if data.startswith(b"unmistakable-label", i)]:
        data[at] ^= 1
    path.write_bytes(data)
    damaged = Shard.open(tmp_path / "000001", is_writable=False)
    with pytest.raises(CorruptShardError, match="checksum"), damaged.snapshot() as snapshot:
        list(snapshot.labelsets_from(0))
    damaged.close()


def test_a_folder_that_is_no_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptShardError, match="missing"):
        Shard.open(tmp_path, is_writable=False)
    (tmp_path / "data.mdb").write_bytes(b"\0" * 8192)
    with pytest.raises(CorruptShardError):
        Shard.open(tmp_path, is_writable=False)


def test_a_disk_that_is_full_is_a_storage_error_and_keeps_what_was_there(tmp_path: Path) -> None:
    """LMDB reports a full disk as a bare I/O error; writemap would have been SIGBUS.

    A file size limit stands in for the disk: it fails the same write with EFBIG.
    """
    script = f"""
import resource, signal, sys
from pathlib import Path
from dejalog.indexer.event import Position
from dejalog.indexer.errors import StorageError
from dejalog.indexer.store.shard import Shard
from tests_header import HEADER
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
shard = Shard.create(Path({str(tmp_path / "000001")!r}), HEADER, [])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
stored = 0
try:
    for number in range(10_000):
        with shard.write() as write:
            write.put_positions([Position("file", str(number), number, "x" * 20_000)])
        stored += 1
except StorageError as error:
    assert "nothing of this batch was kept" in str(error)
    with shard.snapshot() as snapshot:
        assert len(snapshot.positions()) == stored > 3
    sys.exit(7)
"""
    helper = tmp_path / "tests_header.py"
    helper.write_text(
        "from dejalog.indexer.store.layout import Header\n"
        f"HEADER = Header(**{ {n: getattr(HEADER, n) for n in HEADER.__struct_fields__}!r})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 7, result.stderr


def test_a_map_that_has_become_too_large_shrinks_under_no_snapshot(shard: Shard) -> None:
    """LMDB replaces a map without asking; what a snapshot reads would be gone (SIGSEGV)."""
    with shard.snapshot() as snapshot:
        shard.finish()
        assert shard._environment.info()["map_size"] == MAP_BYTES
        assert len(snapshot.positions()) == 2
    assert shard._environment.info()["map_size"] < 100 << 20
    with shard.snapshot() as snapshot:
        assert len(snapshot.positions()) == 2


def test_a_shard_that_is_closed_under_a_snapshot_is_read_to_the_end(shard: Shard) -> None:
    """At the end of a process the directory was closed under a search that still ran."""
    with shard.snapshot() as snapshot:
        shard.close()
        assert len(snapshot.positions()) == 2
    with pytest.raises(StorageError, match="closed"), shard.snapshot():
        pass


def test_a_killed_reader_does_not_make_the_shard_grow(shard: Shard, tmp_path: Path) -> None:
    """LMDB keeps every page that a reader's slot might see, and a killed one leaves its slot."""
    script = f"""
import os
from pathlib import Path
from dejalog.indexer.store.shard import Shard
shard = Shard.open(Path({str(tmp_path / "000001")!r}), is_writable=False)
with shard.snapshot():
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    sizes = []
    for number in range(1, 501):
        with shard.write() as write:
            write.put_positions([Position("file", "1:2", number, "x" * 20_000)])
        if number in (200, 500):
            sizes.append(shard.bytes_on_disk())
    assert sizes[1] < sizes[0] * 1.1
