from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from dejalog.indexer.append import Appender, Batch, PreparedEvent, ShardLimits
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import DeadLetter, Event, Kind, TimeOrigin
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.store import layout
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.environment import MAP_BYTES, open_environment
from dejalog.indexer.store.layout import TextBlock
from dejalog.indexer.store.manifest import Deletion, Manifest, Tier
from dejalog.indexer.verify import verify
from dejalog.indexer.verify_compacted import compacted_problems

#: The compacted shard of the index that `compacted` makes.
NUMBER = 5


def events(first: int, count: int) -> list[Event]:
    return [
        Event(
            Kind.LOG,
            n,
            TimeOrigin.EVENT,
            f"pump P-{n % 23} is leaking at valve {'ABC'[n % 3]}, job 9000{n:04d}",
            "file",
            "1:1",
            n,
            labels=(("site", "lodz" if n % 2 else "turin"),),
        )
        for n in range(first, first + count)
    ]


def delete_some(manifest: Manifest) -> Manifest:
    deletion = Deletion(1, 0, 10**9, since_ns=40, until_ns=50)
    return msgspec.structs.replace(manifest, next_deletion=2, deletions=(deletion,))


@pytest.fixture(scope="module")
def compacted(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """Three fresh shards with dead letters, made into one from which 10 of 120 events are gone."""
    path = tmp_path_factory.mktemp("compacted") / "index"
    letter = DeadLetter("not-utf8", "byte 0", b"\xff", 1, 9, "file", "1:2", 5)
    with DataDirectory.open(path, is_writable=True) as directory:
        appender = Appender(directory, encoder, limits=ShardLimits(events_max=40))
        for first in (1, 41, 81):
            given = [PreparedEvent(e, mask_pattern(e.text)[0]) for e in events(first, 40)]
            appender.append(Batch(given, [letter], []))
        appender.seal()
        directory.update(delete_some)
        for shard in directory.shards:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                while catch_up(shard, index):
                    pass
        made = compact_directory(directory, lambda: encoder, CompactRules(write_bytes_per_s=0))
        assert [report.made for report in made] == [NUMBER]
    return path


@pytest.fixture
def index(tmp_path: Path, compacted: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(compacted, tmp_path / "index"))


def problems_of(path: Path) -> list[str]:
    with DataDirectory.open(path, is_writable=False) as directory:
        return verify(directory, is_quiet=True).problems


def rewrite(
    path: Path, database: bytes, change: Callable[[dict[bytes, bytes]], dict[bytes, bytes | None]]
) -> None:
    """Puts other values, rightly sealed or not, into the compacted shard; None removes one."""
    folder = path / "shards" / f"{NUMBER:06d}"
    environment = open_environment(folder, is_writable=True, map_bytes=MAP_BYTES)
    opened = environment.open_db(database, create=False)
    with environment.begin(write=True) as transaction:
        stored = {bytes(k): bytes(v) for k, v in transaction.cursor(opened)}
        for key, value in change(stored).items():
            if value is None:
                transaction.delete(key, db=opened)
            else:
                transaction.put(key, value, db=opened)
    environment.close()


def change_section(path: Path, name: str, dtype: str, change: Callable[[np.ndarray], None]) -> None:
    def changed(stored: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
        array = np.frombuffer(layout.unseal(stored[name.encode()]), dtype).copy()
        change(array)
        return {name.encode(): layout.seal(array.tobytes())}

    rewrite(path, b"sections", changed)


def test_a_compacted_index_is_clean_and_counts_what_is_left(compacted: Path) -> None:
    with DataDirectory.open(compacted, is_writable=False) as directory:
        assert [shard.tier for shard in directory.shards] == [Tier.COMPACTED, Tier.FRESH]
        report = verify(directory, is_quiet=True)
        with directory.shards[0].snapshot() as snapshot:
            counters = snapshot.counters()
    assert report.problems == []
    assert (report.events, report.dead_letters) == (110, 3)
    assert (counters.events, counters.deleted) == (120, 10)


def swap_first(array: np.ndarray) -> None:
    array[[0, 1]] = array[[1, 0]]


def put(place: int, value: float) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[place] = value

    return change


def add(place: int, value: int) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[place] = int(array[place]) + value

    return change


def other_id(array: np.ndarray) -> None:
    array[0] = (int(array[0]) + 1) % 64


@pytest.mark.parametrize(
    ("section", "dtype", "change", "problem"),
    [
        ("weights", "u1", swap_first, "weights do not grow"),
        ("cutoffs", "f4", swap_first, "cutoffs do not grow"),
        ("deviations", "f4", put(3, np.nan), "deviations are not all finite"),
        ("centroid_scales", "f4", put(0, -1.0), "centroid_scales are not all finite"),
        ("00000000/centroid_ids", "u2", put(5, 60_000), "a centroid is not one of"),
        ("00000000/centroid_ids", "u2", other_id, "posting lists are not those"),
        ("00000000/postings", "u2", swap_first, "posting lists are not those"),
        ("00000000/posting_starts", "u4", add(1, 1), "posting lists are not those"),
        ("00000000/offsets", "u4", swap_first, "offsets do not lead"),
        ("00000000/offsets", "u4", add(-1, -1), "offsets do not lead"),
        ("00000000/pooled_scales", "f4", put(0, np.inf), "scales are not all finite"),
        ("event_rows", "u4", swap_first, "order of events by pattern has wrong rows"),
        ("event_starts", "u4", add(1, 1), "order of events by pattern has wrong starts"),
        ("event_newest", "i8", put(0, 7), "order of events by pattern has wrong newest"),
        ("kinds", "u1", put(3, 9), "neither a log nor a note"),
        ("kinds", "u1", put(3, 0), "has 11 deleted events instead of 10"),
        ("patterns", "u4", put(3, 999), "points at a pattern that is not there"),
        ("patterns", "u4", put(45, 1), "deleted events still have their patterns"),
        ("labelsets", "u4", put(3, 2), "points at a label set that is not there"),
        ("times", "i8", put(3, 121), "outside of the shard's time window"),
        ("times", "i8", put(45, 44), "deleted events still have their times"),
    ],
)
def test_a_number_that_fits_nothing_else_is_found(
    index: Path, section: str, dtype: str, change, problem: str
) -> None:
    """The checksum is that of the wrong number: only what else is known of it tells."""
    change_section(index, section, dtype, change)
    problems = problems_of(index)
    assert [text for text in problems if problem in text], problems
    assert all(text.startswith(f"shard {NUMBER:06d}: ") for text in problems)


def test_a_norm_that_the_reconstruction_does_not_have_is_found(index: Path) -> None:
    def turn(array: np.ndarray) -> None:
        array[10] = (int(array[10]) + 128) % 256

    change_section(index, "00000000/norms", "u1", turn)
    assert [p for p in problems_of(index) if "1 of the codes" in p]


def test_residuals_of_other_vectors_are_found(index: Path) -> None:
    change_section(index, "00000000/residuals", "u1", lambda array: array[::-1].sort())
    assert [p for p in problems_of(index) if "are not as long as their norms say" in p]


def test_a_section_that_is_missing_too_many_or_changed_is_named(index: Path) -> None:
    def change(stored: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
        flipped = bytearray(stored[b"kinds"])
        flipped[-1] ^= 1
        return {b"times": None, b"speeds": layout.seal(b""), b"kinds": bytes(flipped)}

    rewrite(index, b"sections", change)
    assert problems_of(index) == [
        "shard 000005: lacks the section times",
        "shard 000005: section kinds: checksum does not fit the payload",
        "shard 000005: has a section speeds that nothing refers to",
    ]


def test_a_section_of_the_wrong_size_is_named(index: Path) -> None:
    rewrite(index, b"sections", lambda stored: {b"kinds": layout.seal(b"\x01" * 119)})
    assert problems_of(index) == ["shard 000005: section kinds has 119 bytes instead of 120"]


def test_a_deleted_event_that_still_has_its_text_is_found(index: Path) -> None:
    def change(stored: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
        key = layout.key_u64(40)  # The block of events 40 to 79, of which 39 to 48 are deleted.
        block = layout.unseal_compressed(stored[key], TextBlock)
        lengths = np.frombuffer(block.text_lengths, "<u4").copy()
        lengths[2] = 4
        changed = msgspec.structs.replace(
            block, text_lengths=lengths.tobytes(), texts=b"left" + block.texts
        )
        return {key: layout.seal_compressed(changed)}

    rewrite(index, b"texts", change)
    assert "shard 000005: event 42 was deleted and still has content" in problems_of(index)


def test_counters_that_say_something_else_are_found(index: Path) -> None:
    def change(stored: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
        counters = layout.unseal_struct(stored[b"counters"], layout.Counters)
        changed = msgspec.structs.replace(counters, tokens=counters.tokens + 1, dead_letters=4)
        return {b"counters": layout.seal_struct(changed)}

    rewrite(index, b"meta", change)
    problems = problems_of(index)
    assert any("tokens instead of" in text for text in problems)
    assert any("has 3 dead letters instead of 4" in text for text in problems)


def test_any_flipped_byte_is_found_or_harmless(index: Path) -> None:
    """LMDB has no checksums: values are ours to protect, pages are its verifier's."""
    data = index / "shards" / f"{NUMBER:06d}" / "data.mdb"
    good = data.read_bytes()
    found = 0
    for at in range(100, len(good), len(good) // 150):
        damaged = bytearray(good)
        damaged[at] ^= 0x40
        data.write_bytes(damaged)
        found += bool(problems_of(index))
    assert found > 50


def test_the_columns_are_handed_on(compacted: Path) -> None:
    with DataDirectory.open(compacted, is_writable=False) as directory:
        shard = directory.shards[0]
        with shard.snapshot() as snapshot:
            counters = snapshot.counters()
        columns: list[layout.Columns] = []
        assert list(compacted_problems(shard, counters, columns)) == []
        assert len(columns[0].times) == 120
        del columns
