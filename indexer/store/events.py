"""Stored events, put together again from their columns, label sets and text blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.store.compacted import DELETED_KIND
from dejalog.indexer.store.layout import DamagedValueError, TextBlock
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.store.view import ShardArrays


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """A text block with its columns as arrays: text i is the bytes ends[i - 1] to ends[i]."""

    first: int
    block: TextBlock
    origin_index: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    subs: NDArray[np.uint32]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def text(self, index: int) -> str:
        """The raw text of the block's event `index`."""
        start = int(self.ends[index - 1]) if index else 0
        return self.block.texts[start : int(self.ends[index])].decode()

    def origin(self, index: int) -> tuple[str, str]:
        """Source and partition of the block's event `index`."""
        return self.block.origins[int(self.origin_index[index])]


def open_block(first: int, block: TextBlock) -> OpenBlock:
    """Returns the block with its columns checked against each other."""
    lengths = np.frombuffer(block.text_lengths, "<u4")
    opened = OpenBlock(
        first=first,
        block=block,
        origin_index=np.frombuffer(block.origin_index, "<u4"),
        offsets=np.frombuffer(block.offsets, "<i8"),
        subs=np.frombuffer(block.subs, "<u4"),
        ends=np.cumsum(lengths, dtype=np.int64),
    )
    sizes = {
        len(opened.origin_index),
        len(opened.offsets),
        len(opened.subs),
        len(block.time_origins),
        len(block.attributes),
        len(lengths),
    }
    if sizes != {len(lengths)} or int(lengths.sum()) != len(block.texts):
        raise DamagedValueError(f"text block {first}: its columns differ in length")
    return opened


#: Blocks that a reader keeps: events that are read one after the other lie close together, and a
#: thousand of them may lie in as many blocks.
_KEPT_BLOCKS = 64


class EventReader:
    """Reads events of one shard within one snapshot; keeps the blocks that it opened last."""

    def __init__(self, snapshot: Snapshot, arrays: ShardArrays) -> None:
        self._snapshot = snapshot
        self._arrays = arrays
        self._blocks: dict[int, OpenBlock] = {}

    def block(self, number: int) -> OpenBlock:
        """The block that holds the event of this number."""
        first = self._snapshot.texts_start(number)
        opened = self._blocks.get(first)
        if opened is None:
            if len(self._blocks) >= _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            opened = self._blocks[first] = open_block(first, self._snapshot.texts(first))
        if number - first >= len(opened):
            raise DamagedValueError(f"event {number} is missing")
        return opened

    def text(self, number: int) -> str:
        """The raw text of an event."""
        block = self.block(number)
        return block.text(number - block.first)

    def event(self, number: int) -> Event:
        """The whole event; raises LookupError if nothing but its number is left of it."""
        block = self.block(number)
        index = number - block.first
        row = number - self._arrays.header.first_event
        columns = self._arrays.columns
        if columns.kinds[row] == DELETED_KIND:
            raise LookupError(f"event {number} was deleted")
        source, partition = block.origin(index)
        return Event(
            kind=Kind(int(columns.kinds[row])),
            time_ns=int(columns.times[row]),
            time_origin=TimeOrigin(block.block.time_origins[index]),
            text=block.text(index),
            source=source,
            partition=partition,
            offset=int(block.offsets[index]),
            sub=int(block.subs[index]),
            labels=self._arrays.labelsets[int(columns.labelsets[row])],
            attributes=tuple((n, v) for n, v in block.block.attributes[index]),
        )
