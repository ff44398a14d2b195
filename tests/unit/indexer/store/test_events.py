from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dejalog.indexer.append import Appender, Batch, PreparedEvent, text_blocks
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.store.compacted import DELETED_KIND
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import EventReader, open_block
from dejalog.indexer.store.layout import DamagedValueError
from dejalog.indexer.store.view import ShardView

EVENTS = [
    Event(Kind.LOG, 10, TimeOrigin.EVENT, "fan \u00e4 stopped\x00", "file", "1:2", 0),
    Event(
        Kind.NOTE,
        -5,
        TimeOrigin.RECEIVED,
        "",
        "grpc:notes",
        "0",
        7,
        3,
        labels=(("asset", "P-101"), ("site", "lodz")),
        attributes=(("author", "m"),),
    ),
    Event(Kind.LOG, 2**62, TimeOrigin.EVENT, "x" * 300_000, "file", "1:2", 20),
]


def test_an_event_comes_back_as_it_was_given(tmp_path: Path, encoder: Encoder) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        for events in (EVENTS, EVENTS[:1]):
            appender.append(Batch([PreparedEvent(e, "p") for e in events], [], []))
        arrays = ShardView(directory.shards[0]).refresh()
        with directory.shards[0].snapshot() as snapshot:
            reader = EventReader(snapshot, arrays)
            read = [reader.event(number) for number in range(4)]
            assert read == [*EVENTS, EVENTS[0]]
            assert reader.text(1) == ""
            with pytest.raises(DamagedValueError):
                reader.event(4)


def test_an_event_of_which_only_its_number_is_left_cannot_be_read(
    tmp_path: Path, encoder: Encoder
) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        appender.append(Batch([PreparedEvent(e, "p") for e in EVENTS], [], []))
        arrays = ShardView(directory.shards[0]).refresh()
        kinds = arrays.columns.kinds.copy()
        kinds[1] = DELETED_KIND
        hollow = replace(arrays, columns=replace(arrays.columns, kinds=kinds))
        with directory.shards[0].snapshot() as snapshot:
            reader = EventReader(snapshot, hollow)
            assert reader.event(0) == EVENTS[0]
            with pytest.raises(LookupError, match="event 1 was deleted"):
                reader.event(1)


def test_columns_of_different_lengths_are_damage() -> None:
    block = next(text_blocks(EVENTS))[1]
    for changed in ({"time_origins": b""}, {"text_lengths": np.zeros(3, "<u4").tobytes()}):
        fields = {name: getattr(block, name) for name in block.__struct_fields__}
        with pytest.raises(DamagedValueError):
            open_block(0, type(block)(**{**fields, **changed}))
