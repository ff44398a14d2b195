from __future__ import annotations

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.catch_up import catch_up, lexical_folder, value_document
from dejalog.indexer.lexical import LexicalIndex


def test_the_value_document_holds_what_was_masked_except_times() -> None:
    text = "2024-03-01T10:00:00Z session 8a533bf9-bd12-4608-a8eb-606890982448 from 10.0.0.7"
    document = value_document(text, (("pid", "4711"),))
    assert "8a533bf9-bd12-4608-a8eb-606890982448" in document
    assert "10.0.0.7" in document
    assert "4711" in document
    assert "2024" not in document


def test_the_value_document_holds_durations() -> None:
    """The quote "took 1234567 ms" was not found: durations were left out of it like times."""
    assert value_document("request took 1234567 ms", ()) == "1234567 ms"


def test_the_word_index_follows_and_never_leads(make_index) -> None:
    maker = make_index(ShardLimits(events_max=5))
    for number in range(4):
        maker.add(*(f"motor M-{i} id {number}0000{i}" for i in range(3)), is_indexed=False)
    assert len(maker.directory.shards) == 2
    for shard in maker.directory.shards:
        with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
            added = 0
            while step := catch_up(shard, index):
                added += step
            with shard.snapshot() as snapshot:
                counters = snapshot.counters()
            assert added == counters.events + counters.patterns
            assert index.patterns_indexed == counters.patterns
            assert index.events_indexed == shard.header.first_event + counters.events
            assert index.verify() == []


def test_what_is_too_long_to_be_indexed_whole_is_marked_by_its_number(make_index) -> None:
    """A quoted string at the end of a very long event was not found: its words had been cut off,
    from the pattern's document or from that of the event's values, and nothing told so."""
    maker = make_index()
    words = " ".join(f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}" for i in range(20_000))
    values = " ".join(f"10.0.{i // 250}.{i % 250}" for i in range(17_000))
    maker.add("pump on", f"{words} the end", f"from {values} the end")
    shard = maker.directory.shards[0]
    with LexicalIndex.open(lexical_folder(shard)) as index, shard.snapshot() as snapshot:
        view = index.view()
        assert [snapshot.pattern(n)[:5] for n in view.cut_patterns()] == ["waa w"]
        assert view.cut_events().tolist() == [2]


def test_after_a_crash_it_goes_on_where_it_was(make_index, monkeypatch) -> None:
    maker = make_index()
    monkeypatch.setattr("dejalog.indexer.catch_up._BLOCKS_PER_STEP", 1)
    for number in range(3):
        maker.add(f"valve V-{number} id 77000{number}", is_indexed=False)
    shard = maker.directory.shards[0]
    with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
        catch_up(shard, index)
        assert index.events_indexed == 1
    with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
        assert index.events_indexed == 1
        while catch_up(shard, index):
            pass
        assert [index.events_with(f"77000{n}").tolist() for n in range(3)] == [[0], [1], [2]]
