"""Committed events -> the lexical index, from wherever it has got to.

This is the only way into the lexical index, at ingest as after a crash: it reads what LMDB has
committed above the index's watermark, so the index may lag the truth but cannot lead it.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from dejalog.indexer.event import Labels
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import PLACEHOLDER, TIME_TYPES, mask_pattern
from dejalog.indexer.store.events import open_block
from dejalog.indexer.store.shard import Shard

LEXICAL_NAME = "lexical"

#: Text blocks that become one transaction of the lexical index: about 16 k short events.
_BLOCKS_PER_STEP = 32


def lexical_folder(shard: Shard) -> Path:
    """Where a shard's lexical index lies."""
    return shard.path / LEXICAL_NAME


def value_document(text: str, attributes: Labels) -> str:
    """Returns what an event has beyond its pattern: masked values and values of attributes.

    Times are left out: they are found by time range, and every event has one.
    """
    _, spans = mask_pattern(text)
    values = [
        text[spans[i + 1] : spans[i + 2]]
        for i in range(0, len(spans), 3)
        if spans[i] not in TIME_TYPES
    ]
    values.extend(value for _, value in attributes)
    return " ".join(values)


def catch_up(shard: Shard, index: LexicalIndex) -> int:
    """Adds one step of what the index lacks; returns the number of events and patterns added."""
    first_event = shard.header.first_event
    with shard.snapshot() as snapshot:
        counters = snapshot.counters()
        events_end = first_event + counters.events
        is_current = (
            index.patterns_indexed >= counters.patterns and index.events_indexed >= events_end
        )
        if is_current:
            return 0
        patterns = [
            # A placeholder is no word of the text.
            (first + offset, PLACEHOLDER.sub(" ", text))
            for first, texts in snapshot.patterns_from(index.patterns_indexed)
            for offset, text in enumerate(texts)
        ]
        start = max(index.events_indexed, first_event)
        blocks = [
            open_block(first, block)
            for first, block in islice(snapshot.texts_from(start), _BLOCKS_PER_STEP)
        ]
    events = [
        (block.first + i, value_document(block.text(i), tuple(block.block.attributes[i])))
        for block in blocks
        for i in range(max(0, start - block.first), len(block))
    ]
    end = blocks[-1].first + len(blocks[-1]) if blocks else start
    index.append(patterns, events, patterns_end=counters.patterns, events_end=end)
    return len(events) + len(patterns)
