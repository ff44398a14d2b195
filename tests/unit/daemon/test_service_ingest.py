"""Batches are checked against the documented limits."""

from __future__ import annotations

import pytest

from dejalog.client.pushed import Pushed
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.daemon.service_ingest import checked_batch
from dejalog.daemon.sources.pushed import PushBatch
from dejalog.proto.v1.ingest_pb2 import AppendRecord, AppendRequest


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"source": ""}, "source"),
        ({"source": "a\nb"}, "source"),
        ({"source": "a" * 201}, "source"),
        ({"partition": "\0"}, "partition"),
        ({"encoding": "ebcdic"}, "encoding"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"a": "x" * 1025}}, "labels"),
        ({"labels": {str(n): "x" for n in range(65)}}, "labels"),
        ({"records": [AppendRecord(offset=-1)]}, "records.offset"),
        ({"records": [AppendRecord(offset=2**63 - 1)]}, "records.offset"),
        ({"records": [AppendRecord()] * 10_001}, "records"),
    ],
)
def test_a_batch_beyond_a_limit_names_the_field(fields, name):
    with pytest.raises(ServiceError) as caught:
        checked_batch(AppendRequest(**{"source": "plc", **fields}))
    assert caught.value.field == name


def test_unset_fields_take_the_documented_defaults():
    batch = checked_batch(AppendRequest(source="plc", records=[AppendRecord(data=b"x")]))
    assert batch == PushBatch("grpc:plc", "0", [Pushed(b"x", None)], "auto", ())


def test_offset_zero_is_an_offset_and_labels_are_sorted():
    message = AppendRequest(
        source="plc",
        partition="line 3",
        encoding="json",
        labels={"site": "lodz", "asset": "P-101"},
        records=[AppendRecord(data=b"x", offset=0)],
    )
    labels = (("asset", "P-101"), ("site", "lodz"))
    assert checked_batch(message) == PushBatch(
        "grpc:plc", "line 3", [Pushed(b"x", 0)], "json", labels
    )
