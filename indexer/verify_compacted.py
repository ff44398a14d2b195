"""What has to hold in a compacted shard beyond what holds in every shard.

Sections are there with the right sizes and checksums. Codes lie within their codebook, a sample of
them has the inverse norm that its reconstruction gives, posting lists are those of the centroid
ids, and the order of events is that of their columns. A hollow row is 0 throughout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer import kernel
from dejalog.indexer.codebook import build_postings
from dejalog.indexer.event import Kind
from dejalog.indexer.kernel.codes import BLOCK_PATTERNS_MAX, WEIGHT_MAX, Codebook, CodedRows
from dejalog.indexer.store.compacted import (
    DELETED_KIND,
    CodedBlock,
    CodedVectors,
    EventOrder,
    SectionMap,
    order_events,
    section_names,
)
from dejalog.indexer.store.layout import Columns, Counters, DamagedValueError
from dejalog.indexer.store.shard import Shard

#: Tokens of a block that are decoded: 100 MB at 96 dims, and a second's work.
SAMPLE_TOKENS: Final = 1 << 17

#: Inverse norms were rounded to whole steps of float64; this one may lie on an edge between two.
_NORM_STEPS_OFF_MAX: Final = 1


def compacted_problems(shard: Shard, counters: Counters, columns: list[Columns]) -> Iterator[str]:
    """Yields what is wrong; puts the columns into the list if they can be read.

    Raises CorruptShardError for a section of the wrong size.
    """
    problems = _section_problems(shard)
    if problems:
        yield from problems
        return
    with shard.snapshot() as snapshot:
        sections = SectionMap.open(shard, snapshot)
    vectors = sections.vectors()
    yield from _codebook_problems(vectors.codebook)
    yield from _block_problems(vectors, counters)
    columns.append(sections.columns(counters.events))
    yield from _event_problems(columns[0], counters)
    order = sections.event_order(counters.events - counters.deleted, counters.patterns)
    yield from _order_problems(order, columns[0], counters)


def _section_problems(shard: Shard) -> list[str]:
    """Which sections are missing, too many, or not what was written."""
    problems = []
    with shard.snapshot() as snapshot:
        expected, found = section_names(snapshot.coded()), snapshot.section_names()
        problems += [f"lacks the section {name}" for name in expected if name not in found]
        for name in found:
            if name not in expected:
                problems.append(f"has a section {name} that nothing refers to")
            try:
                snapshot.section(name)
            except DamagedValueError as error:
                problems.append(f"section {name}: {error}")
    return problems


def _codebook_problems(codebook: Codebook) -> Iterator[str]:
    weights = codebook.weights.astype(int)
    if (np.diff(weights) <= 0).any() or weights[-1] > WEIGHT_MAX:
        yield "the codebook's weights do not grow up to their bound"
    if not 0 <= codebook.zero <= WEIGHT_MAX:
        yield f"the codebook's zero is {codebook.zero}"
    if not (np.diff(codebook.cutoffs) >= 0).all():
        yield "the codebook's cutoffs do not grow"
    for name in ("centroid_scales", "deviations"):
        values = getattr(codebook, name)
        if not (np.isfinite(values) & (values >= 0)).all():
            yield f"the codebook's {name} are not all finite and positive"
    steps = (codebook.weight_step, codebook.norm_low, codebook.norm_step)
    if not np.isfinite(steps).all() or min(steps) < 0:
        yield f"the codebook's steps are {steps}"


def _block_problems(vectors: CodedVectors, counters: Counters) -> Iterator[str]:
    patterns = tokens = 0
    for block in vectors.blocks:
        name = f"block {block.first}"
        if block.first != patterns:
            yield f"{name} of vectors begins behind {patterns} patterns"
        patterns += len(block)
        tokens += len(block.rows.centroid_ids)
        yield from (f"{name}: {problem}" for problem in _code_problems(block, vectors.codebook))
    if (patterns, tokens) != (counters.patterns, counters.tokens):
        yield (
            f"has vectors of {patterns} patterns, {tokens} tokens instead of "
            f"{counters.patterns} patterns, {counters.tokens} tokens"
        )


def _code_problems(block: CodedBlock, codebook: Codebook) -> Iterator[str]:
    rows, centroids = block.rows, len(codebook.centroids)
    offsets = rows.offsets.astype(np.int64)
    if len(block) > BLOCK_PATTERNS_MAX:
        yield f"has {len(block)} patterns, more than {BLOCK_PATTERNS_MAX}"
        return
    is_filled = (np.diff(offsets) > 0).all()
    if offsets[0] != 0 or offsets[-1] != len(rows.centroid_ids) or not is_filled:
        yield "offsets do not lead from pattern to pattern"
        return
    if (rows.centroid_ids >= centroids).any():
        yield f"a centroid is not one of {centroids}"
        return
    expected = build_postings(rows.centroid_ids, rows.offsets, centroids)
    if not _is_same(block.postings.starts, expected.starts) or not _is_same(
        block.postings.patterns, expected.patterns
    ):
        yield "posting lists are not those of the centroid ids"
    if (wrong := _wrong_norms(rows, codebook)) > 0:
        yield f"{wrong} of the codes that were decoded are not as long as their norms say"
    scales = [block.pooled_scales]
    if block.originals is not None:
        scales.append(block.originals.scales)
    if not all((np.isfinite(each) & (each >= 0)).all() for each in scales):
        yield "scales are not all finite and positive"


def _wrong_norms(rows: CodedRows, codebook: Codebook) -> int:
    """How many of a sample of tokens do not have the norm that their reconstruction gives."""
    tokens = len(rows.centroid_ids)
    if not tokens or codebook.norm_step <= 0:
        return int(np.count_nonzero(rows.norms)) if tokens else 0
    step = max(1, -(-tokens // SAMPLE_TOKENS))
    sample = CodedRows(
        offsets=np.array([0, len(range(0, tokens, step))], np.uint32),
        centroid_ids=rows.centroid_ids[::step],
        norms=np.zeros(len(range(0, tokens, step)), np.uint8),
        residuals=rows.residuals[::step],
    )
    # The inverse norm of a codebook without a range is 1: this is the bare reconstruction.
    restored = kernel.decode(sample, replace(codebook, norm_low=1.0, norm_step=0.0))
    with np.errstate(divide="ignore"):
        inverse = 1 / np.sqrt((restored.astype(np.float64) ** 2).sum(axis=1))
        numbers = np.rint((inverse - codebook.norm_low) / codebook.norm_step)
    off = np.abs(np.clip(numbers, 0, 255) - rows.norms[::step].astype(np.float64))
    return int(np.count_nonzero(off > _NORM_STEPS_OFF_MAX))


def _event_problems(columns: Columns, counters: Counters) -> Iterator[str]:
    is_hollow = columns.kinds == DELETED_KIND
    kept = ~is_hollow
    if int(is_hollow.sum()) != counters.deleted:
        yield f"has {is_hollow.sum()} deleted events instead of {counters.deleted}"
    for name in ("times", "patterns", "labelsets"):
        if getattr(columns, name)[is_hollow].any():
            yield f"deleted events still have their {name}"
    if not np.isin(columns.kinds[kept], [int(kind) for kind in Kind]).all():
        yield "an event is neither a log nor a note"
    if (columns.patterns[kept] >= counters.patterns).any():
        yield "an event points at a pattern that is not there"
    if (columns.labelsets[kept] >= counters.labelsets).any():
        yield "an event points at a label set that is not there"
    times = columns.times[kept]
    if len(times) and (times.min() < counters.oldest_ns or times.max() > counters.newest_ns):
        yield "an event lies outside of the shard's time window"


def _order_problems(order: EventOrder, columns: Columns, counters: Counters) -> Iterator[str]:
    is_hollow = columns.kinds == DELETED_KIND
    if int(is_hollow.sum()) != counters.deleted:
        return  # Named already; no order can fit.
    if (columns.patterns[~is_hollow] >= counters.patterns).any():
        return
    expected = order_events(columns, counters.patterns)
    for name in ("rows", "starts", "newest"):
        if not _is_same(getattr(order, name), getattr(expected, name)):
            yield f"the order of events by pattern has wrong {name}"
    if (np.diff(expected.starts.astype(np.int64)) == 0).any():
        yield "a pattern has no event"


def _is_same(found: NDArray[np.generic], expected: NDArray[np.generic]) -> bool:
    return bool(np.array_equal(found, expected))
