from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.lexical_view import LexicalView
from dejalog.indexer.terms import query_terms


def test_a_view_of_nothing_has_nothing() -> None:
    view = LexicalView()
    assert (view.patterns_indexed, view.events_indexed) == (0, 0)
    assert view.rank_patterns(query_terms("pump"), limit=5).ids.tolist() == []
    assert view.rank_events(query_terms("pump"), limit=5).scores.tolist() == []
    assert view.patterns_with("pump").tolist() == []
    assert view.events_with_all(["pump", "oil"]).tolist() == []
    assert view.cut_patterns().tolist() == view.cut_events().tolist() == []


def test_a_view_reads_what_the_index_reads(tmp_path: Path) -> None:
    with LexicalIndex.open(tmp_path / "lexical", writable=True) as index:
        events = [(3, "10.0.0.7 oil"), (9, "10.0.0.7")]
        index.append([(0, "pump leaks oil"), (1, "oil")], events, patterns_end=2, events_end=10)
        view, terms = index.view(), query_terms("leaking oil")
        assert (view.patterns_indexed, view.events_indexed) == (2, 10)
        assert view.rank_patterns(terms, limit=5).ids.tolist() == [0, 1]
        assert view.rank_patterns(terms, limit=1).ids.tolist() == [0]
        assert view.rank_events(terms, limit=5).ids.tolist() == [3]
        assert view.patterns_with("leak").tolist() == [0]
        assert view.patterns_with_all(["oil", "pump"]).tolist() == [0]
        assert view.events_with("10.0.0.7").tolist() == [3, 9]
        assert view.events_with_all(["10.0.0.7", "oil"]).tolist() == [3]


def test_damage_met_while_reading_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lexical"
    with LexicalIndex.open(path, writable=True) as index:
        index.append([(0, "pump leaks oil")], [], patterns_end=1, events_end=0)
    for file in (path / "patterns").glob("*.term"):
        data = file.read_bytes()
        body = data.rindex(b'{"version"')
        file.write_bytes(b"\xff" * body + data[body:])
    with (
        pytest.raises(CorruptShardError, match="lexical"),
        LexicalIndex.open(path) as reader,
    ):
        reader.view().patterns_with("pump")


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Callable[..., Callable[[str], list[int]]]]:
    """Indexes texts as patterns, and returns what finds their numbers, best first."""
    with LexicalIndex.open(tmp_path / "asked", writable=True) as index:

        def fill(*texts: str) -> Callable[[str], list[int]]:
            index.append(list(enumerate(texts)), [], patterns_end=len(texts), events_end=0)
            return lambda text: index.rank_patterns(query_terms(text), limit=99).ids.tolist()

        yield fill


FILLER = ["door open", "fan stopped", "belt torn", "oil low", "lamp dark"]


@pytest.mark.parametrize(
    ("note", "question"),
    [
        ("REPL BRG", "replace bearing"),
        ("replace bearing", "repl brg"),
        ("C/O hyd pmp", "change out hydraulic pump"),
        ("change out hydraulic pump", "C/O hyd pmp"),
        ("eng cyl assy u/s", "engine cylinder assembly unserviceable"),
    ],
)
def test_shorthand_finds_words_and_words_find_shorthand(asked, note: str, question: str) -> None:
    assert asked(*FILLER, note)(question)[0] == len(FILLER)


def test_the_word_as_it_was_asked_for_stands_before_its_other_spellings(asked) -> None:
    """A rare abbreviation must not outvote the word that everybody writes."""
    find = asked("bearing noisy", "brg noisy", *["bearing warm"] * 5, *FILLER)
    assert find("bearing noisy")[:2] == [0, 1]
    assert find("brg noisy")[:2] == [1, 0]


def test_of_the_ways_to_write_a_word_the_best_counts_once(tmp_path: Path) -> None:
    with LexicalIndex.open(tmp_path / "once", writable=True) as index:
        texts = ["bearing warm now", "bearing brg warm", *FILLER]
        index.append(list(enumerate(texts)), [], patterns_end=len(texts), events_end=0)
        hits = index.rank_patterns(query_terms("bearing"), limit=9)
        assert hits.scores[0] == pytest.approx(hits.scores[1], rel=0.01)


def test_a_phrase_that_stands_for_shorthand_has_to_be_there_as_a_whole(asked) -> None:
    find = asked("change out filter", "change oil", "left out", *FILLER)
    assert find("C/O") == [0]


@pytest.mark.parametrize("typed", ["repalce", "replce", "raplace", "replacee"])
def test_a_word_that_nobody_wrote_is_taken_for_the_nearest(asked, typed: str) -> None:
    assert asked("replace hose", *FILLER)(f"{typed} hose") == [0]
    assert asked("replace seal", *FILLER)(typed) == [0]


def test_a_word_that_is_known_is_taken_at_its_word(asked) -> None:
    find = asked("pumps run", "dump full", "pumb bob", *FILLER)
    assert find("pumb") == [2]
    assert find("pump") == [0], "its stem is known"


def test_a_code_is_never_guessed_at(asked) -> None:
    find = asked("P0420 catalyst", "E-1034 drive", "blk_1608 lost", *FILLER)
    assert find("P0421") == find("F-1035") == find("0x1608") == []
    assert find("blk_1609") == [2], "by its first half, and not by a guess"


def test_guesses_are_left_where_too_much_is_unknown(asked) -> None:
    find = asked("replace hose", *FILLER)
    unknown = [f"qqq{letter}" for letter in "abcdefgh"]
    assert find(" ".join(["repalce", *unknown[:7]])) == [0]
    assert find(" ".join(["repalce", *unknown])) == []


def test_a_word_is_known_in_any_form_from_patterns_and_from_values(tmp_path: Path) -> None:
    assert not LexicalView().knows("pump")
    assert LexicalView().words_like("pump") == ([], [])
    with LexicalIndex.open(tmp_path / "known", writable=True) as index:
        patterns = [(0, "leaking pump"), (1, "pump, lamp")]
        index.append(patterns, [(7, "motor")], patterns_end=2, events_end=8)
        view = index.view()
        assert all(map(view.knows, ("leaking", "leaks", "pump", "pumps", "motor")))
        assert not any(map(view.knows, ("leek", "lea", "mot", "generator")))
        assert view.words_like("pomp") == ([("pump", 2)], [("pump", 2)])
        words, forms = view.words_like("lxmp")
        assert (sorted(words), sorted(forms)) == (
            [("lamp", 1), ("leaking", 1)],
            [("lamp", 1), ("leak", 1)],
        )
