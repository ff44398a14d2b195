from __future__ import annotations

import string
import uuid
from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dejalog.indexer.mask import PLACEHOLDERS, mask

HEX = "0123456789abcdef"

#: Pieces that matchers look for, and pieces that nearly fit: joined at random they meet each
#: other's edges far more often than random characters would.
FRAGMENTS = [
    *("2023-01-29", "2023.01.29", "08:48:16", "8:48", ".664", ",664", "T", "Z", "AM", "UTC"),
    *(" CST 2013", "+0000", "-0800", "Jan", "Sat", "May", "04", "20171223", "081109 204106"),
    *("12", "1", "12345", "1234567", "12345678", "99999", "1e5", "0x", "E", "P0420", "KB"),
    *("deadbeef1", "f00dbabe", "550e8400-e29b-41d4-a716-446655440000", "aa", "bb:cc", "fe80"),
    *("10.0.0.1", "127", "::", "5c66d57d58", "-6mp2b", "eyJhbGciOiJ", "AbC1dEf2GhI3jKl4MnO5pQr6"),
    *("tmp", "tmpab12cd3x", "Xy3kZ9", "error", "version", "pid", "register", "com"),
    *("user@host.com", "Job@", "Token{", "sshd[", "]:", "1b2c6e2"),
    *("\u00b5s", "ms", "s", "h", "m", "1m30s", "INFO", " D ", "blk_", "\u00e9", "\u20ac"),
    *("\0", "\n", "\n2023-01-29 08:48:16", " ", "  ", *"-_.:/@+=,#()[]{}<>%xyz"),
    *PLACEHOLDERS,
]  # fmt: skip

texts = st.one_of(
    st.text(),
    st.text(alphabet="0123456789abcdefxyzABZ-_.:/@ <>T+=", max_size=80),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join),
)


def letters(alphabet: str, least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet=alphabet, min_size=least, max_size=most or least)


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def has_digit_and_letter(word: str) -> bool:
    return any(c.isdigit() for c in word) and any(c.isalpha() for c in word)


moments = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))

#: Values of each placeholder, as real streams write them.
VOLATILE: dict[str, list[st.SearchStrategy[str]]] = {
    "<time>": [
        moments.map(iso),
        moments.map(lambda t: f"{t:%Y-%m-%d %H:%M:%S},{t.microsecond // 1000:03}"),
        moments.map(lambda t: f"{t:%Y/%m/%d}"),
        moments.map(lambda t: f"{t:%b} {t.day:2} {t:%H:%M:%S}"),
        moments.map(lambda t: f"{t:%a %b %d %H:%M:%S} CST {t.year}"),
        moments.map(lambda t: f"{t:%d/%b/%Y:%H:%M:%S} +0000"),
        moments.map(lambda t: f"{t:%H:%M:%S}"),
    ],
    "<dur>": [
        st.integers(0, 10**6).map("{}ms".format),
        st.integers(0, 10**6).map("{} us".format),
        st.decimals(0, 10**4, places=2).map("{}s".format),
    ],
    "<num>": [
        st.integers(10**8, 10**18).map(str),
        st.integers(-(10**18), -(10**8)).map(str),
        st.decimals(-(10**6), 10**6, places=3).map(str),
    ],
    "<hex>": [
        letters(HEX, 12, 64).filter(has_digit_and_letter),
        letters(HEX, 9, 16).map("0x{}".format),
    ],
    "<uuid>": [st.uuids().map(str), st.uuids().map(lambda v: str(v).upper())],
    "<ip>": [
        st.integers(0, 2**32 - 1).map(lambda v: str(IPv4Address(v))),
        st.integers(10_000, 65_535).map("10.0.0.1:{}".format),
        letters(HEX, 4).map("2001:db8::{}".format),
    ],
    "<mac>": [st.lists(letters(HEX, 2), min_size=6, max_size=6).map(":".join)],
    "<email>": [letters(string.ascii_lowercase, 1, 12).map("{}@example.com".format)],
    "<pod>": [
        st.tuples(
            letters("456789bcdf", 9, 10).filter(has_digit_and_letter),
            letters("bcdfghjklmnpqrstvwxz2456789", 5),
        ).map("-".join)
    ],
    "<token>": [letters(string.ascii_letters + string.digits, 30).map("eyJ{}".format)],
}

TEMPLATES = [
    "{}",
    "started at {} on node 7",
    "key={}, next=12",
    '{{"field":"{}","v":1}}',
    "[{}] E-1034 on P-101",
    "\u6e29\u5ea6 {} \u00e9",
]

#: What must never be masked: two different ones always make two patterns.
CODES = st.one_of(
    st.tuples(letters(string.ascii_uppercase, 1, 4), st.integers(0, 999_999)).map(
        lambda v: f"{v[0]}-{v[1]}"
    ),
    letters("PBCU", 1).flatmap(lambda c: letters("0123456789", 4).map(lambda d: c + d)),
    letters("0123456789ABCDEF", 8).map("0x{}".format),
    st.integers(0, 9_999).map(str),
    st.integers(100, 599).map("status={}".format),
    st.integers(10_000, 99_999).map("error {}".format),
    st.tuples(letters(string.ascii_uppercase, 2), st.integers(100, 9_999)).map(
        lambda v: f"{v[0]}{v[1]}"
    ),
    st.tuples(*[st.integers(0, 30)] * 3).map(lambda v: "v" + ".".join(map(str, v))),
    st.integers(1, 9_999).map("Foo.java:{}".format),
)


@given(texts)
@example("12345678-12345")
@example("a@b.com-12345678")
@example("350 ms1234567")
@example("abcdef1b1234567xyz")
@example("fe80::1:12345678")
def test_masking_a_pattern_again_changes_nothing(text: str) -> None:
    pattern = mask(text).pattern
    assert mask(pattern).pattern == pattern


@given(texts)
def test_spans_are_in_order_and_their_placeholders_make_the_pattern(text: str) -> None:
    masked = mask(text)
    parts, end = [], 0
    for span in masked.spans:
        assert end <= span.start < span.end <= len(text)
        parts += [text[end : span.start], span.placeholder]
        end = span.end
    assert "".join(parts) + text[end:] == masked.pattern


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
@given(st.data())
def test_two_lines_that_differ_in_a_volatile_value_share_a_pattern(
    placeholder: str, data: st.DataObject
) -> None:
    template = data.draw(st.sampled_from(TEMPLATES))
    if placeholder == "<pod>":
        template = template.replace("{}", "cart-service-{}", 1)
    value = data.draw(st.one_of(VOLATILE[placeholder]))
    assert mask(template.format(value)).pattern == template.format(placeholder)


@given(st.sampled_from(TEMPLATES), CODES, CODES)
def test_two_lines_that_differ_in_a_code_do_not(template: str, one: str, other: str) -> None:
    line, other_line = template.format(one), template.format(other)
    assert mask(line).pattern == line
    assert (mask(line).pattern == mask(other_line).pattern) == (one == other)


@given(st.lists(st.one_of(CODES, *VOLATILE["<uuid>"], *VOLATILE["<ip>"]), max_size=8))
def test_values_are_found_beside_codes(words: list[str]) -> None:
    text = " | ".join(words)
    masked = mask(text)
    assert masked.values(text) == tuple(text[span.start : span.end] for span in masked.spans)
    assert [uuid.UUID(v) for v in masked.values(text) if len(v) == 36] == [
        uuid.UUID(word) for word in words if len(word) == 36
    ]


@pytest.mark.parametrize("unit", ["1", "1.", "a:", "f", ":", "a@", "a.b-", "<", "1234567x", "eyJ."])
def test_a_text_made_to_be_slow_is_masked_at_a_megabyte(unit: str) -> None:
    # A matcher that starts over at every byte would run into the test timeout here.
    text = unit * (1_000_000 // len(unit))
    pattern = mask(text).pattern
    assert mask(pattern).pattern == pattern
