"""Offsets within a call rise or are absent, and one side numbers a partition."""

from __future__ import annotations

import pytest

from dejalog.client.pushed import Pushed
from dejalog.daemon.sources.pushed import (
    CLIENT_OFFSETS,
    SERVER_OFFSETS,
    Numbering,
    OffsetError,
    PushBatch,
    offset_state,
)


def batch(*offsets: int | None, partition: str = "0") -> PushBatch:
    return PushBatch("grpc:plc", partition, [Pushed(b"", offset) for offset in offsets])


def test_rising_offsets_with_gaps_pass_over_several_batches():
    numbering = Numbering()
    numbering.check(batch(0, 1, 7))
    numbering.check(batch())
    numbering.check(batch(8, 100))


@pytest.mark.parametrize("offsets", [(1, 0), (3, 3), (None, 1), (1, None)])
def test_other_offsets_are_refused_within_a_batch_and_across_batches(offsets):
    with pytest.raises(OffsetError):
        Numbering().check(batch(*offsets))
    numbering = Numbering()
    numbering.check(batch(offsets[0]))
    with pytest.raises(OffsetError):
        numbering.check(batch(offsets[1]))


def test_each_partition_is_numbered_on_its_own():
    numbering = Numbering()
    numbering.check(batch(5))
    numbering.check(batch(0, partition="1"))
    numbering.check(batch(None, partition="2"))


def test_who_numbers_is_settled_by_the_first_batch_and_kept():
    assert offset_state(batch(0), "") == CLIENT_OFFSETS
    assert offset_state(batch(None), "") == SERVER_OFFSETS
    assert offset_state(batch(4), CLIENT_OFFSETS) == CLIENT_OFFSETS
    with pytest.raises(OffsetError, match="numbered by the server"):
        offset_state(batch(4), SERVER_OFFSETS)
    with pytest.raises(OffsetError, match="numbered by the client"):
        offset_state(batch(None), CLIENT_OFFSETS)
