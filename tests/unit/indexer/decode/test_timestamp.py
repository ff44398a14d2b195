from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dejalog.indexer.decode.settings import DecodeSettings
from dejalog.indexer.decode.timestamp import TimestampReader, offset_s


def ns(year: int, month: int, day: int, *clock: int, fraction_ns: int = 0) -> int:
    return int(datetime(year, month, day, *clock, tzinfo=UTC).timestamp()) * 10**9 + fraction_ns


DAY = (2022, 8, 22, 5, 18, 16)
MILLI = 154_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-08-22T05:18:16.154660034Z host x", ns(*DAY, fraction_ns=154_660_034)),
        ("2022-08-22t05:18:16z x", ns(*DAY)),
        ("2022-08-22 05:18:16,154 - INFO x", ns(*DAY, fraction_ns=MILLI)),
        ("2022-08-22 05:18:16.154 x", ns(*DAY, fraction_ns=MILLI)),
        ("2022-08-22 05:18:16:154 x", ns(*DAY, fraction_ns=MILLI)),
        ("2022-08-22T07:18:16+02:00 x", ns(*DAY)),
        ("2022-08-22T07:18:16+0200 x", ns(*DAY)),
        ("2022-08-22 07:18:16 +0200 x", ns(*DAY)),
        ("2022-08-22T00:48:16-0430 x", ns(*DAY)),
        ("2022-08-22 05:18:16 UTC x", ns(*DAY)),
        ("2022-08-22 05:18:16 -12 degrees", ns(*DAY)),
        ("2022-08-22T05:18Z", ns(2022, 8, 22, 5, 18)),
        ("2022-08-22T05:18:16.1546600341Z", ns(*DAY, fraction_ns=154_660_034)),
        ("2022/08/22 05:18:16 [error] x", ns(*DAY)),
        ("2016-12-31T23:59:60Z leap", ns(2017, 1, 1)),
        ("[2022-08-22 05:18:16] x", ns(*DAY)),
        ("INFO 2022-08-22 05:18:16 x", ns(*DAY)),
        ("[ERROR] [2022-08-22 05:18:16] x", ns(*DAY)),
        ("<13>2022-08-22T05:18:16Z x", ns(*DAY)),
        ('time="2022-08-22T05:18:16Z" level=info', ns(*DAY)),
        ("web_1  | 2022-08-22 05:18:16 x", ns(*DAY)),
        ("\ufeff2022-08-22 05:18:16 x", ns(*DAY)),
        ("20220822T051816Z x", ns(*DAY)),
        ("20220822 05:18:16.154 x", ns(*DAY, fraction_ns=MILLI)),
        ("20171223-22:15:29:606|Step|x", ns(2017, 12, 23, 22, 15, 29, fraction_ns=606_000_000)),
        ("20171224-0:0:1:12|Step|x", ns(2017, 12, 24, 0, 0, 1, fraction_ns=12_000_000)),
        ("081109 203615 148 INFO dfs: x", ns(2008, 11, 9, 20, 36, 15)),
        ("081109  7:36:15 [Note] x", ns(2008, 11, 9, 7, 36, 15)),
        (
            "03-17 16:13:38.811  1702  2395 D W: x",
            ns(2024, 3, 17, 16, 13, 38, fraction_ns=811 * 10**6),
        ),
        (
            "I0317 16:13:38.811000   7 a.go:1] x",
            ns(2024, 3, 17, 16, 13, 38, fraction_ns=811 * 10**6),
        ),
        ("22.08.2022 05:18:16 x", ns(*DAY)),
        ("2005-06-03-15.42.50.675872 x", ns(2005, 6, 3, 15, 42, 50, fraction_ns=675_872_000)),
        (
            "- 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS",
            1_117_838_570_675_872_000,
        ),
        (
            "KERNDTLB 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1",
            1_117_838_570_675_872_000,
        ),
        ("1661145496 x", ns(*DAY)),
        ("1661145496.154 x", ns(*DAY, fraction_ns=MILLI)),
        ("1661145496154 x", ns(*DAY, fraction_ns=MILLI)),
        ("1661145496154000 x", ns(*DAY, fraction_ns=MILLI)),
        ("1661145496154000000 x", ns(*DAY, fraction_ns=MILLI)),
        ("Aug 22 2022 05:18:16 x", ns(*DAY)),
        ("[Mon Aug 22 05:18:16.154 2022] [error] x", ns(*DAY, fraction_ns=MILLI)),
        ("Mon Aug 22 05:18:16 UTC 2022 x", ns(*DAY)),
        ("[22/Aug/2022:05:18:16 +0000] x", ns(*DAY)),
        ('10.0.0.1 - bob [22/Aug/2022:07:18:16 +0200] "GET /"', ns(*DAY)),
    ],
)
def test_a_timestamp_at_the_head_is_read(text: str, expected: int, received_ns: int) -> None:
    found = TimestampReader(DecodeSettings()).at_head(text, received_ns)
    assert found is not None
    assert found[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "job is due at 2022-08-22 05:18:16",
        "05:18:16.154 INFO no date",
        "1034 errors since start",
        "1234567890 REPLACE PUMP",  # 2009: older than a number without a fraction may be
        "9876543210 x",
        "100101 123000 units made",
        "03-17 16:13:38.811 not logcat",
        "03/04/2022 05:18:16 either order",
        "May be broken 05:18:16",
        "",
        "2022-08-2",
    ],
)
def test_text_that_starts_with_no_certain_time_has_none(text: str, received_ns: int) -> None:
    assert TimestampReader(DecodeSettings()).at_head(text, received_ns) is None


@pytest.mark.parametrize(
    "text", ["2022-13-22 05:18:16 x", "2022-02-30T05:18:16Z", "Feb 31 05:18:16 x"]
)
def test_a_date_that_does_not_exist_is_found_but_has_no_time(text: str, received_ns: int) -> None:
    found = TimestampReader(DecodeSettings()).at_head(text, received_ns)
    assert found is not None
    assert found[0] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("May  2 11:00:00 h t: x", ns(2024, 5, 2, 11)),
        ("May  3 11:00:00 h t: x", ns(2024, 5, 3, 11)),  # within a day of receipt
        ("May  4 11:00:00 h t: x", ns(2023, 5, 4, 11)),
        ("Dec 31 23:59:59 h t: x", ns(2023, 12, 31, 23, 59, 59)),
        ("Feb 29 01:00:00 h t: x", ns(2024, 2, 29, 1)),
    ],
)
def test_a_date_without_a_year_is_the_latest_not_in_the_future(
    text: str, expected: int, received_ns: int
) -> None:
    found = TimestampReader(DecodeSettings()).at_head(text, received_ns)
    assert found is not None
    assert found[0] == expected


def test_new_year_s_eve_read_on_new_year_s_day_is_last_year() -> None:
    received = ns(2024, 1, 1, 0, 0, 5)
    found = TimestampReader(DecodeSettings()).at_head("Dec 31 23:59:59 h t: x", received)
    assert found is not None
    assert found[0] == ns(2023, 12, 31, 23, 59, 59)
    # A sender whose clock runs ahead across the year's end.
    found = TimestampReader(DecodeSettings()).at_head(
        "Jan  1 00:00:01 h", ns(2023, 12, 31, 23, 59, 58)
    )
    assert found is not None
    assert found[0] == ns(2024, 1, 1, 0, 0, 1)


def test_a_time_without_a_zone_is_in_the_zone_of_the_settings(received_ns: int) -> None:
    times = TimestampReader(DecodeSettings(timezone="Europe/Berlin"))
    summer = times.at_head("2022-08-22 07:18:16 x", received_ns)
    winter = times.at_head("2022-01-22 06:18:16 x", received_ns)
    zoned = times.at_head("2022-08-22T05:18:16Z x", received_ns)
    assert summer
    assert winter
    assert zoned
    assert summer[0] == zoned[0] == ns(*DAY)
    assert winter[0] == ns(2022, 1, 22, 5, 18, 16)


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ("dmy", "03/04/2022 05:18:16 x"),
        ("mdy", "04/03/2022 5:18:16 AM x"),
        ("ymd", "22/04/03 05:18:16 x"),
    ],
)
def test_dates_with_slashes_are_read_in_the_order_of_the_settings(
    order: str, text: str, received_ns: int
) -> None:
    found = TimestampReader(DecodeSettings(date_order=order)).at_head(text, received_ns)
    assert found is not None
    assert found[0] == ns(2022, 4, 3, 5, 18, 16)


def test_only_times_since_1970_and_not_beyond_the_skew_are_plausible(received_ns: int) -> None:
    times = TimestampReader(DecodeSettings(future_skew_s=60))
    assert times.is_plausible(0, received_ns)
    assert times.is_plausible(received_ns + 60 * 10**9, received_ns)
    assert not times.is_plausible(received_ns + 61 * 10**9, received_ns)
    assert not times.is_plausible(-1, received_ns)
    assert not times.is_plausible(1 << 63, 1 << 64)


def test_the_cache_of_minutes_stays_bounded(received_ns: int) -> None:
    times = TimestampReader(DecodeSettings())
    for minute in range(10_000):
        text = f"2022-01-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
        found = times.at_head(text, received_ns)
        assert found is not None
        assert found[0] == ns(2022, 1, 1) + minute * 60 * 10**9
    assert len(times._utc) <= 4096


def test_offsets_east_are_positive() -> None:
    assert [offset_s(o) for o in ("Z", "+02", "+0200", "-04:30")] == [0, 7200, 7200, -16200]
