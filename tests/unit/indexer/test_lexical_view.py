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
