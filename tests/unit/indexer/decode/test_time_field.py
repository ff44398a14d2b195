from __future__ import annotations

from decimal import Decimal

import pytest

from dejalog.indexer.decode import time_field
from dejalog.indexer.decode.settings import DecodeSettings
from dejalog.indexer.decode.timestamp import TimestampReader

NS = 1_661_145_496_000_000_000  # 2022-08-22T05:18:16Z


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_661_145_496, NS),
        (1_661_145_496_154, NS + 154_000_000),
        (1_661_145_496_154_660, NS + 154_660_000),
        (1_661_145_496_154_660_034, NS + 154_660_034),
        (Decimal("1661145496.154660034"), NS + 154_660_034),
        ("1661145496154660", NS + 154_660_000),
        ("1661145496.5", NS + 500_000_000),
        (-5, -5_000_000_000),
        ("2022-08-22T05:18:16Z", NS),
        (" 2022-08-22 05:18:16 ", NS),
        ("2022-08-22", NS - (5 * 3600 + 18 * 60 + 16) * 10**9),
        ("22.08.2022", NS - (5 * 3600 + 18 * 60 + 16) * 10**9),
        ("Mon, 22 Aug 2022 05:18:16 +0000", NS),
        ("Aug 22, 2022 5:18:16 AM", NS),
        ("22 August 2022 05:18:16 GMT", NS),
    ],
)
def test_what_a_field_says_in_one_way_only_is_read(
    value: object, expected: int, received_ns: int
) -> None:
    assert time_field.read(value, received_ns, TimestampReader(DecodeSettings())) == expected


@pytest.mark.parametrize(
    "value",
    [
        None, True, "", "soon", "10", "2022", "05:18", "Monday", 0, [1661145496], {"s": 1},
        Decimal("NaN"), Decimal("1e999999"), "03/04/2022 10:00", "3-4-2022", "2022-13-45",
        "22 August 2022 05:18 CST", "x" * 1000, "1" * 200, "August 2022",
    ],
)  # fmt: skip
def test_what_is_no_time_or_may_mean_two_is_not(value: object, received_ns: int) -> None:
    assert time_field.read(value, received_ns, TimestampReader(DecodeSettings())) is None


def test_a_date_order_makes_dates_with_slashes_readable(received_ns: int) -> None:
    times = TimestampReader(DecodeSettings(date_order="dmy"))
    assert time_field.read("22/08/2022 05:18:16", received_ns, times) == NS
    assert time_field.read("13/09/2001", received_ns, times) == 1_000_339_200 * 10**9
