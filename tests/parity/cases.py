"""Random cases for the kernels, and the answers of the NumPy twin as a file for harness.cpp.

    python tests/parity/cases.py FILE [COUNT]

The file is a sequence of fields, each a length in bytes (uint64, little-endian) and the bytes. A
case starts with the field of its name; harness.cpp says which fields follow.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dejalog.indexer.kernel import Codebook, CodedRows, Kernel, Postings, reference
from dejalog.indexer.kernel import queries as querying

DIMS = (8, 24, 40, 48, 64, 96, 128, 200, 384, 512)
BITS = (1, 2, 4)
TWIN = Kernel(reference)

Field = str | NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Case:
    """One shard's worth of everything, and a query."""

    query: NDArray[np.float32]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    codebook: Codebook
    centroid_ids: NDArray[np.uint16]
    rows: CodedRows
    patterns: NDArray[np.uint32]
    postings: Postings
    pattern_count: int
    is_allowed: NDArray[np.bool_]
    probes: int
    scores: NDArray[np.int32]
    count: int


def make_case(seed: int, dim: int, bits: int) -> Case:
    """Returns a case of at most a hundred tokens; every other one is made of extreme numbers."""
    random = np.random.default_rng(seed)
    is_extreme = bool(seed % 2)
    tokens, centroids = int(random.integers(1, 100)), int(random.integers(1, 200))
    codebook = make_codebook(random, dim, bits, centroids, is_extreme)
    ids = random.integers(0, centroids, tokens).astype(np.uint16)
    pattern_count = int(random.integers(1, 300))
    postings = make_postings(random, centroids, pattern_count)
    rows = make_rows(random, tokens, dim * bits // 8, centroids, is_extreme)
    return Case(
        query=make_query(random, make_count(random), dim, is_extreme),
        codes=make_codes(random, tokens, dim, is_extreme),
        scales=(random.random(tokens) / 127).astype(np.float32),
        codebook=codebook,
        centroid_ids=ids,
        rows=rows,
        patterns=random.integers(0, len(rows.offsets) - 1, random.integers(0, 20)).astype(
            np.uint32
        ),
        postings=postings,
        pattern_count=pattern_count,
        is_allowed=random.random(pattern_count) < 0.5,
        probes=int(random.integers(1, 40)),
        scores=random.integers(-50, 50, 3000).astype(np.int32) * np.int32(40_000_000),
        count=int(random.integers(0, 3100)),
    )


def make_count(random: Generator) -> int:
    """Returns a number of query rows: as often in a short block as in one or more long ones."""
    return int(random.integers(1, random.choice([9, 17, 33, 70])))


def make_query(random: Generator, count: int, dim: int, is_extreme: bool) -> NDArray[np.float32]:
    query = random.standard_normal((count, dim)).astype(np.float32)
    if is_extreme:
        query[:: random.integers(2, 5)] = 0
        query[1::3] = np.sign(query[1::3]) * 3e4
    return query


def make_codes(random: Generator, tokens: int, dim: int, is_extreme: bool) -> NDArray[np.int8]:
    codes = random.integers(-128, 128, (tokens, dim)).astype(np.int8)
    if is_extreme:
        codes[::3] = np.where(codes[::3] < 0, -127, 127)
        codes[1::5] = 0
        codes[2::7] = -128
    return codes


def make_codebook(
    random: Generator, dim: int, bits: int, centroids: int, is_extreme: bool
) -> Codebook:
    buckets = 1 << bits
    deviations = (random.random(dim) * 0.05).astype(np.float32)
    deviations[random.integers(dim)] = 0
    weights = np.sort(random.integers(0, 128, buckets)).astype(np.uint8)
    if is_extreme:
        weights[0], weights[-1] = 0, 127
    return Codebook(
        bits=bits,
        centroids=make_codes(random, centroids, dim, is_extreme),
        centroid_scales=(random.random(centroids) / 1000).astype(np.float32),
        deviations=deviations,
        weights=weights,
        zero=int(random.integers(0, 128)),
        weight_step=0.01 + random.random() * 0.1,
        cutoffs=np.sort(random.standard_normal(buckets - 1)).astype(np.float32),
        norm_low=0.8,
        norm_step=0.004 * float(random.integers(0, 3)),
    )


def make_rows(
    random: Generator, tokens: int, width: int, centroids: int, is_garbage: bool
) -> CodedRows:
    """Patterns of 0 to 6 tokens; garbage has centroids that no codebook has."""
    lengths = random.integers(0, 7, tokens)
    offsets = np.minimum(np.concatenate([[0], np.cumsum(lengths)]), tokens)
    return CodedRows(
        offsets=offsets.astype(np.uint32),
        centroid_ids=random.integers(0, 65_536 if is_garbage else centroids, tokens).astype(
            np.uint16
        ),
        norms=random.integers(0, 256, tokens).astype(np.uint8),
        residuals=random.integers(0, 256, (tokens, width)).astype(np.uint8),
    )


def make_postings(random: Generator, centroids: int, pattern_count: int) -> Postings:
    lists = [np.flatnonzero(random.random(pattern_count) < 0.2) for _ in range(centroids)]
    starts = np.concatenate([[0], np.cumsum([len(patterns) for patterns in lists])])
    return Postings(starts.astype(np.uint32), np.concatenate(lists).astype(np.uint16))


def all_cases(count: int) -> Iterator[Case]:
    """Yields `count` cases of each dimension and number of bits."""
    for seed in range(count):
        for dim in DIMS:
            for bits in BITS:
                yield make_case(len(DIMS) * seed + dim + bits, dim, bits)


def fresh_fields(case: Case) -> Iterator[Field]:
    """Fresh vectors and what is asked of them."""
    blocks, block_rows = querying.block_shape(len(case.query))
    padded = np.zeros((blocks * block_rows, case.query.shape[1]))
    padded[: len(case.query)] = case.query
    rows, row_scales = querying.quantize_int8(padded.astype(np.float32))
    offsets = case.rows.offsets.astype(np.int64)
    yield from ("maxsim", rows, row_scales, case.codes, case.scales, offsets, case.patterns)
    arguments = (case.query, case.codes, case.scales)
    yield TWIN.maxsim(*arguments, offsets)
    yield TWIN.maxsim(*arguments, offsets, case.patterns)
    yield from TWIN.best_rows(*arguments)
    book = case.codebook
    halves = reference.half_squares(book.centroids, book.centroid_scales)
    yield from ("nearest", case.codes, case.scales, book.centroids, book.centroid_scales, halves)
    yield TWIN.nearest(case.codes, case.scales, book.centroids, book.centroid_scales)
    wide, wide_scales = querying.quantize_int16(case.query[:1])
    chosen = (case.patterns % len(case.codes)).astype(np.uint32)
    yield from ("row_dots", wide, wide_scales, case.codes, case.scales, chosen)
    yield TWIN.row_dots(case.query[0], case.codes, case.scales)
    yield TWIN.row_dots(case.query[0], case.codes, case.scales, chosen)


def coded_fields(case: Case) -> Iterator[Field]:
    """Coded vectors and what is asked of them; of a table only rows of real centroids."""
    book, rows = case.codebook, case.rows
    norm = querying.centroid_norm(book)
    prepared = TWIN.prepare(case.query, book)
    _, plan = querying.plan_query(case.query, book, norm)
    table = np.ascontiguousarray(prepared.table[:, : prepared.centroids])
    yield from ("table", plan.rows, plan.factors, book.centroids, book.centroid_scales, table)
    yield from ("coded", np.array([book.bits, prepared.shift, prepared.count], np.int64))
    yield from (np.array([prepared.unit]), prepared.rows, prepared.bias, table)
    yield from (np.resize(book.weights, 16), querying.norm_values(prepared))
    yield from (rows.offsets, rows.centroid_ids, rows.norms, rows.residuals, case.patterns)
    yield TWIN.code_maxsim(prepared, rows)
    yield TWIN.code_maxsim(prepared, rows, case.patterns)
    yield TWIN.centroid_maxsim(prepared, rows)
    yield TWIN.centroid_maxsim(prepared, rows, case.patterns)
    filled = int(np.argmax(np.diff(rows.offsets.astype(np.int64)) > 0))
    yield rows.offsets[filled : filled + 2]
    has_tokens = rows.offsets[filled] < rows.offsets[filled + 1]
    yield from (
        TWIN.code_best_rows(prepared, rows, filled)
        if has_tokens
        else (np.zeros(0, np.int64), np.zeros(0, np.float32))
    )
    probes = TWIN.probed(prepared, case.probes)
    shape = np.array(
        [*probes.centroids.shape, prepared.centroids, prepared.table.shape[2]], np.int64
    )
    yield from ("probe", shape, table, probes.centroids, probes.gains)
    yield from (case.postings.starts, case.postings.patterns)
    yield TWIN.probe(prepared, case.postings, case.pattern_count, probes)


def other_fields(case: Case) -> Iterator[Field]:
    """Coding, and the best scores."""
    book = case.codebook
    yield from ("encode", case.codes, case.scales, case.centroid_ids, book.centroids)
    yield from (book.centroid_scales, book.deviations, reference.inverse_deviations(book))
    yield from (book.cutoffs, reference.weight_values(book))
    yield from (np.array([book.norm_low, book.norm_step]),)
    yield from TWIN.encode(case.codes, case.scales, book, case.centroid_ids)
    yield from ("top", case.scores, np.array([case.count, 0], np.int64))
    yield from (TWIN.top(case.scores, case.count), TWIN.top(case.scores, case.count, 0))


def write_cases(path: Path, cases: Iterator[Case]) -> int:
    """Writes the fields of all cases; returns how many cases there were."""
    count = 0
    with path.open("wb") as file:
        for count, case in enumerate(cases, start=1):  # noqa: B007
            for field in (*fresh_fields(case), *coded_fields(case), *other_fields(case)):
                data = field.encode() if isinstance(field, str) else field.tobytes()
                file.write(len(data).to_bytes(8, "little"))
                file.write(data)
    return count


if __name__ == "__main__":
    written = write_cases(Path(sys.argv[1]), all_cases(int(sys.argv[2]) if sys.argv[2:] else 4))
    print(f"{written} cases")
