"""Search over any mix of shards against brute force over all vectors, in NumPy and float64."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.encode import Encoded, EncodedQuery, Encoder, TokenSpan
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.filter import Condition
from dejalog.indexer.fuse import Weights
from dejalog.indexer.hit import Hit, Misspelling
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.retain import delete_events
from dejalog.indexer.score import SearchRules
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import Tier

DIM, POOLED_DIM = 32, 16
WORDS = [a + b for a in ("ba", "ko", "lu", "mi", "ne") for b in ("dor", "fex", "gan", "hul", "jit")]
#: Read in pieces of five letters, which the oracle weighs as match.py says.
WORDS += ["badorkofex", "lugankojitbahul"]
PIECE = re.compile(r"\w{1,5}")
HOSTS = ("a", "b", "c")

#: How far a total may be off: so few tokens have hardly more residual than int8 has rounding.
NOISE = 0.02


class WordEncoder:
    """A model in a few lines: each word has a random direction, each place turns it a little."""

    fingerprint = "words"
    dim = DIM
    pooled_dim = POOLED_DIM

    def encode_patterns(self, patterns: Sequence[str]) -> list[Encoded]:
        return [Encoded(*self.vectors(pattern), is_truncated=False) for pattern in patterns]

    def encode_query(self, text: str) -> EncodedQuery:
        spans = [TokenSpan(*match.span()) for match in PIECE.finditer(text)]
        return EncodedQuery(*self.vectors(text), spans=tuple(spans))

    def is_word(self, word: str) -> bool:
        return word in WORDS

    def pattern_spans(self, pattern: str) -> tuple[TokenSpan, ...]:
        return tuple(TokenSpan(*match.span()) for match in PIECE.finditer(pattern))

    def vectors(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        words = PIECE.findall(text)
        rows = [_direction(w, DIM) + 0.3 * _direction(f"{n}", DIM) for n, w in enumerate(words)]
        pooled = np.sum([_direction(word, POOLED_DIM) for word in words], axis=0)
        return _unit(np.array(rows)), _unit(pooled)


def _direction(name: str, dim: int) -> np.ndarray:
    return _unit(np.random.default_rng(zlib.crc32(name.encode())).standard_normal(dim))


def _weights(text: str) -> list[float]:
    """A word of n pieces counts as the root of n words."""
    counts = [len(PIECE.findall(word)) for word in text.split()]
    return [count**-0.5 for count in counts for _ in range(count)]


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Stored:
    """What the oracle knows of an event."""

    number: int
    text: str
    host: str
    time_ns: int


class World:
    """An index, and beside it a plain list of the events that it should have."""

    def __init__(self, path: Path) -> None:
        self.encoder = WordEncoder()
        self.directory = DataDirectory.open(path, is_writable=True)
        self.appender = Appender(self.directory, self.encoder)  # type: ignore[arg-type]
        self.events: list[Stored] = []
        self._count = 0

    def add(self, given: Sequence[tuple[str, str]]) -> None:
        batch = []
        for text, host in given:
            time_ns = (self._count * 7919) % 1000
            self.events.append(Stored(self._count, text, host, time_ns))
            labels = (("host", host),)
            event = Event(
                Kind.LOG, time_ns, TimeOrigin.EVENT, text, "s", "0", self._count, 0, labels
            )
            batch.append(PreparedEvent(event, text))
            self._count += 1
        self.appender.append(Batch(batch, [], []))

    def compact(self) -> None:
        self.appender.seal()
        self.index_words()
        rules = CompactRules(write_bytes_per_s=0, merge_factor=2)
        compact_directory(self.directory, self._encoder, rules)

    def index_words(self) -> None:
        for shard in self.directory.shards:
            if shard.tier is Tier.FRESH:
                with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                    while catch_up(shard, index):
                        pass

    def _encoder(self) -> Encoder:
        return self.encoder  # type: ignore[return-value]

    def delete(self, host: str, until_ns: int) -> None:
        delete_events(self.directory, [Condition("host", "=", host)], until_ns=until_ns)
        self.events = [e for e in self.events if e.host != host or e.time_ns >= until_ns]

    def filled(self) -> set[int]:
        """The shards with events."""
        found = set()
        for shard in self.directory.shards:
            with shard.snapshot() as snapshot:
                found |= {shard.header.shard} if snapshot.counters().events else set()
        return found

    def searcher(self, rules: SearchRules | None = None) -> Searcher:
        return Searcher(self.directory, self.encoder, rules=rules)  # type: ignore[arg-type]

    def totals(self, text: str, counts: Callable[[Stored], bool]) -> dict[str, float]:
        """Brute force: the total of every pattern that has an event that counts."""
        rows, pooled = self.encoder.vectors(text)
        totals = {}
        for pattern in {event.text for event in self.events if counts(event)}:
            tokens, whole = (v.astype(np.float64) for v in self.encoder.vectors(pattern))
            meant = np.average((rows @ tokens.T).max(axis=1), weights=_weights(text))
            totals[pattern] = float(meant + Weights().pooled * (pooled @ whole))
        return totals


def check(world: World, request: SearchRequest, counts: Callable[[Stored], bool]) -> None:
    """Hits are the best patterns, by totals that are right up to noise, with all their events."""
    searcher = world.searcher()
    result = searcher.search(request)
    searcher.close()
    text = request.text
    totals = world.totals(text, counts)
    ordered = sorted(totals.values(), reverse=True)[: request.limit]
    assert not result.is_partial
    assert result.events_matched == sum(map(counts, world.events))
    assert result.events_total == len(world.events)
    assert len({hit.pattern for hit in result.hits}) == len(result.hits) == len(ordered)
    for hit, best in zip(result.hits, ordered, strict=True):
        assert hit.scores.total == pytest.approx(totals[hit.pattern], abs=NOISE)
        assert totals[hit.pattern] >= best - 2 * NOISE
        check_events(hit, [e for e in world.events if e.text == hit.pattern and counts(e)])


def check_events(hit: Hit, events: Sequence[Stored]) -> None:
    newest = sorted(events, key=lambda e: (e.time_ns, e.number), reverse=True)[:3]
    assert hit.count == len(events)
    assert hit.first_seen_ns == min(e.time_ns for e in events)
    assert hit.last_seen_ns == max(e.time_ns for e in events)
    assert [o.event_id for o in hit.occurrences] == [e.number for e in newest]
    assert [o.event.text for o in hit.occurrences] == [e.text for e in newest]


def check_misspelt(searcher: Searcher, text: str, typed: str) -> None:
    """A question with two letters of its second word swapped has the same hits in every way."""
    first, word, last = text.split()
    for mode in Mode:
        asked = searcher.search(SearchRequest(f"{first} {typed} {last}", limit=30, mode=mode))
        spelt = searcher.search(SearchRequest(text, limit=30, mode=mode))
        assert asked.misspellings == (Misspelling(typed, word),)
        assert [replace(hit, evidence=()) for hit in asked.hits] == [
            replace(hit, evidence=()) for hit in spelt.hits
        ]
        assert spelt.misspellings == ()


def drawn(rng: random.Random, count: int) -> list[tuple[str, str]]:
    return [
        (" ".join(rng.choices(WORDS, k=rng.randrange(1, 5))), rng.choice(HOSTS))
        for _ in range(count)
    ]


def ask_everything(world: World, rng: random.Random) -> None:
    for limit in (3, 100):
        text = " ".join(rng.choices(WORDS, k=rng.randrange(1, 4)))
        request = SearchRequest(text, limit=limit, mode=Mode.SEMANTIC)
        check(world, request, lambda event: True)
        host, since = rng.choice(HOSTS), rng.randrange(1000)
        narrow = SearchRequest(
            text, limit=limit, mode=Mode.SEMANTIC, where=(f"host={host}",), since_ns=since
        )
        check(world, narrow, lambda e, h=host, s=since: e.host == h and e.time_ns >= s)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_mix_of_shards_answers_like_brute_force(
    tmp_path_factory: pytest.TempPathFactory, rng: random.Random
) -> None:
    world = World(tmp_path_factory.mktemp("world") / "index")
    with world.directory:
        for _ in range(rng.randrange(1, 5)):
            world.add(drawn(rng, rng.randrange(1, 40)))
            step = rng.choice(["seal", "compact", "delete", "nothing"])
            if step == "seal":
                world.appender.seal()
            elif step == "compact":
                world.compact()
            elif step == "delete":
                world.delete(rng.choice(HOSTS), rng.randrange(1000))
        ask_everything(world, rng)


def test_fresh_compacted_and_mixed_shards_give_the_same_hits(tmp_path: Path) -> None:
    given = drawn(random.Random(4), 240)
    answers = []
    for compacted, expected in (
        ((), [Tier.FRESH]),
        ((0, 1), [Tier.COMPACTED, Tier.FRESH]),
        ((0, 1, 2), [Tier.COMPACTED]),
    ):
        world = World(tmp_path / str(len(compacted)))
        with world.directory:
            for part in range(3):
                world.add(given[part * 80 : (part + 1) * 80])
                world.appender.seal()
                if part in compacted:
                    world.compact()
            tiers = [s.tier for s in world.directory.shards if s.header.shard in world.filled()]
            assert sorted(set(tiers)) == expected
            world.index_words()
            searcher = world.searcher()
            check_misspelt(searcher, "bafex lugankojitbahul mihul", "luganokjitbahul")
            request = SearchRequest("bafex kogan mihul", limit=30, mode=Mode.SEMANTIC)
            answers.append({h.pattern: h for h in searcher.search(request).hits})
            searcher.close()
            totals = world.totals(request.text, lambda event: True)
    least = sorted(totals.values(), reverse=True)[29]
    for answer in answers:
        assert len(answer) == 30
        assert min(totals[pattern] for pattern in answer) > least - 2 * NOISE
        for pattern in set(answer) & set(answers[0]):
            hit, other = answer[pattern], answers[0][pattern]
            assert hit.occurrences == other.occurrences
            assert (hit.count, hit.first_seen_ns) == (other.count, other.first_seen_ns)
            assert hit.scores.total == pytest.approx(other.scores.total, abs=NOISE)


@pytest.mark.parametrize("scan_tokens_max", [0, 1 << 30])
def test_what_a_filter_leaves_is_found_however_far_it_ranks(
    tmp_path: Path, scan_tokens_max: int
) -> None:
    """With room for few candidates, the filter has to come before the nominations."""
    rng = random.Random(9)
    world = World(tmp_path / "index")
    near = [(f"badfex {word}", "a") for word in WORDS]
    far = [(f"nejit {word}", "b") for word in rng.sample(WORDS, 4)]
    with world.directory:
        world.add(rng.sample(near + far, len(near) + len(far)))
        world.compact()
        rules = SearchRules(
            candidates_max=4, words_max=1, scan_tokens_max=scan_tokens_max, probes=1, probed_max=4
        )
        searcher = world.searcher(rules)
        for mode in (Mode.SEMANTIC, Mode.HYBRID):
            request = SearchRequest("badfex", limit=4, where=("host=b",), mode=mode)
            assert {hit.pattern for hit in searcher.search(request).hits} == {t for t, _ in far}
            everything = searcher.search(SearchRequest("badfex", limit=4, mode=mode))
            assert {hit.pattern for hit in everything.hits} <= {text for text, _ in near}
        searcher.close()


def test_a_bounded_number_of_candidates_finds_nearly_all_of_the_best(tmp_path: Path) -> None:
    """Over several compacted shards the bound holds for all of them together."""
    rng = random.Random(21)
    world = World(tmp_path / "index")
    found = wanted = 0
    with world.directory:
        for _ in range(2):
            world.add(drawn(rng, 300))
            world.compact()
        rules = SearchRules(candidates_max=60, words_max=10)
        searcher = world.searcher(rules)
        for _ in range(20):
            text = " ".join(rng.choices(WORDS, k=3))
            totals = world.totals(text, lambda event: True)
            least = sorted(totals.values(), reverse=True)[9] - 2 * NOISE
            hits = searcher.search(SearchRequest(text, mode=Mode.SEMANTIC)).hits
            found += sum(totals[hit.pattern] >= least for hit in hits)
            wanted += 10
        matches = searcher.match(SearchRequest("bafex kogan", mode=Mode.SEMANTIC))
        assert sum(len(match.patterns) for match in matches) == 60
        searcher.close()
    assert found >= 0.98 * wanted
