from __future__ import annotations

import pytest

from dejalog.indexer import gather
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.hit import Hit
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.score import SearchRules
from dejalog.indexer.search import Searcher


def test_occurrences_are_the_newest_unless_a_value_fits_better(make_index) -> None:
    maker = make_index()
    maker.add(*(f"order 55500{n} was rejected" for n in range(6)))
    search = maker.searcher().search

    def shown(text: str, count: int) -> list[str]:
        hit = search(SearchRequest(text, occurrences=count)).hits[0]
        assert hit.count == 6
        return [o.event.text[6:12] for o in hit.occurrences]

    assert shown("rejected orders", 3) == ["555005", "555004", "555003"]
    assert shown("order 555002 rejected", 2) == ["555002", "555005"]
    assert shown("rejected orders", 0) == []
    assert len(shown("rejected orders", 100)) == 6


def test_event_ids_are_the_same_in_every_search(make_index) -> None:
    maker = make_index()
    maker.add("door open", "door closed", "door open")
    search = maker.searcher().search

    def ids(text: str) -> dict[int, str]:
        hits = search(SearchRequest(text)).hits
        return {o.event_id: o.event.text for h in hits for o in h.occurrences}

    assert ids("door") == ids("closed") == {0: "door open", 1: "door closed", 2: "door open"}


def test_a_search_that_need_not_be_explained_is_not(make_index) -> None:
    maker = make_index()
    maker.add("door open")
    request = SearchRequest("door", is_explained=False)
    assert maker.searcher().search(request).hits[0].evidence == ()


def explained(hit: Hit) -> float:
    return sum(each.share for each in hit.evidence) + hit.scores.marks


LINES = [f"{what} of the {which} pump" for what in ("seal", "fan") for which in "abcdefgh"]


def test_evidence_is_of_the_vectors_that_the_score_is_of(make_index) -> None:
    """Of a compacted shard the best are scored by int8, the others by codes: so was no evidence."""
    maker = make_index()
    maker.add(*LINES, "seal leaks")
    maker.appender.seal()
    compact_directory(maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0))
    searcher = Searcher(maker.directory, maker.encoder, rules=SearchRules(refined_max=3))
    hits = searcher.search(SearchRequest("worn seal leaking", limit=100)).hits
    assert len(hits) == len(LINES) + 1
    for hit in hits:
        assert explained(hit) == pytest.approx(hit.scores.semantic, abs=1e-5)


def test_of_several_shards_with_a_pattern_the_best_ones_evidence_counts(make_index) -> None:
    maker = make_index()
    maker.add(*LINES)
    maker.appender.seal()
    compact_directory(maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0))
    # The model's int8 arithmetic makes other vectors of the same text beside other texts.
    maker.add(*(f"{line} {'again ' * 30}" for line in LINES), *LINES)
    for text in ("leaking seal", "pump b", "fan of pump c broken"):
        hits = maker.searcher().search(SearchRequest(text, limit=100)).hits
        both = [hit for hit in hits if hit.count == 2]
        assert len(both) == len(LINES)
        for hit in both:
            assert explained(hit) == pytest.approx(hit.scores.semantic, abs=1e-5)


def test_words_that_are_not_scored_by_meaning_have_no_share(make_index) -> None:
    maker = make_index()
    maker.add("alarm E-1034 pump stopped", "alarm E-1035 pump stopped")
    hits = maker.searcher().search(SearchRequest("pump halted by E-1034")).hits
    asked = ["pump halted by E-1034"[e.query_start : e.query_end] for e in hits[0].evidence]
    assert asked[0] == "E-1034"
    assert hits[0].evidence[0].share == 0
    assert all(each.share for each in hits[0].evidence[1:])
    # The other code's pieces are near, which says nothing: they were not scored.
    assert not any(
        "1034" in "pump halted by E-1034"[e.query_start : e.query_end] for e in hits[1].evidence
    )
    for hit in hits:
        assert explained(hit) == pytest.approx(hit.scores.semantic, abs=1e-6)


def test_without_occurrences_or_explanation_there_are_no_marks(make_index) -> None:
    maker = make_index()
    maker.add("door open")
    for changes in ({"occurrences": 0}, {"is_explained": False}):
        (hit,) = maker.searcher().search(SearchRequest("door", **changes)).hits
        assert (hit.evidence, hit.scores.marks) == ((), 0.0)


def test_an_answer_holds_only_so_much_text_and_says_so(make_index, monkeypatch) -> None:
    """A thousand hits of ten events of a mebibyte each were all read before they were cut."""
    monkeypatch.setattr(gather, "CHARACTERS_MAX", 300)
    maker = make_index()
    maker.add(*(f"order {word} was rejected {'x' * 80}" for word in ("red", "green", "blue") * 2))
    request = SearchRequest("order rejected", occurrences=2)
    result = maker.searcher().search(request)
    assert result.is_partial
    assert len(result.hits) == 3, "no hit is left out"
    shown = [len(hit.occurrences) for hit in result.hits]
    assert 0 < sum(shown) < 6
    assert shown == sorted(shown, reverse=True)
    monkeypatch.setattr(gather, "CHARACTERS_MAX", 3_000)
    assert not maker.searcher().search(request).is_partial
