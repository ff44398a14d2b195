from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import Condition
from dejalog.indexer.query import (
    OPERATORS_MAX,
    TEXT_CHARACTERS_MAX,
    Query,
    is_pasted,
    parse_filter_text,
    parse_query,
    parse_text,
)
from dejalog.indexer.request import SearchRequest


def parse(text: str, *where: str, known: tuple[str, ...] = ()) -> Query:
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
    assert query.literal == ("msg=ok)", "retry=3", "took=12ms")


def test_what_has_the_form_of_a_filter_and_is_none_is_named() -> None:
    query = parse('pump severty=error -hst=a severity=loud site=lodz "x=y"', known=("site",))
    assert query.literal == ("severty=error", "-hst=a", "severity=loud")


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


def test_more_operators_than_anybody_means_are_refused() -> None:
    """Each is looked for in every shard: two thousand in one text kept a search for minutes."""
    many = " ".join(f"-word{n}x" for n in range(OPERATORS_MAX))
    assert len(parse(many).excluded) == OPERATORS_MAX
    with pytest.raises(QueryError, match=f"at most {OPERATORS_MAX}"):
        parse(f'{many} "one more"')
    assert parse(f'{many}\n"one more"').excluded == ()


def test_a_dash_excludes_a_word_a_string_or_a_filter() -> None:
    query = parse(
        'pump -heartbeat -"connection reset" -site=lodz -ts-order-service -severity>=warn',
        known=("site",),
    )
    assert query.words.split() == ["pump"]
    assert query.excluded == ("heartbeat", "connection reset", "ts-order-service")
    assert query.conditions == (
        Condition("site", "!=", "lodz"),
        Condition("severity", ">=", "warn", is_negated=True),
    )


def test_an_exclusion_alone_leaves_everything_else() -> None:
    """Beside a time that was taken out of the text, `-heartbeat` was a word."""
    assert parse("          -heartbeat") == Query(" " * 20, (), (), ("heartbeat",))


def test_two_negations_are_none() -> None:
    assert parse("x -kind!=note").conditions == (Condition("kind", "=", "note"),)


def test_a_value_may_be_quoted() -> None:
    assert parse('pump site="north hall"', known=("site",)).conditions == (
        Condition("site", "=", "north hall"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20 -1 error level=3 -- user=bob - done",
        "pump -1 -- - -. -_x -(x) -x",
        "temperature -40C, -foo, (-bar)",
        "java -Xmx512m -jar app.jar --port 80",
        "tail -n 5 -quiet file",
        "well-known e-mail",
        '-" "',
        '""',
    ],
)
def test_dashes_that_are_no_exclusions_stay_as_they_are(text: str) -> None:
    query = parse(text)
    assert (query.words, query.exact, query.excluded) == (text, (), ())


def test_a_pasted_line_is_words_whatever_it_holds() -> None:
    line = '2015-07-29 17:41:44,747 - WARN host=gw7 -heartbeat "connection reset" since:2h'
    query = parse(line, "site=lodz", known=("host", "site"))
    assert query.words == line
    assert (query.exact, query.excluded) == ((), ())
    assert query.conditions == (Condition("site", "=", "lodz"),)
    assert query.literal == ("host=gw7", "-heartbeat", '"connection reset"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("03-17 16:13:38.861  2227  2227 D TextView: visible", True),
        ("- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.363779 R02 RAS", True),
        ("081109 203615 148 INFO dfs.DataNode", True),
        ("20171223-22:15:29:606|Step_LSC|30002312", True),
        ("Jun 15 02:04:59 combo sshd[2088]: failure", True),
        ("Traceback:\n  File x", True),
        ("[16:49:06] chrome.exe closed", True),
        ("pump trips at 06:30", False),
        ("pump 2022-08-22 host=gw7", False),
        ("29.01.2023 pump", False),
        ('"2022-08-22T05:18:16Z" host=gw7', False),
        ("10.0.0.7:443 refused", False),
        ("pump trips\n", False),
    ],
)
def test_a_pasted_line_has_a_time_to_the_second_or_a_line_break(text: str, expected: bool) -> None:
    assert is_pasted(text) is expected


def test_a_filter_text_takes_everything_but_free_words() -> None:
    query = parse_filter_text(
        'site=lodz "connection reset" -heartbeat', ("kind=log",), frozenset({"site"})
    )
    assert query.exact == ("connection reset",)
    assert query.excluded == ("heartbeat",)
    assert query.conditions == (Condition("kind", "=", "log"), Condition("site", "=", "lodz"))
    assert parse_filter_text("-heartbeat", (), frozenset()).excluded == ("heartbeat",)
    assert parse_filter_text(" ", (), frozenset()) == Query(" ", (), ())
    assert parse_filter_text('"2015-07-29 17:41:44 up"', (), frozenset()).exact


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("connection reset", "'connection reset' is neither; put quotes around it"),
        ("hst=gw7", "'hst=gw7' is no filter here: the labels are host, kind, severity"),
        ("host=gw7 x", "'x' is neither"),
        ("since:2h", "times are given beside the text"),
        ("2015-07-29 17:41:44 host=gw7", "is neither"),
    ],
)
def test_free_words_in_a_filter_text_are_refused_with_advice(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse_filter_text(text, (), frozenset({"host"}))


def test_a_query_knows_whether_it_rules_events_out() -> None:
    assert not parse_text("pump trips").is_filtered
    assert all(parse_text(text).is_filtered for text in ('"pump"', "pump -x1", "kind=note"))


@given(st.text(alphabet='ab" =<>!severitykind', max_size=60))
def test_offsets_into_the_text_stay_valid(text: str) -> None:
    try:
        query = parse(text)
    except QueryError:
        return
    assert len(query.words) == len(text)
    for before, after in zip(text, query.words, strict=True):
        assert after in (before, " ")
