from __future__ import annotations

from decimal import Decimal

import pytest

from dejalog.indexer.decode.draft import Refusal
from dejalog.indexer.decode.json_value import DEPTH_MAX, flatten, parse, write


def test_fractions_stay_as_written() -> None:
    assert parse(b"1661145496.154660034") == Decimal("1661145496.154660034")
    assert write({"a": Decimal("1.10")}) == '{"a":1.10}'
    assert parse(b"[1e99999999999999999999]") == ["1e99999999999999999999"]


@pytest.mark.parametrize("data", [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000, b"[" * 10_000])
def test_json_nested_ten_thousand_deep_is_refused(data: bytes) -> None:
    value = parse(data)
    assert isinstance(value, Refusal)
    assert value.reason == "json-too-deep"


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b'{"a":1} x', b'"\\ud800 "', b"1" * 5000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    value = parse(data)
    assert isinstance(value, Refusal)
    assert value.reason == "bad-json"


def test_nested_objects_become_dotted_names() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": {}, "a.b": 3}) == {
        "a.b": 1, "a.c.d": [2], "e": {}, "a.b#": 3,
    }  # fmt: skip


def test_depth_beyond_the_bound_stays_one_value() -> None:
    value: dict[str, object] = {"end": 1}
    for _ in range(2 * DEPTH_MAX):
        value = {"a": value}
    (name,) = flatten(value)
    assert name == ".".join("a" * DEPTH_MAX)
