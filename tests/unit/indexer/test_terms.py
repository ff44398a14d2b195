import pytest

from dejalog.indexer.terms import (
    CUT_TERM,
    MAX_DOCUMENT_TERMS,
    MAX_QUERY_TERMS,
    MAX_TERM_CHARS,
    MAX_TEXT_CHARS,
    SPELLED_WORDS_MAX,
    document_terms,
    index_terms,
    is_code_shaped,
    query_terms,
    without_codes,
    word_terms,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pump LEAKS", ["pump", "leaks", "leak"]),
        ("E-1034", ["e-1034", "e", "1034"]),
        ("P0420", ["p0420", "0420"]),
        ("SRVE0255E", ["srve0255e", "srve", "0255"]),
        ("BadUserAccessDenied", ["baduseraccessdenied", "bad", "user", "access", "denied", "deni"]),
        ("XMLHttpRequest", ["xmlhttprequest", "xml", "http", "request"]),
        ("10.0.0.7:443", ["10.0.0.7:443", "10.0.0.7", "443"]),
        ("0x80070005", ["0x80070005"]),
        ("88ebfbcebbbc0884eabd9178e1808940", ["88ebfbcebbbc0884eabd9178e1808940"]),
        ("8a533bf9-bd12-4608-a8eb-606890982448", ["8a533bf9-bd12-4608-a8eb-606890982448"]),
        ("blk_-16089", ["blk_-16089", "blk", "16089"]),
        ("ts-order-pod", ["ts-order-pod", "ts", "order", "pod"]),
        ("12:30:05.123", ["12:30:05.123"]),
        ("__init__", ["init"]),
        ("a=b,c;d|e", ["a", "b", "c", "d", "e"]),
        ("E\u20111034", ["e-1034", "e", "1034"]),
        ("STRASSE Stra\u00dfe", ["strasse", "strass", "strasse", "strass"]),
        ("\u8ba1\u7b97\u65f6", ["\u8ba1\u7b97\u65f6", "\u8ba1\u7b97", "\u7b97\u65f6"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("... --- ___ \t\n", []),
        ("", []),
    ],
)
def test_text_is_cut_into_the_terms_that_the_rules_name(text: str, expected: list[str]) -> None:
    assert index_terms(text) == expected


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("access denied", "BadUserAccessDenied"),
        ("BadUserAccessDenied", "user access denied"),
        ("order", "ts-order-service-6mp2b"),
        ("10.0.0.7", "from 10.0.0.7:443 refused"),
        ("leaking", "pump leaks"),
        ("e-1034", "FAULT E-1034."),
        ("E1034", "E-1034"),
        ("getTickets", "get tickets"),
    ],
)
def test_a_query_meets_a_document_in_any_form(query: str, document: str) -> None:
    assert {term.text for term in query_terms(query)} & set(index_terms(document))


@pytest.mark.parametrize(
    "token",
    [
        *("E-1034", "P0420", "0x80070005", "SRVE0255E", "10.0.0.7:443", "blk_-16089"),
        *("88ebfbcebbbc0884eabd9178e1808940", "ts-order-service", "PH639", "2147483647"),
        *("NullPointerException", "max_connections", "TravelServiceImpl#459"),
    ],
)
def test_what_is_meant_exactly_is_code_shaped(token: str) -> None:
    assert is_code_shaped(token)
    assert [term.text for term in query_terms(token) if term.is_code] == [token.lower()]


@pytest.mark.parametrize(
    "token",
    [
        *("pump", "LEAK", "and/or", "re-build", "24v", "10mm", "2nd", "3.75", "3", "1034"),
        *("WiFi", "12:30:05", "2023-01-29", "2023-01-29T08:48:16.546Z", "\u8ba1\u7b97\u65f6"),
    ],
)
def test_words_quantities_and_times_are_not_code_shaped(token: str) -> None:
    assert not is_code_shaped(token)
    assert not any(term.is_code for term in query_terms(token))


def test_codes_are_never_stemmed() -> None:
    assert index_terms("node1s") == ["node1s", "node", "1"]
    assert index_terms("E1034ings")[0] == "e1034ings"
    assert "sensors-ing" in index_terms("sensors-ing")
    assert not {"e1034ing", "e1034", "sensor-ing"} & set(index_terms("E1034ings sensors-ing"))


def test_query_terms_point_at_the_words_they_came_from() -> None:
    text = "why  BadUserAccessDenied on 10.0.0.7:443?"
    spans = {term.text: text[term.start : term.end] for term in query_terms(text)}
    assert spans["why"] == "why"
    assert spans["access"] == "Access"
    assert spans["10.0.0.7:443"] == "10.0.0.7:443"
    assert spans["10.0.0.7"] == "10.0.0.7"
    assert spans["443"] == "443"


def test_a_query_term_is_listed_once_with_its_highest_weight() -> None:
    by_text = {term.text: term for term in query_terms("PH639 639 leaks leak")}
    assert by_text["639"].weight == 1
    assert by_text["leak"].weight == 1
    assert by_text["leaks"].weight == 1
    assert query_terms("PH639")[1].weight < query_terms("getTickets")[-1].weight < 1


def test_forms_are_kept_apart_from_the_words_as_they_stand() -> None:
    terms = document_terms("Leaking E-1034 pump")
    assert terms.words == ["leaking", "e", "1034", "pump"]
    assert terms.forms == ["leak", "e-1034", "pump"]


def test_words_of_a_quote_are_words_of_whatever_contains_it() -> None:
    quote = "order-service started"
    document = "ts-order-service started on 10.0.0.7"
    assert set(word_terms(quote)) <= set(word_terms(document))
    assert not set(index_terms(quote)) <= set(index_terms(document))


def test_a_blob_gives_no_term_longer_than_the_bound() -> None:
    assert index_terms("Q" * 5_000) == []
    path = "/".join(["dir"] * 1_000)
    assert set(index_terms(path)) == {"dir"}
    assert max(map(len, index_terms("ab/" * 20_000))) <= MAX_TERM_CHARS


def test_the_number_of_terms_is_bounded() -> None:
    text = " ".join(f"word{i}" for i in range(40_000))
    assert len(index_terms(text)) == MAX_DOCUMENT_TERMS
    assert max(map(len, document_terms(text)[:2])) == MAX_DOCUMENT_TERMS
    assert len(query_terms(text)) == MAX_QUERY_TERMS


def test_a_text_that_may_have_more_terms_says_so() -> None:
    """Nothing told a text whose terms had been cut off from one that had no more of them."""
    assert not document_terms("pump " * (MAX_DOCUMENT_TERMS - 1)).is_cut
    assert document_terms("pump " * (MAX_DOCUMENT_TERMS + 1)).is_cut
    assert document_terms("BadUserAccess/x " * (MAX_DOCUMENT_TERMS // 3)).is_cut
    assert not document_terms("." * MAX_TEXT_CHARS).is_cut
    assert document_terms("." * MAX_TEXT_CHARS + "end").is_cut


def test_no_text_has_the_term_that_stands_for_a_cut() -> None:
    for text in (CUT_TERM, "CUT", "\uff1cCUT\uff1e", "\u24d2ut"):
        assert CUT_TERM not in index_terms(text)


def test_a_query_s_words_know_how_else_they_may_be_written() -> None:
    terms = {term.text: term.others for term in query_terms("replace LH brg, C/O pump")}
    assert ("repl",) in terms["replace"]
    assert terms["lh"] == (("left", "hand"), ("left",))
    assert terms["brg"] == (("bearing",),)
    assert terms["c/o"] == (("change", "out"), ("changed", "out"))
    assert terms["c"] == terms["o"] == ()


@pytest.mark.parametrize(
    ("code", "others"),
    [
        ("E-1034", {"e1034", "e_1034"}),
        ("E1034", {"e-1034", "e_1034"}),
        ("P0420", {"p-0420", "p_0420"}),
        ("0x80070005", set()),
        ("10.0.0.7:443", set()),
        ("blk_-1608999687919862906", set()),
        ("8a533bf9-bd12-4608-a8eb-606890982448", set()),
        ("TraceIds", set()),
    ],
)
def test_a_code_is_also_known_with_and_without_its_joiner(code: str, others: set[str]) -> None:
    found = next(term for term in query_terms(code) if term.text == code.lower())
    assert {way for row in found.others for way in row} == others


def test_a_pasted_line_is_not_looked_up_in_other_ways() -> None:
    words = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(SPELLED_WORDS_MAX)]
    assert any(term.others for term in query_terms(" ".join([*words[1:], "bearing"])))
    assert not any(term.others for term in query_terms(" ".join([*words, "bearing"])))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("AN426 oil leak", "      oil leak"),
        ("leak at P-101, again", "leak at      , again"),
        ("oil leak", ""),
        ("AN426", ""),
        ("AN426 77 --", ""),
        ("AN426 leak " + "x" * 160, ""),
    ],
)
def test_a_short_query_is_also_read_without_its_codes(text: str, plain: str) -> None:
    assert without_codes(text) == plain
