from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from dejalog.indexer.mask import MASK_VERSION, PLACEHOLDERS, Span, mask, mask_pattern

SHARED = Path(__file__).parents[4] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared data folder is not beside the checkout"
)

MASKED = [
    # times
    ("2023-01-29T08:48:16.664646125Z up", "<time> up"),
    ("2023-01-29 08:48:16,664 up", "<time> up"),
    ("2023-01-29T08:48:16.664+00:00 up", "<time> up"),
    ("2023-01-29 08:48:16 UTC up", "<time> up"),
    ("on 2023-01-29.", "on <time>."),
    ("2023/01/29 08:48 up", "<time> up"),
    ("2005-06-03-16.47.20.730545 up", "<time> up"),
    ("at 29.01.2023 and 01/29/2023 8:48:16 AM", "at <time> and <time>"),
    ("Jun 15 02:04:59 combo", "<time> combo"),
    ("Jul  1 07:57:30 combo", "<time> combo"),
    ("time: Sat May 04 12:46:52 CST 2013]", "time: <time>]"),
    ("Sun, 06 Nov 1994 08:49:37 GMT", "<time>"),
    ("[10/Oct/2000:13:55:36 -0700]", "[<time>]"),
    ("20171223-22:15:29:635|Step", "<time>|Step"),
    ("20171224-0:0:5:323|Step", "<time>|Step"),
    ("20230129T084816Z up", "<time> up"),
    ("081109 204106 up", "<time> up"),
    ("03-17 16:13:38.859 up", "<time> up"),
    ("at 16:48:16.664", "at <time>"),
    ("at 8:48 PM today", "at <time> today"),
    ("log-2023-01-29.gz", "log-<time>.gz"),
    # durations
    ("took 350ms", "took <dur>"),
    ("took 350 ms", "took <dur>"),
    ("took 12.5\u00b5s or 12.5 \u03bcs", "took <dur> or <dur>"),
    ("took 2.5s", "took <dur>"),
    ("took 1h2m3.5s", "took <dur>"),
    # identifiers
    ("id=550e8400-e29b-41d4-a716-446655440000", "id=<uuid>"),
    ("TraceID: 88ebfbcebbbc0884eabd9178e1808940", "TraceID: <hex>"),
    ("sessionid: 0x34ede65503f0010", "sessionid: <hex>"),
    ("iar 0014a150 dear 00106210", "iar <hex> dear <hex>"),
    ("Job@1b2c6e2 Token{78af589", "Job@<hex> Token{<hex>"),
    ("ts-travel2-service-5c66d57d58-6mp2b up", "ts-travel2-service-<pod> up"),
    ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ0In0.a-b_C", "Bearer <token>"),
    ("key Zm9vYmFyYmF6cXV4Q29ycmVjdEhvcnNl9aXk+aB==", "key <token>"),
    ("ulid 01ARZ3NDEKTSV4RRFFQ69G5FAV", "ulid <token>"),
    ("/tmp/tmpab12cd3x and /tmp/tmp.Xy3kZ9abcd", "/tmp/<token> and /tmp/tmp.<token>"),
    # addresses
    ("from 10.251.74.79:50010 to /10.0.0.1", "from <ip> to /<ip>"),
    ("fe80::1ff:fe23:4567:890a%eth0", "<ip>%eth0"),
    ("2001:db8::1/64", "<ip>/64"),
    ("0:0:0:0:0:0:0:0:2181", "<ip>:2181"),
    ("mac aa:bb:cc:dd:ee:ff, 00-1A-2B-3C-4D-5E", "mac <mac>, <mac>"),
    ("mail john.doe+x@mail.example.co.uk now", "mail <email> now"),
    # numbers
    ("size 67108864", "size <num>"),
    ("blk_-1608999687919862906", "blk_<num>"),
    ("blk_1608999687919862906", "blk_<num>"),
    ("at 1674982155 or 1674982155123", "at <num> or <num>"),
    ("value=-0.5, 99.5% 85.3C 1.5e-05", "value=<num>, <num>% <num>C <num>"),
    ("part-00382 core.11784 user1234567", "part-<num> core.<num> user<num>"),
    ("WO-12345678", "WO-<num>"),
    ("sshd(pam_unix)[2088]: check", "sshd(pam_unix)[<num>]: check"),
    ("pid=2088", "pid=<num>"),
    ("03-17 16:13:38.859  1702  2556 D Power", "<time>  <num>  <num> D Power"),
    ("081109 204106 329 INFO dfs", "<time> <num> INFO dfs"),
    ("\u6e29\u5ea612345678\u5ea6", "\u6e29\u5ea6<num>\u5ea6"),
    # inside a URL the words stay
    ("http://h.example/api/v2/orders/83726?user=bob&t=550e8400-e29b-41d4-a716-446655440000",
     "http://h.example/api/v2/orders/<num>?user=bob&t=<uuid>"),
]  # fmt: skip

KEPT = [
    "E-1034 SRVE0255E P0420 ORA-00942 ERR_CONN_12029 C0035 F30001 KB5005565 CVE-2021-44228",
    "0x80070005 0x8007000E 0xDEADBEEF 0x1F",
    "error 10061, code=12029, status=10061, HRESULT: -2147024891, exception c0000005",
    "alarm 700016, fault code 25201, register 40001",
    "P-101 tripped, axis 3, POS 7, CR871, PH639, AN426, DB100.DBX2.0, 6ES7214-1AG40-0XB0",
    "GET /index.html HTTP/1.1 404 500 200",
    "version 1.2.3, v1.2.3, 1.2.3, firmware 2.4, TLS 1.2, log4j-1.2.17.jar, Mozilla/5.0",
    "object identifier 1.3.6.1.4.1.311.21, version 1.2.3.4",
    "at com.example.Foo.bar(Foo.java:123) TravelServiceImpl#372 Manager@368",
    "AbstractJackson2HttpMessageConverter Base64Utf8Sha256HmacProvider FSNamesystem",
    "timeout 300s, retry in 30 s, wait 5m, every 1h30m",
    "ratio 12:30, list [1, 2, 3], range 10-20, systemd[1]: up, array[123] up",
    "std::a::b dead::beef abc::d1 root@gateway QuorumCnxManager$SendWorker@688",
    "<34>1 <b>bold</b> < time> <times> a<b",
    "product 6E92ZMYYFZ train Z1234 seat 12A",
    "deadbeef facade may Sat Jan",
    "May 04, Jan 99 2023 at 25",
    "",
    "\0",
]


@pytest.mark.parametrize(("text", "pattern"), MASKED)
def test_a_volatile_value_becomes_its_placeholder(text: str, pattern: str) -> None:
    assert mask(text).pattern == pattern


@pytest.mark.parametrize("text", KEPT)
def test_what_carries_meaning_stays_byte_for_byte(text: str) -> None:
    assert mask(text) == (text, ())


def test_a_real_line_shows_every_part() -> None:
    text = (
        "2023-01-29T08:48:16.664646125Z 33.33.33.167 ts-travel2-service-5c66d57d58-6mp2b "
        "16:48:16.664 INFO t.s.TravelServiceImpl#372 TraceID: 88ebfbcebbbc0884eabd9178e1808940 "
        "SpanID: dd84024eb1cbced4 [getTickets][calculate time\uff1a175]"
    )
    masked = mask(text)
    assert masked.pattern == (
        "<time> <ip> ts-travel2-service-<pod> <time> INFO t.s.TravelServiceImpl#372 "
        "TraceID: <hex> SpanID: <hex> [getTickets][calculate time\uff1a175]"
    )
    assert masked.values(text) == (
        "2023-01-29T08:48:16.664646125Z",
        "33.33.33.167",
        "5c66d57d58-6mp2b",
        "16:48:16.664",
        "88ebfbcebbbc0884eabd9178e1808940",
        "dd84024eb1cbced4",
    )


def test_spans_count_code_points_not_bytes() -> None:
    text = "\U0001f525 \u00fcber 10.0.0.1 \u2192 12345"
    assert mask(text).spans == (Span(7, 15, "<ip>"), Span(18, 23, "<num>"))
    assert mask(text).values(text) == ("10.0.0.1", "12345")


def test_the_hot_path_gives_type_ids_and_offsets() -> None:
    pattern, flat = mask_pattern("from 10.0.0.1 size 67108864")
    assert pattern == "from <ip> size <num>"
    assert flat == (PLACEHOLDERS.index("<ip>"), 5, 13, PLACEHOLDERS.index("<num>"), 19, 27)


def test_a_literal_placeholder_stays_as_it_is() -> None:
    for placeholder in PLACEHOLDERS:
        assert mask(f"a {placeholder} b") == (f"a {placeholder} b", ())


def test_a_lone_surrogate_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        mask("broken \udc80 text")


def test_placeholders_are_distinct_and_the_version_counts_from_one() -> None:
    assert len(set(PLACEHOLDERS)) == len(PLACEHOLDERS)
    assert MASK_VERSION >= 1


def patterns_of_log(name: str) -> set[str]:
    with gzip.open(SHARED / "logs" / name, "rt", encoding="utf-8") as lines:
        return {mask_pattern(line.rstrip("\n"))[0] for line in lines}


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("nezha_trainticket.log.gz", 1_100, 4_000), ("nezha_onlineboutique.log.gz", 300, 1_500)],
)
def test_a_real_stream_has_few_patterns(name: str, least: int, most: int) -> None:
    assert least <= len(patterns_of_log(name)) <= most


@needs_shared_data
def test_no_two_trouble_codes_share_a_pattern() -> None:
    with (SHARED / "codes" / "dtc_wal33d.csv").open(encoding="utf-8", newline="") as rows:
        texts = {",".join(row) for row in csv.reader(rows)}
    assert len({mask(text).pattern for text in texts}) == len(texts)


@needs_shared_data
def test_maintenance_notes_stay_almost_untouched() -> None:
    with (SHARED / "maintenance" / "maintnorm.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = {value for row in rows for value in row.values() if isinstance(value, str)}
    patterns = {mask(text).pattern for text in texts}
    assert sum(pattern not in texts for pattern in patterns) < len(texts) * 0.002
    assert len(texts) - len(patterns) < 10
