"""How good codebooks are, and what making them takes: JSON lines out.

    python -m bench.codebook CORPUS.npz [--bits 4 2 1] [--per-root 4 8] [--threads 2]

CORPUS.npz is of `bench.corpus`. For each size and number of bits: seconds for training, encoding
and posting lists; squared error and cosine; recall@10 of every pattern's code score, and how often
the centroid scores alone have the ten among their best so many, against exact float32 MaxSim.
`drawn` is how training draws its tokens; `uniform` is k-means on as many tokens drawn uniformly.
With faiss-cpu installed, its k-means runs on the same tokens for as many steps.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench.vectors import Corpus, Rows
from numpy.typing import NDArray

from dejalog.indexer import kernel
from dejalog.indexer.codebook import (
    CodebookRules,
    Trained,
    build_postings,
    centroid_count,
    encode_tokens,
    sample_tokens,
    train,
)
from dejalog.indexer.k_means import Rows as Int8Rows
from dejalog.indexer.k_means import k_means, nearest, residual_norms, starting_centroids
from dejalog.indexer.kernel.codes import Codebook, CodedRows
from dejalog.indexer.quantize import dequantize_rows, quantize_rows

SEED = 1
TOP = 10
CANDIDATES = (128, 256, 512, 1_024, 2_048)

#: Texts are scored exactly in blocks of so many tokens, for all queries at once.
BLOCK_TOKENS = 2_048


def main() -> None:
    """Prints one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 2, 1])
    parser.add_argument("--per-root", type=float, nargs="+", default=[4.0, 8.0])
    parser.add_argument("--threads", type=int, default=2)
    flags = parser.parse_args()
    corpus = Corpus(flags.corpus)
    texts, queries = corpus.texts, corpus.queries("task")
    tokens = Int8Rows(*quantize_rows(texts.vectors))
    best = exact_best(texts, queries)
    report(what="corpus", tokens=len(tokens.codes), queries=len(queries), kernel=kernel.BACKEND)
    offsets = texts.offsets.astype(np.uint32)
    for per_root in flags.per_root:
        rules = CodebookRules(centroids_per_root=per_root)
        compare_k_means(tokens, rules, flags.threads)
        for bits in flags.bits:
            trained = measure_making(tokens, offsets, bits, rules, flags.threads)
            measure_finding(tokens, offsets, trained, queries, best)


def measure_making(
    tokens: Int8Rows,
    offsets: NDArray[np.uint32],
    bits: int,
    rules: CodebookRules,
    threads: int,
) -> Trained:
    """Returns a codebook, having printed how long its steps took."""
    count, begun = len(tokens.codes), time.perf_counter()
    sample = tokens.take(sample_tokens(count, seed=SEED, rules=rules))
    trained = train(*sample, bits=bits, tokens_total=count, seed=SEED, rules=rules, threads=threads)
    train_s = time.perf_counter() - begun
    begun = time.perf_counter()
    codes = encode_tokens(*tokens, trained.codebook, threads=threads)
    encode_s = time.perf_counter() - begun
    begun = time.perf_counter()
    centroids = len(trained.codebook.centroids)
    postings = build_postings(codes.centroid_ids, offsets, centroids)
    report(
        what="making",
        bits=bits,
        centroids=centroids,
        trained_tokens=trained.trained_tokens,
        threads=threads,
        train_s=round(train_s, 2),
        encode_s=round(encode_s, 2),
        postings_s=round(time.perf_counter() - begun, 3),
        postings=len(postings.patterns),
        cosine=round(trained.drift.cosine_mean, 5),
        residual_mean=round(trained.drift.residual_mean, 4),
    )
    return trained


def measure_finding(
    tokens: Int8Rows,
    offsets: NDArray[np.uint32],
    trained: Trained,
    queries: Sequence[NDArray[np.float32]],
    best: Sequence[NDArray[np.intp]],
) -> None:
    """Prints what code scores and centroid scores find of the exact ten best."""
    codes = encode_tokens(*tokens, trained.codebook, threads=2)
    rows = CodedRows(offsets, codes.centroid_ids, codes.norms, codes.residuals)
    unit = unit_centroids(trained.codebook)
    by_code, by_centroid, by_unit = [], [], []
    for query, exact in zip(queries, best, strict=True):
        prepared = kernel.prepare(query, trained.codebook)
        by_code.append(recall(kernel.code_maxsim(prepared, rows), exact, (TOP, 2 * TOP)))
        scores = kernel.centroid_maxsim(prepared, rows)
        by_centroid.append(recall(scores, exact, CANDIDATES))
        prepared = kernel.prepare(query, unit)
        by_unit.append(recall(kernel.centroid_maxsim(prepared, rows), exact, CANDIDATES))
    report(
        what="finding",
        bits=trained.codebook.bits,
        centroids=len(trained.codebook.centroids),
        recall_at_10_and_20=mean_of(by_code),
        candidates=list(CANDIDATES),
        found_by_centroids=mean_of(by_centroid),
        found_by_unit_centroids=mean_of(by_unit),
    )


def compare_k_means(tokens: Int8Rows, rules: CodebookRules, threads: int) -> None:
    """Prints squared error and seconds of k-means on uniformly drawn tokens: ours and faiss's."""
    random = np.random.default_rng(SEED)
    count = centroid_count(len(tokens.codes), rules)
    wanted = min(count * rules.tokens_per_centroid, len(tokens.codes))
    drawn = tokens.take(np.sort(random.choice(len(tokens.codes), wanted, replace=False)))
    held_out = tokens.take(random.choice(len(tokens.codes), min(50_000, wanted), replace=False))
    begun = time.perf_counter()
    start, _ = starting_centroids(drawn, count, earlier=None, random=random)
    ours = k_means(drawn, start, steps=rules.iterations, random=random, threads=threads)
    ours_s = time.perf_counter() - begun
    found = {"ours_s": round(ours_s, 2), "ours_error": squared_error(held_out, ours)}
    if importlib.util.find_spec("faiss"):
        theirs, theirs_s = faiss_k_means(drawn, count, rules.iterations, threads)
        found |= {"faiss_s": round(theirs_s, 2), "faiss_error": squared_error(held_out, theirs)}
        found["ratio"] = round(theirs_s / ours_s, 2)
    report(what="k_means, uniform", centroids=count, tokens=wanted, steps=rules.iterations, **found)


def faiss_k_means(drawn: Int8Rows, count: int, steps: int, threads: int) -> tuple[Int8Rows, float]:
    """Returns faiss's centroids, as int8, and its seconds."""
    import faiss

    faiss.omp_set_num_threads(threads)
    values = dequantize_rows(*drawn)
    begun = time.perf_counter()
    clustering = faiss.Kmeans(
        values.shape[1],
        count,
        niter=steps,
        seed=SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=len(values),
    )
    clustering.train(values)
    seconds = time.perf_counter() - begun
    return Int8Rows(*quantize_rows(clustering.centroids)), seconds


def exact_best(texts: Rows, queries: Sequence[NDArray[np.float32]]) -> list[NDArray[np.intp]]:
    """Returns the TOP best texts of each query by float32 MaxSim."""
    lengths = [len(query) for query in queries]
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    joined = np.ascontiguousarray(np.concatenate(queries).T)
    offsets = texts.offsets
    scores = np.empty((len(offsets) - 1, len(queries)), np.float32)
    start = 0
    while start < len(scores):
        end = int(np.searchsorted(offsets, offsets[start] + BLOCK_TOKENS, side="right")) - 1
        end = max(end, start + 1)
        similarities = texts.vectors[offsets[start] : offsets[end]] @ joined
        rows = np.maximum.reduceat(similarities, offsets[start:end] - offsets[start], axis=0)
        scores[start:end] = np.add.reduceat(rows, firsts, axis=1)
        start = end
    return [np.argpartition(-column, TOP)[:TOP] for column in scores.T]


def unit_centroids(codebook: Codebook) -> Codebook:
    """Returns the codebook with all centroids stretched to a length of one."""
    lengths = np.linalg.norm(codebook.centroids.astype(np.float32), axis=1)
    scales = (1 / np.maximum(lengths, 1)).astype(np.float32)
    return replace(codebook, centroid_scales=scales)


def recall(
    scores: NDArray[np.generic], exact: NDArray[np.intp], counts: Sequence[int]
) -> list[float]:
    """Returns the share of the exact best among the so many best by score."""
    order = np.argsort(-scores, kind="stable")[: max(counts)]
    return [len(np.intersect1d(order[:count], exact)) / len(exact) for count in counts]


def squared_error(rows: Int8Rows, centroids: Int8Rows) -> float:
    """Returns the mean squared distance of rows to their centroids."""
    norms = residual_norms(rows, centroids, nearest(rows, centroids))
    return round(float((norms**2).mean()), 4)


def mean_of(values: list[list[float]]) -> list[float]:
    """Returns the mean of each column."""
    return [round(float(value), 4) for value in np.mean(values, axis=0)]


def report(**fields: object) -> None:
    """Prints one line."""
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
