"""Questions with misspelt words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.hit import Misspelling, SearchResult
from dejalog.indexer.lexical_view import GUESSED_WORDS_MAX, LexicalView
from dejalog.indexer.misspelt import COMMON, read_words
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.query import parse_text
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.terms import SPELLED_WORDS_MAX

TEXTS = [
    "hydraulic hose leaking at the boom cylinder",
    "replaced worn bearing of the conveyor motor",
    "reader on host lodz-7 refused the card of hans",
    "operator logged in",
]


@pytest.fixture
def ask(make_index) -> Callable[..., SearchResult]:
    maker = make_index()
    maker.add(*TEXTS)
    searcher = maker.searcher()
    return lambda text, **changes: searcher.search(SearchRequest(text, **changes))


def read(result: SearchResult) -> dict[str, str]:
    return {each.typed: each.read for each in result.misspellings}


@pytest.mark.parametrize("mode", list(Mode))
def test_a_misspelt_word_is_read_as_the_word_that_was_meant(ask, mode: Mode) -> None:
    typed = ask("Hidraulic hose, leeking", mode=mode)
    spelt = ask("hydraulic hose, leaking", mode=mode)
    assert typed.misspellings == (
        Misspelling("Hidraulic", "hydraulic"),
        Misspelling("leeking", "leaking"),
    )
    assert [hit.pattern for hit in typed.hits] == [hit.pattern for hit in spelt.hits]
    for one, other in zip(typed.hits, spelt.hits, strict=True):
        assert one.scores.total == pytest.approx(other.scores.total, abs=1e-5)
        assert one.occurrences == other.occurrences


def test_evidence_points_at_the_word_as_typed(ask) -> None:
    text = "big hydrlc hose"
    (hit,) = ask(text, limit=1).hits
    pairs = {
        text[e.query_start : e.query_end]: TEXTS[0][e.text_start : e.text_end] for e in hit.evidence
    }
    assert pairs["hydrlc"] == "hydraulic"
    assert pairs["hose"] == "hose"


def test_a_word_that_stands_there_twice_is_read_twice_and_told_once(ask) -> None:
    assert read(ask("leeking hose is leeking")) == {"leeking": "leaking"}


@pytest.mark.parametrize(
    "text",
    [
        "hydraulic hoses leak bearings",  # known, some of them in another form
        "gearbox generator ventilator kaputt",  # nobody's misspellings
        "hoist reading conveyed heated",  # one edit away from others, and words or forms of words
        '"hidraulic" hose',
        "HIDRAULIC-7 hidraulic_hose hidraulic@hose",
        "hidraulic/hose",
        "HidraulicHose",
        "hidrau brg",
    ],
)
def test_what_is_no_clear_misspelling_is_read_as_it_stands(ask, text: str) -> None:
    assert ask(text).misspellings == ()


def test_a_pasted_line_is_read_as_it_stands(ask) -> None:
    assert read(ask("hidraulic hose 16:48"))
    assert not read(ask("2024-03-01T16:48:16Z hidraulic hose"))
    assert not read(ask("hidraulic\nhose"))


def test_a_long_question_and_one_with_much_that_is_unknown_are_read_as_they_stand(ask) -> None:
    unknown = [f"qzqqz{letter}" for letter in "abcdefghijklm"]
    assert read(ask(" ".join(["hidraulic", *unknown[: GUESSED_WORDS_MAX - 1]])))
    assert not read(ask(" ".join(["hidraulic", *unknown[:GUESSED_WORDS_MAX]])))
    many = [f"ab{number}" for number in range(SPELLED_WORDS_MAX)]
    assert read(ask(" ".join(["hidraulic", *many[1:]])))
    assert not read(ask(" ".join(["hidraulic", *many])))


def test_a_part_of_a_name_and_a_stem_can_be_meant(make_index) -> None:
    maker = make_index()
    maker.add("BadUserAccessDenied", "speed controlled")
    found = maker.searcher().search(SearchRequest("acccess deenied contrrol", limit=1))
    assert read(found) == {"acccess": "access", "deenied": "denied", "contrrol": "control"}


def test_a_word_that_the_model_does_not_have_is_meant_if_it_is_common(make_index) -> None:
    maker = make_index()
    for count in range(1, COMMON + 1):
        maker.add(f"overheating of axis {count}")
        maker.appender.seal()
        found = maker.searcher().search(SearchRequest("overheeting axis", limit=1))
        assert read(found) == ({"overheeting": "overheating"} if count == COMMON else {})


def test_the_most_frequent_word_of_all_shards_is_read(make_index) -> None:
    maker = make_index()
    for texts in (["blaring horn", "old blaring siren"], ["bearing a", "bearing b", "bearing c"]):
        maker.add(*texts)
        maker.appender.seal()
    found = maker.searcher().search(SearchRequest("beaaring horn", limit=1))
    assert read(found) == {"beaaring": "bearing"}


def test_a_damaged_word_index_is_set_aside_and_the_others_are_asked(
    make_index, monkeypatch
) -> None:
    maker = make_index()
    maker.add(*TEXTS)

    def fails(*_: object) -> bool:
        raise CorruptShardError(maker.directory.path / "lexical", "damaged")

    with maker.searcher().shards.held() as held:
        query = parse_text("hidraulic hose")
        assert read_words(query, held, lambda word: word == "hydraulic", ENDLESS).misspellings
        monkeypatch.setattr(LexicalView, "knows", fails)
        monkeypatch.setattr(LexicalView, "words_like", fails)
        reading = read_words(query, held, lambda word: word == "hydraulic", ENDLESS)
        assert reading.words == "hidraulic hose"
        assert list(held.damaged) == [maker.directory.path / "lexical"]


def test_nothing_is_guessed_when_the_patience_is_over(make_index) -> None:
    maker = make_index()
    maker.add(*TEXTS)
    with maker.searcher().shards.held() as held:
        query = parse_text("hidraulic hose")
        reading = read_words(query, held, lambda word: word == "hydraulic", Patience(0.0))
        assert reading.misspellings == ()
        assert reading.words == query.words
