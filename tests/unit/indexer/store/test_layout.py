from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dejalog.indexer.store import layout
from dejalog.indexer.store.layout import Columns, DamagedValueError, TextBlock, Vectors


@given(st.binary())
def test_a_sealed_value_comes_back_as_it_was(payload: bytes) -> None:
    assert layout.unseal(layout.seal(payload)) == payload


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_flipped_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(layout.seal(payload))
    # Byte 3 of the header is reserved and not covered.
    index = data.draw(st.integers(0, len(sealed) - 1).filter(lambda i: i != 3))
    sealed[index] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedValueError):
        layout.unseal(bytes(sealed))


@given(st.integers(0, 20), st.data())
def test_columns_come_back_as_they_were(count: int, data: st.DataObject) -> None:
    columns = Columns(
        times=data.draw(hnp.arrays(np.int64, count)),
        patterns=data.draw(hnp.arrays(np.uint32, count)),
        labelsets=data.draw(hnp.arrays(np.uint32, count)),
        kinds=data.draw(hnp.arrays(np.uint8, count)),
    )
    read = layout.unseal_columns(layout.seal_columns(columns))
    for name in ("times", "patterns", "labelsets", "kinds"):
        np.testing.assert_array_equal(getattr(read, name), getattr(columns, name))


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(1, 8), st.integers(0, 8))
def test_vectors_come_back_as_they_were(lengths: list[int], dim: int, pooled_dim: int) -> None:
    random = np.random.default_rng(sum(lengths) + dim)
    tokens = sum(lengths)
    vectors = Vectors(
        lengths=np.array(lengths, np.uint32),
        codes=random.integers(-127, 128, (tokens, dim)).astype(np.int8),
        scales=random.random(tokens, np.float32),
        pooled_codes=random.integers(-127, 128, (len(lengths), pooled_dim)).astype(np.int8),
        pooled_scales=random.random(len(lengths), np.float32),
    )
    read = layout.unseal_vectors(layout.seal_vectors(vectors))
    for name in ("lengths", "codes", "scales", "pooled_codes", "pooled_scales"):
        np.testing.assert_array_equal(getattr(read, name), getattr(vectors, name))


def test_columns_that_are_too_short_or_too_long_are_refused() -> None:
    one = Columns(
        np.zeros(1, np.int64), np.zeros(1, np.uint32), np.zeros(1, np.uint32), np.ones(1, np.uint8)
    )
    payload = layout.unseal(layout.seal_columns(one))
    for changed in (payload[:-1], payload + b"\0", b""):
        with pytest.raises(DamagedValueError):
            layout.unseal_columns(layout.seal(changed))


def test_a_compressed_value_of_another_kind_is_refused() -> None:
    with pytest.raises(DamagedValueError):
        layout.unseal_compressed(layout.seal_compressed(["a pattern"]), TextBlock)
    with pytest.raises(DamagedValueError):
        layout.unseal_compressed(layout.seal(b"not zstd"), list[str])


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2))
def test_keys_sort_like_their_numbers(numbers: list[int]) -> None:
    assert sorted(numbers) == [
        layout.number_of(k) for k in sorted(layout.key_u64(n) for n in numbers)
    ]


@given(st.lists(st.text(), min_size=2, max_size=3), st.lists(st.text(), min_size=2, max_size=3))
def test_digests_of_different_parts_differ(first: list[str], other: list[str]) -> None:
    assert (layout.digest(*first) == layout.digest(*other)) == (first == other)
