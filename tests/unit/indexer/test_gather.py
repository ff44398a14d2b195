from __future__ import annotations

from dejalog.indexer.query import SearchRequest


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
