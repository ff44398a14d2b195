"""Recall through a change of vocabulary: work orders, then microservice logs, then codes.

    python -m bench.drift CORPUS.npz [--bits N]

After each part of the stream the index is asked queries of all parts seen so far, and once more
after the new part was compacted. `frozen` is what engines do that never retrain: later parts are
coded with the first part's codebook. recall@10 is against exact MaxSim in float32, among the same
texts; `drift` is the share of a part's tokens beyond the threshold of the codebook before it
(0.25 is none).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench.engine import add_empty, compact_rules, compact_shard, fresh_chunks, write_fresh
from bench.peers import exact_scores
from bench.search import recall_at_k
from bench.trial import emit, machine, versions
from bench.vectors import Corpus, Rows
from numpy.typing import NDArray

from dejalog.indexer.codebook import build_postings, encode_tokens
from dejalog.indexer.kernel.codes import CodedRows
from dejalog.indexer.quantize import quantize_rows
from dejalog.indexer.score import SearchRules, open_scorer
from dejalog.indexer.store.compacted import CodedBlock, CodedVectors
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.view import FreshVectors, ShardView

K = 10

#: What bench.corpus calls the kinds of text, by part of the stream.
PARTS = {
    "work orders": ("fmc_failure_modes", "fmea"),
    "logs": ("Android_2k", "raw log lines"),
    "codes": ("trouble codes", "status codes"),
}

#: Queries of each part: real ones for work orders and codes are the same tasks', so texts of the
#: part itself ask for what is like them; the text itself then is among the ten. Long ones are cut.
QUERIES, QUERY_ROWS = 60, 32

Vectors = FreshVectors | CodedVectors


def main() -> None:
    """Runs the stream; prints one line for each state of the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="what bench.corpus wrote")
    parser.add_argument("--bits", type=int, choices=(1, 2, 4), default=4)
    options = parser.parse_args()
    parts = parts_of(Corpus(options.corpus))
    frozen: list[CodedVectors] = []
    with (
        tempfile.TemporaryDirectory(prefix="dejalog-drift-") as folder,
        DataDirectory.open(Path(folder), is_writable=True) as directory,
    ):
        for number, (name, rows) in enumerate(parts.items()):
            seen = list(parts.values())[: number + 1]
            write_fresh(directory, fresh_chunks(rows))
            report(name, "fresh", options.bits, vectors_of(directory), seen)
            part = directory.shards[-1].header.shard
            add_empty(directory)
            compact_shard(directory, part, compact_rules(options.bits, 2))
            compacted = vectors_of(directory)
            report(name, "compacted", options.bits, compacted, seen)
            frozen.append(coded_with(compacted[0], rows))
            report(name, "frozen", options.bits, frozen, seen)


def parts_of(corpus: Corpus) -> dict[str, Rows]:
    """Returns the texts of each part."""
    counts = {k: v for k, v in corpus.about.items() if isinstance(v, int)}
    names = [name for name in counts if name not in {"seed", "dim", "texts", "tokens"}]
    ends = dict(zip(names, np.cumsum([counts[name] for name in names]).tolist(), strict=True))
    texts = corpus.texts
    found = {}
    for part, (first, last) in PARTS.items():
        start, end = ends[first] - counts[first], ends[last]
        rows = slice(int(texts.offsets[start]), int(texts.offsets[end]))
        found[part] = Rows(texts.vectors[rows], texts.lengths[start:end])
    return found


def vectors_of(directory: DataDirectory) -> list[Vectors]:
    """Returns the vectors of every shard that has any, oldest first."""
    states = [ShardView(shard).refresh() for shard in directory.shards]
    return [state.vectors for state in states if state.counters.patterns]


def coded_with(trained: Vectors, rows: Rows) -> CodedVectors:
    """Returns a part in the codes of another part's codebook, which stays as it is."""
    assert isinstance(trained, CodedVectors)
    codes, scales = quantize_rows(rows.vectors)
    coded = encode_tokens(codes, scales, trained.codebook, threads=2)
    count = len(rows.lengths)
    offsets = rows.offsets.astype(np.uint32)
    block = CodedBlock(
        first=0,
        rows=CodedRows(offsets, coded.centroid_ids, coded.norms, coded.residuals),
        postings=build_postings(coded.centroid_ids, offsets, len(trained.codebook.centroids)),
        pooled_codes=np.zeros((count, 0), np.int8),
        pooled_scales=np.ones(count, np.float32),
    )
    return CodedVectors(trained.codebook, trained.coded, (block,))


def report(
    part: str, state: str, bits: int, shards: Sequence[Vectors], seen: Sequence[Rows]
) -> None:
    """Prints the recall of each part's queries, over everything that is in the index."""
    recalls = {}
    for name, rows in zip(PARTS, seen, strict=False):
        queries = queries_of(rows)
        hits = [found(query, shards) for query in queries]
        truth = np.stack([np.concatenate([exact_scores(r, q) for r in seen]) for q in queries])
        recalls[name] = round(recall_at_k(hits, truth), 4)
    last = shards[-1]
    drift = {}
    if state == "compacted" and isinstance(last, CodedVectors):
        drift = {"drift": round(last.coded.share_beyond, 3)}
    emit(
        {
            "bench": "drift",
            "stream_at": part,
            "newest_part_is": state,
            "bits": bits,
            f"recall@{K}": recalls,
            **drift,
            **machine(),
            **versions(),
        }
    )


def queries_of(rows: Rows) -> list[NDArray[np.float32]]:
    """Returns texts spread over a part, as queries."""
    each = rows.each()
    return [each[i][:QUERY_ROWS] for i in np.linspace(0, len(each) - 1, QUERIES).astype(int)]


def found(query: NDArray[np.float32], shards: Sequence[Vectors]) -> list[int]:
    """Returns the ten best patterns over all shards, numbered through."""
    rules, first = SearchRules(), 0
    numbers, scores = [], []
    for vectors in shards:
        scorer = open_scorer(query, vectors, rules)
        nominated = scorer.nominate(None, rules.candidates_max)
        numbers.append(nominated.patterns + first)
        scores.append(scorer.score(nominated.patterns))
        first += count_of(vectors)
    best = np.argsort(-np.concatenate(scores), kind="stable")[:K]
    return np.concatenate(numbers)[best].tolist()


def count_of(vectors: Vectors) -> int:
    """Returns how many patterns there are."""
    if isinstance(vectors, FreshVectors):
        return len(vectors.pooled_scales)
    return sum(len(block) for block in vectors.blocks)


if __name__ == "__main__":
    main()
