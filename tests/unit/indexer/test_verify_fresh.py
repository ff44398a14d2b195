from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dejalog.indexer import verify_fresh
from dejalog.indexer.append import text_blocks
from dejalog.indexer.store import layout
from dejalog.indexer.store.layout import Columns, key_u32, key_u64
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.verify_fresh import Walk, column_problems, vector_problems


@pytest.fixture
def shard(make_index) -> Shard:
    maker = make_index()
    for number in range(3):
        maker.add(f"fan F-{number} stopped", f"pump P-{number} stopped")
    return maker.directory.shards[0]


def walk(shard: Shard, *, is_quiet: bool = True) -> Walk:
    with shard.snapshot() as snapshot:
        return Walk(shard, snapshot.counters(), is_quiet)


def replace(shard: Shard, database: bytes, key: bytes, value: bytes) -> None:
    with shard._environment.begin(write=True) as transaction:
        transaction.put(key, value, db=shard._databases[database])


def changed_columns(shard: Shard, change: Callable[[Columns], None]) -> list[str]:
    with shard.snapshot() as snapshot:
        first, stored = next(snapshot.columns_from(2))
    columns = Columns(*(getattr(stored, n).copy() for n in Columns.__slots__))
    change(columns)
    replace(shard, b"columns", key_u64(first), layout.seal_columns(columns))
    return list(column_problems(walk(shard), []))


def test_a_good_shards_columns_are_handed_on(shard: Shard) -> None:
    found: list[Columns] = []
    assert list(column_problems(walk(shard), found)) == []
    assert list(vector_problems(walk(shard))) == []
    assert np.concatenate([columns.patterns for columns in found]).tolist() == list(range(6))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("patterns", 6, "a pattern that is not there"),
        ("labelsets", 1, "a label set that is not there"),
        ("kinds", 0, "neither logs nor notes"),
        ("times", -1, "outside of the shard's time window"),
    ],
)
def test_a_column_that_points_nowhere_is_found(
    shard: Shard, name: str, value: int, problem: str
) -> None:
    def change(columns: Columns) -> None:
        getattr(columns, name)[1] = value

    (found,) = changed_columns(shard, change)
    assert "from 2 on" in found
    assert problem in found


def test_a_batch_of_columns_that_is_missing_is_found(shard: Shard) -> None:
    with shard._environment.begin(write=True) as transaction:
        transaction.delete(key_u64(2), db=shard._databases[b"columns"])
    assert list(column_problems(walk(shard), [])) == ["columns begin at event 4 instead of 2"]


def test_vectors_of_too_few_patterns_or_the_wrong_shape_are_found(shard: Shard) -> None:
    with shard.snapshot() as snapshot:
        first, vectors = next(snapshot.vectors_from(4))
    narrow = layout.Vectors(
        vectors.lengths,
        np.ascontiguousarray(vectors.codes[:, 1:]),
        vectors.scales,
        vectors.pooled_codes,
        vectors.pooled_scales,
    )
    replace(shard, b"vectors", key_u32(first), layout.seal_vectors(narrow))
    assert list(vector_problems(walk(shard))) == [
        "the vectors from pattern 4 on have the wrong shape"
    ]
    with shard._environment.begin(write=True) as transaction:
        transaction.delete(key_u32(4), db=shard._databases[b"vectors"])
    (problem,) = vector_problems(walk(shard))
    assert problem.startswith("has vectors of 4 patterns")


@pytest.mark.parametrize("is_quiet", [True, False])
def test_a_walk_leaves_out_what_a_writer_adds_meanwhile(
    shard: Shard, make_index, monkeypatch: pytest.MonkeyPatch, is_quiet: bool
) -> None:
    monkeypatch.setattr(verify_fresh, "BLOCKS_PER_SNAPSHOT", 1)
    begun = walk(shard, is_quiet=is_quiet)
    block = next(text_blocks([make_index().event("one more")]))[1]
    with shard.write() as write:
        write.put_texts(6, block)
    firsts = [first for first, _ in begun.blocks(Snapshot.texts_from, 0, 6)]
    assert firsts == ([0, 2, 4, 6] if is_quiet else [0, 2, 4])
