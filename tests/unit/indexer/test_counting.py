"""Which events count, against a plain reading of every event, in shards of either kind."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dejalog.indexer import exact
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.counting import counted_events
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.filter import Condition
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.query import parse_text
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.retain import delete_events

TEXTS = (
    "heartbeat ok from 10.0.0.7",
    "connection reset by 10.0.0.9",
    "heartbeat missed, connection reset by 10.0.0.7",
    "heartbeats counted: 123456",
    "user m.kowalski logged in",
    "HEARTBEAT_TIMEOUT on unit 7",
)
HOSTS = ("a", "b", "a", "b", "a", "b")
SEVERITIES = ("info", "error", "warn", "", "info", "fatal")

TIERS = pytest.mark.parametrize("tier", ["fresh", "compacted"])


@pytest.fixture
def held(make_index):
    """One shard of either tier, held for reading."""
    stacks = []

    def make(tier: str, *, deleted: str = ""):
        maker = make_index()
        labels = [
            (("host", host), *((("severity", severity),) if severity else ()))
            for host, severity in zip(HOSTS, SEVERITIES, strict=True)
        ]
        maker.add(*(maker.event(t, labels=each) for t, each in zip(TEXTS, labels, strict=True)))
        if tier == "compacted":
            maker.appender.seal()
            rules = CompactRules(write_bytes_per_s=0)
            compact_directory(maker.directory, lambda: maker.encoder, rules)
        if deleted:
            delete_events(maker.directory, [Condition("host", "=", deleted)])
        shards = OpenShards(maker.directory, maker.encoder.fingerprint)
        context = shards.held()
        stacks.append(context)
        return context.__enter__().shards[0]

    yield make
    for context in stacks:
        context.__exit__(None, None, None)


def rows(shard, text: str, **times: int) -> list[int]:
    query = parse_text(text, (), frozenset({"host"}))
    bounds = {"since_ns": None, "until_ns": None, **times}
    counted, is_partial = counted_events(query, shard, **bounds)
    assert not is_partial
    if counted.events is None:
        return list(range(len(TEXTS)))
    found = np.flatnonzero(counted.events).tolist()
    patterns = shard.state.columns.patterns[found]
    assert counted.patterns is not None
    assert np.flatnonzero(counted.patterns).tolist() == sorted(set(patterns.tolist()))
    return found


#: What counts, by the rows of the events.
CASES = (
    ("anything at all", [0, 1, 2, 3, 4, 5]),
    ("x -heartbeat", [1, 3, 4]),
    ("x -heartbeats", [0, 1, 2, 4, 5]),
    ("x -heart", [0, 1, 2, 3, 4, 5]),
    ('-"connection reset"', [0, 3, 4, 5]),
    ('-"10.0.0.7"', [1, 3, 4, 5]),
    ('-"reset by 10.0.0.7"', [0, 1, 3, 4, 5]),
    ('"connection reset" -heartbeat', [1]),
    ("x -m.kowalski", [0, 1, 2, 3, 5]),
    ("x -HeartBeat -connection", [3, 4]),
    ("-host=a", [1, 3, 5]),
    ("-host=a -heartbeat", [1, 3]),
    ("-host!=a", [0, 2, 4]),
    ("severity>=warn", [1, 2, 5]),
    ("-severity>=warn", [0, 3, 4]),
    ("-kind=log", []),
    ("-kind!=log", [0, 1, 2, 3, 4, 5]),
)


@TIERS
def test_exclusions_rule_out_exactly_the_events_that_hold_them(held, tier: str) -> None:
    shard = held(tier)
    for text, expected in CASES:
        assert rows(shard, text) == expected, text


@TIERS
def test_every_word_is_excluded_as_reading_all_events_says(held, tier: str) -> None:
    shard = held(tier)
    for word in {word for text in TEXTS for word in re.findall(r"[A-Za-z][\w.]*\w", text)}:
        holds = exact.whole_words(word)
        expected = [row for row, text in enumerate(TEXTS) if not holds.search(text)]
        assert rows(shard, f"x -{word}") == expected, word


@TIERS
def test_exclusions_times_and_deletions_count_together(held, tier: str) -> None:
    shard = held(tier, deleted="b")
    assert rows(shard, "x -missed") == [0, 4]
    assert rows(shard, "x -missed", since_ns=2 * 10**9) == [4]
    assert rows(held(tier), "x -missed", until_ns=4 * 10**9) == [0, 1]


def test_what_could_not_be_read_any_more_is_ruled_out_and_told(held, monkeypatch) -> None:
    """The other way round, an event would be shown that has the very word that must not occur."""
    monkeypatch.setattr(exact, "READ_EVENTS_MAX", 1)
    query = parse_text('-"10.0.0.7"')
    counted, is_partial = counted_events(query, held("fresh"), since_ns=None, until_ns=None)
    assert is_partial
    assert counted.events is not None
    assert np.flatnonzero(counted.events).tolist() == [1, 3, 4, 5]


def test_a_damaged_word_index_is_done_without_where_there_is_somebody_to_tell(
    held, monkeypatch
) -> None:
    shard = held("fresh")
    error = CorruptShardError(shard.state.shard.path / "lexical", "torn")
    match_exact, calls = exact.match_exact, []

    def fails_with_an_index(needle, arrays, lexical, *rest, **named):
        calls.append(lexical.events_indexed)
        if lexical.events_indexed:
            raise error
        return match_exact(needle, arrays, lexical, *rest, **named)

    monkeypatch.setattr("dejalog.indexer.counting.match_exact", fails_with_an_index)
    query = parse_text("x -heartbeat")
    with pytest.raises(CorruptShardError):
        counted_events(query, shard, since_ns=None, until_ns=None)
    told: list[CorruptShardError] = []
    counted, _ = counted_events(query, shard, since_ns=None, until_ns=None, set_aside=told.append)
    assert told == [error]
    assert counted.events is not None
    assert np.flatnonzero(counted.events).tolist() == [1, 3, 4]
    assert calls[-1] == 0


def test_counting_looks_at_the_clock(held) -> None:
    class LateError(Exception):
        pass

    def late() -> None:
        raise LateError

    # Also before words that no event has: a thousand of them took minutes behind the deadline.
    for text in ("x -heartbeat", "x -unheard", '"unheard of"'):
        with pytest.raises(LateError):
            counted_events(
                parse_text(text), held("fresh"), since_ns=None, until_ns=None, check=late
            )


@TIERS
def test_a_search_counts_and_ranks_only_what_is_not_excluded(make_index, tier: str) -> None:
    maker = make_index()
    maker.add(*TEXTS)
    if tier == "compacted":
        maker.appender.seal()
        rules = CompactRules(write_bytes_per_s=0)
        compact_directory(maker.directory, lambda: maker.encoder, rules)
    for mode in Mode:
        request = SearchRequest("connection lost -heartbeat", mode=mode)
        result = maker.searcher().search(request)
        assert result.events_matched == 3
        assert result.hits[0].occurrences[0].event.text == TEXTS[1]
        assert not any("heartbeat " in hit.pattern for hit in result.hits)
    empty = maker.searcher().search(SearchRequest('"connection reset" -connection'))
    assert (empty.hits, empty.events_matched, empty.events_total) == ((), 0, len(TEXTS))
