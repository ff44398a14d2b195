"""What a compaction's shard will hold, less texts and vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dejalog.indexer.compaction.plan import Job
from dejalog.indexer.compaction.recode import has_originals
from dejalog.indexer.compaction.rewrite import (
    Numbering,
    Source,
    Window,
    join_columns,
    kept_window,
    number_labelsets,
    number_patterns,
    read_source,
)
from dejalog.indexer.deletion import pending_deletions
from dejalog.indexer.event import Labels
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.layout import Columns, Counters, Header
from dejalog.indexer.store.manifest import Manifest
from dejalog.indexer.store.shard import Shard, new_header


@dataclass(frozen=True, slots=True)
class Content:
    """One job's sources, put together; `deletions_applied` is the highest that was heeded."""

    sources: tuple[Source, ...]
    window: Window
    patterns: Numbering
    labelsets: Sequence[Labels]
    columns: Columns
    deletions_applied: int

    @property
    def is_unchanged(self) -> bool:
        """Whether the one source's patterns and events are all there, under their numbers."""
        only = self.sources[0]
        return (
            len(self.sources) == 1
            and only.is_whole
            and self.patterns.count == only.counters.patterns
            and self.window == Window(only.first_event, only.end_event)
        )

    @property
    def living_before(self) -> int:
        """How many events the sources have, deleted ones that they still hold included."""
        return sum(s.counters.events - s.counters.deleted for s in self.sources)

    def counters(self, tokens: int) -> Counters:
        """What the shard will count; `tokens` are its token vectors."""
        kept = self.columns.kinds > 0
        times = self.columns.times[kept]
        before = [source.counters for source in self.sources]
        truncated = sum(counters.truncated_patterns for counters in before)
        return Counters(
            events=len(self.window),
            patterns=self.patterns.count,
            tokens=tokens,
            labelsets=len(self.labelsets),
            dead_letters=sum(counters.dead_letters for counters in before),
            # Which ones these were is not stored: at most so many.
            truncated_patterns=min(truncated, self.patterns.count),
            oldest_ns=int(times.min()) if len(times) else 0,
            newest_ns=int(times.max()) if len(times) else 0,
            deleted=len(self.window) - len(times),
        )


def read_content(directory: DataDirectory, job: Job, expire_before_ns: int | None) -> Content:
    """Reads a job's sources, their checksums compared; raises CorruptShardError."""
    manifest = directory.manifest
    sources = tuple(
        _read_source(directory.shard(number), manifest, expire_before_ns) for number in job.sources
    )
    window = kept_window(sources)
    patterns = number_patterns(
        [source.digests for source in sources],
        [source.used for source in sources],
        [has_originals(source) for source in sources],
    )
    labelsets, labelset_numbers = number_labelsets(sources)
    return Content(
        sources=sources,
        window=window,
        patterns=patterns,
        labelsets=labelsets,
        columns=join_columns(sources, window, patterns, labelset_numbers),
        # Deletions that are added from now on are not applied, and have higher numbers.
        deletions_applied=manifest.next_deletion - 1,
    )


def _read_source(shard: Shard, manifest: Manifest, expire_before_ns: int | None) -> Source:
    header = shard.header
    entry = manifest.entry(header.shard)
    deletions = pending_deletions(entry, manifest.deletions, header.first_event)
    return read_source(shard, deletions, expire_before_ns)


def header_of(content: Content, number: int) -> Header:
    """Returns the header of the shard that is made under this number."""
    newest = content.sources[-1].shard.header
    return new_header(
        shard=number,
        created_ns=time.time_ns(),
        first_event=content.window.first,
        first_dead_letter=content.sources[0].shard.header.first_dead_letter,
        encoder_fingerprint=newest.encoder_fingerprint,
        mask_version=newest.mask_version,
        dim=newest.dim,
        pooled_dim=newest.pooled_dim,
    )
