"""The reported pairs reproduce the score: random texts, in fresh, compacted and mixed shards."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Hit
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.score import SearchRules
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory

PLAIN = ["pump", "motor", "bearing", "seal", "pressure", "low", "failed", "leaking", "belt"]
CODES = ["E-1034", "P-101", "10.0.0.7:443", "BadUserAccessDenied", "conn_refused", "0x80070005"]
OTHERS = ["2024-03-01T10:00:00Z", "123456", "\u00dcberlast", "--", ",", "( )", "[main]", "user=bob"]
WORDS = PLAIN + CODES + OTHERS
#: Float32 sums of some tens of similarities.
TOLERANCE = 1e-4


class World:
    """An index that is made of random texts, in shards of all kinds."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self.encoder = encoder
        self.directory = DataDirectory.open(path, is_writable=True)
        self._appender = Appender(self.directory, encoder)
        self._count = 0

    def add(self, texts: list[str]) -> None:
        batch = []
        for text in texts:
            place = self._count
            event = Event(Kind.LOG, place, TimeOrigin.EVENT, text, "s", "0", place)
            batch.append(PreparedEvent(event, mask_pattern(text)[0]))
            self._count += 1
        self._appender.append(Batch(batch, [], []))
        for shard in self.directory.shards:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                while catch_up(shard, index):
                    pass

    def compact(self, *, bits: int, has_originals: bool) -> None:
        self._appender.seal()
        rules = CompactRules(
            bits=bits, originals_bytes_max=has_originals * (1 << 30), write_bytes_per_s=0
        )
        compact_directory(self.directory, lambda: self.encoder, rules)


def drawn(rng: random.Random, count: int) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=rng.randrange(1, 9))) for _ in range(count)]


def check(hit: Hit, query: str) -> None:
    total = sum(each.share for each in hit.evidence) + hit.scores.marks
    assert total == pytest.approx(hit.scores.semantic, abs=TOLERANCE), (query, hit)
    text = hit.occurrences[0].event.text
    for each in hit.evidence:
        assert 0 <= each.query_start < each.query_end <= len(query)
        assert 0 <= each.text_start < each.text_end <= len(text)
        assert query[each.query_start : each.query_end].strip()
        assert -1.01 <= each.similarity <= 1.01
    ordered = [each for each in hit.evidence if each.share]
    assert ordered == sorted(ordered, key=lambda each: each.query_start)


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False))
def test_shares_and_marks_add_up_to_the_semantic_score(
    tmp_path_factory: pytest.TempPathFactory, encoder: Encoder, rng: random.Random
) -> None:
    world = World(tmp_path_factory.mktemp("explained") / "index", encoder)
    with world.directory:
        texts = drawn(rng, 30)
        for bits in rng.sample((None, 4, 2), rng.randrange(1, 4)):
            # Shards share some of their patterns, whose best scores count.
            world.add(rng.sample(texts, 20))
            if bits is not None:
                world.compact(bits=bits, has_originals=rng.random() < 0.5)
        rules = SearchRules(refined_max=rng.choice((1, 5, 32)))
        searcher = Searcher(world.directory, encoder, rules=rules)
        for query in (*drawn(rng, 4), f'"{rng.choice(PLAIN)}" {drawn(rng, 1)[0]} -belt'):
            for mode in (Mode.HYBRID, Mode.SEMANTIC):
                for hit in searcher.search(SearchRequest(query, limit=40, mode=mode)).hits:
                    check(hit, query)
        searcher.close()
