from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import Condition
from dejalog.indexer.query import TEXT_CHARACTERS_MAX, SearchRequest, parse_query


def parse(text: str, *where: str, known: tuple[str, ...] = ()):
    return parse_query(SearchRequest(text, where=where), frozenset(known))


def test_a_quoted_string_is_exact_and_still_says_what_is_meant() -> None:
    query = parse('pump "low pressure" alarm')
    assert query.exact == ("low pressure",)
    assert query.words.split() == ["pump", "low", "pressure", "alarm"]


def test_a_known_label_in_the_text_is_a_filter() -> None:
    query = parse("pump trips site=lodz severity>=warn", known=("site",))
    assert query.words.split() == ["pump", "trips"]
    assert query.conditions == (
        Condition("site", "=", "lodz"),
        Condition("severity", ">=", "warn"),
    )


def test_a_pasted_line_does_not_turn_into_filters() -> None:
    line = "Response(status=1, msg=ok) retry=3 took=12ms"
    query = parse(line, known=("site", "host"))
    assert query.words == line
    assert query.conditions == ()


def test_what_is_quoted_is_no_filter() -> None:
    """`"host=gw7 failed"` also became the filter host=gw7, which no event met."""
    query = parse('"host=gw7 failed" "severity=error"', known=("host",))
    assert query.conditions == ()
    assert query.exact == ("host=gw7 failed", "severity=error")


def test_values_that_are_none_are_words_in_a_pasted_line() -> None:
    """`kind=Pod` in a pasted line ended the search with an error."""
    for text in ("created kind=Pod name=x", "severity=5 x", "severity>=loud"):
        assert parse(text).conditions == ()


def test_half_a_character_from_the_shell_does_no_harm() -> None:
    assert parse('"caf\udce9" open').exact == ("caf?",)


def test_where_takes_any_label() -> None:
    assert parse("x", "pod.name != a b").conditions == (Condition("pod.name", "!=", "a b"),)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("site", "write label=value"),
        ("site=", "write label=value"),
        ("severity>=loud", "one of trace, debug"),
        ("kind=photo", "log or note"),
        ("site>=3", "severity only"),
    ],
)
def test_a_filter_that_cannot_be_read_says_how_to_write_it(where: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse("x", where)


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(QueryError, match="at most"):
        parse("x" * (TEXT_CHARACTERS_MAX + 1))


@given(st.text(alphabet='ab" =<>!severitykind', max_size=60))
def test_offsets_into_the_text_stay_valid(text: str) -> None:
    try:
        query = parse(text)
    except QueryError:
        return
    assert len(query.words) == len(text)
    for before, after in zip(text, query.words, strict=True):
        assert after in (before, " ")
