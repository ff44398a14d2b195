"""A decoder at a fixed time of receipt, and a short way to call it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dejalog.indexer.decode import Decoder, DecodeSettings
from dejalog.indexer.decode.json_object import Reading
from dejalog.indexer.decode.timestamp import TimestampReader
from dejalog.indexer.event import Decoded, Record

#: 2024-05-02T12:00:00Z, a Thursday: when all records of these tests are received.
RECEIVED_NS = int(datetime(2024, 5, 2, 12, tzinfo=UTC).timestamp()) * 10**9

Decode = Callable[..., Decoded]


@pytest.fixture
def received_ns() -> int:
    return RECEIVED_NS


@pytest.fixture
def reading() -> Reading:
    settings = DecodeSettings()
    return Reading(settings, TimestampReader(settings), RECEIVED_NS)


@pytest.fixture
def decode() -> Decode:
    decoder = Decoder()

    def call(data: bytes, **fields: object) -> Decoded:
        return decoder.decode(Record("s", "p", 7, 8, data, RECEIVED_NS, **fields))

    return call
