from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.store.compacted import DELETED_KIND, SectionMap, order_events
from dejalog.indexer.store.layout import Columns
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.shard import Shard

LENGTHS = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=5), min_size=1, max_size=3)


def assert_same(found: object, expected: object) -> None:
    """Compares dataclasses with arrays in them, type by type and number by number."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif is_dataclass(expected):
        for field in fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name))
    elif isinstance(expected, tuple):
        assert isinstance(found, tuple)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


def opened(path: Path) -> tuple[Shard, SectionMap]:
    shard = Shard.open_compacted(path)
    with shard.snapshot() as snapshot:
        return shard, SectionMap.open(shard, snapshot)


@given(
    LENGTHS,
    st.fixed_dictionaries(
        {
            "bits": st.sampled_from([1, 2, 4]),
            "centroids": st.integers(1, 9),
            "seed": st.integers(0, 2**32),
        }
    ),
)
@settings(max_examples=25, deadline=None)
def test_blocks_come_back_as_they_were(
    tmp_path_factory, make_compacted, lengths, options: dict[str, int]
) -> None:
    path = tmp_path_factory.mktemp("compacted") / "000001"
    written = make_compacted(path, lengths, **options)
    shard, sections = opened(path)
    vectors = sections.vectors()
    assert_same(vectors.codebook, written.codebook)
    assert_same(vectors.blocks, written.blocks)
    assert_same(sections.columns(written.counters.events), written.columns)
    live = written.counters.events - written.counters.deleted
    expected = order_events(written.columns, written.counters.patterns)
    assert_same(sections.event_order(live, written.counters.patterns), expected)
    shard.close()


def test_a_block_without_a_pattern_comes_back(tmp_path: Path, make_compacted) -> None:
    """A shard of which everything was deleted still has its numbers."""
    written = make_compacted(tmp_path / "000001", [[]], events=2)
    shard, sections = opened(tmp_path / "000001")
    assert_same(sections.vectors().blocks, written.blocks)
    assert sections.event_order(0, 0).starts.tolist() == [0]
    shard.close()


@given(
    st.integers(1, 6).flatmap(
        lambda patterns: st.tuples(
            st.just(patterns),
            st.lists(
                st.tuples(
                    st.integers(0, patterns - 1), st.integers(-(2**60), 2**60), st.booleans()
                ),
                max_size=30,
            ),
        )
    )
)
def test_the_order_of_events_is_what_looking_at_each_event_gives(drawn) -> None:
    patterns, events = drawn
    columns = Columns(
        times=np.array([time for _, time, _ in events], np.int64),
        patterns=np.array([pattern for pattern, _, _ in events], np.uint32),
        labelsets=np.zeros(len(events), np.uint32),
        kinds=np.array([DELETED_KIND if gone else 1 for _, _, gone in events], np.uint8),
    )
    order = order_events(columns, patterns)
    for pattern in range(patterns):
        rows = [i for i, (p, _, gone) in enumerate(events) if p == pattern and not gone]
        found = order.rows[order.starts[pattern] : order.starts[pattern + 1]]
        assert found.tolist() == rows
        newest = max((events[i][1] for i in rows), default=np.iinfo(np.int64).min)
        assert order.newest[pattern] == newest


def test_arrays_are_mapped_read_only_and_not_copied(tmp_path: Path, make_compacted) -> None:
    make_compacted(tmp_path / "000001", [[6] * 400], events=5_000)
    shard = Shard.open_compacted(tmp_path / "000001")
    times = shard.section("times")
    again = shard.section("times")
    assert times.ctypes.data == again.ctypes.data
    assert times.ctypes.data % 8 == 0
    for name in ("times", "weights"):
        array = shard.section(name)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    shard.close()


def test_arrays_outlive_their_shard_and_its_folder() -> None:
    """A search goes on in the map of a shard that a compaction replaced; else it is SIGSEGV."""
    script = """
import gc, shutil, sys, tempfile
from pathlib import Path
import numpy as np
from dejalog.indexer.store.shard import Shard
sys.path.insert(0, sys.argv[1])
from conftest import write_compacted
path = Path(tempfile.mkdtemp()) / "000001"
written = write_compacted(path, [[6] * 2000], events=200_000)
shard = Shard.open_compacted(path)
times = shard.section("times").view(np.int64)
part, again = times[1000:], np.asarray(times)
shutil.rmtree(path)
shard.close()
shard.close()
del shard, times
gc.collect()
assert (part == written.columns.times[1000:]).all()
assert (again == written.columns.times).all()
print("read")
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "read\n"), result.stderr


def test_the_last_array_closes_the_environment(tmp_path: Path, make_compacted) -> None:
    """LMDB refuses a second environment at one place, so a closed shard must not keep its own."""
    make_compacted(tmp_path / "000001", [[6] * 400], events=5_000)
    shard = Shard.open_compacted(tmp_path / "000001")
    times = shard.section("times")
    shard.close()
    assert times.any()
    del times
    gc.collect()
    Shard.open_compacted(tmp_path / "000001").close()


def test_a_section_of_the_wrong_size_is_named(tmp_path: Path, make_compacted) -> None:
    make_compacted(tmp_path / "000001", [[2, 2]], events=9)
    shard, sections = opened(tmp_path / "000001")
    with pytest.raises(CorruptShardError, match="section times has 72 bytes instead of 80"):
        sections.columns(10)
    shard.close()


def test_a_section_that_is_not_there_is_named(tmp_path: Path, make_compacted) -> None:
    make_compacted(tmp_path / "000001", [[1]])
    shard = Shard.open_compacted(tmp_path / "000001")
    with pytest.raises(CorruptShardError, match="section speed: it is missing"):
        shard.section("speed")
    shard.close()


@given(hnp.arrays(np.uint8, st.integers(0, 9_000)))
@settings(max_examples=20, deadline=None)
def test_a_section_of_any_size_comes_back(tmp_path_factory, make_compacted, array) -> None:
    folder = tmp_path_factory.mktemp("sections")
    header = make_compacted(folder / "000001", [[1]]).header
    shard = Shard.create(folder / "000002", header, [], Tier.COMPACTED)
    with shard.write() as write:
        write.put_section("odd", array)
    np.testing.assert_array_equal(shard.section("odd"), array)
    with shard.snapshot() as snapshot:
        assert snapshot.section("odd") == array.tobytes()
        assert snapshot.section_names() == ["odd"]
    shard.close()
