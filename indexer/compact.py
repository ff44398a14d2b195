"""Adjacent shards -> one compacted shard with a codebook of its own, swapped in in one step.

1. Every source is read, its checksums compared; events that are deleted or expired are left out.
2. A draft folder takes, in steps of bounded size: patterns, label sets, texts, dead letters.
3. A codebook is trained on a sample of the patterns' int8 vectors, started from the last one.
4. All vectors are coded, a block at a time; then come the events' columns and the word index.
5. The draft is renamed and the manifest replaced; only then are the sources removed.

Whatever happens before the manifest is replaced leaves the old shards, and a draft that the next
run removes. Memory holds the events' columns and one block of vectors; writing is paced.
`compaction/plan.py` says what is compacted.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import msgspec

from dejalog.indexer.compaction.content import Content, header_of, read_content
from dejalog.indexer.compaction.describe import describe_shards, originals_bytes
from dejalog.indexer.compaction.draft import Draft, OnProgress
from dejalog.indexer.compaction.learn import Book, describe_book, learn, stored_book
from dejalog.indexer.compaction.pace import Pace
from dejalog.indexer.compaction.plan import Job, PlanRules, ShardInfo, plan_compaction
from dejalog.indexer.compaction.recode import VectorReader, coded_blocks, kept_blocks
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import ConfigError, StorageError
from dejalog.indexer.store.compacted import CodedVectors, SectionMap
from dejalog.indexer.store.directory import DataDirectory, folder_bytes, settled
from dejalog.indexer.store.layout import Coded, Counters
from dejalog.indexer.store.manifest import Manifest, ShardEntry, Tier
from dejalog.indexer.store.shard import Shard


@dataclass(frozen=True, slots=True)
class CompactRules:
    """What compacted shards are like, and how much compaction may take.

    `originals_bytes_max` bounds the int8 vectors that all compacted shards keep for later merges;
    `write_bytes_per_s` of 0 is no bound. Raises ConfigError for what makes no sense.
    """

    bits: int = 4
    merge_factor: int = 4
    events_max: int = 16_000_000
    patterns_max: int = 2_000_000
    expired_share_min: float = 0.5
    originals_bytes_max: int = 1 << 30
    write_bytes_per_s: int = 64 << 20
    threads: int = 1

    def __post_init__(self) -> None:
        if self.bits not in {1, 2, 4}:
            raise ConfigError("compact", "bits", "must be 1, 2 or 4")
        self.plan_rules()

    def plan_rules(self) -> PlanRules:
        """What of it planning needs."""
        return PlanRules(
            merge_factor=self.merge_factor,
            events_max=self.events_max,
            patterns_max=self.patterns_max,
            expired_share_min=self.expired_share_min,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What one job did; `made` is None where nothing was left to keep."""

    sources: tuple[int, ...]
    made: int | None
    events: int
    dropped_events: int
    patterns: int
    tokens: int
    reencoded_patterns: int
    bits: int
    centroids: int
    codebook_version: int
    drift: float
    mean_cosine: float
    bytes_before: int
    bytes_after: int
    seconds: float


def compact_directory(
    directory: DataDirectory,
    encoder_factory: Callable[[], Encoder],
    rules: CompactRules,
    *,
    on_progress: OnProgress = lambda _step, _done, _total: None,
    on_report: Callable[[Report], None] = lambda _: None,
    stop: Event | None = None,
    expire_before_ns: int | None = None,
) -> list[Report]:
    """Plans and runs every job that is due; returns what was done, and tells it job by job.

    Raises DataDirectoryError if another process compacts, CorruptShardError, StorageError, and
    StoppedError soon after `stop` was set.
    """
    with directory.compacting():
        # Read first: what is added while the shards are described is not acknowledged.
        known = directory.manifest.next_deletion - 1
        infos = describe_shards(directory, expire_before_ns=expire_before_ns)
        acknowledge(directory, infos, known)
        reports: list[Report] = []
        for job in plan_compaction(infos, rules.plan_rules()):
            reports.append(
                compact(
                    directory,
                    encoder_factory,
                    job,
                    rules,
                    on_progress=on_progress,
                    stop=stop,
                    expire_before_ns=expire_before_ns,
                )
            )
            on_report(reports[-1])
        return reports


def acknowledge(directory: DataDirectory, infos: Sequence[ShardInfo], known: int) -> None:
    """Notes where pending deletions reach nothing, so that they need not be looked at again.

    `known` is the highest deletion that the descriptions heed.
    """
    untouched = {
        info.number
        for info in infos
        if info.pending_deletions and not info.pending_events and not info.damage
    }
    if not untouched:
        return

    def change(manifest: Manifest) -> Manifest:
        entries = tuple(
            msgspec.structs.replace(entry, deletions_applied=max(entry.deletions_applied, known))
            if entry.number in untouched
            else entry
            for entry in manifest.shards
        )
        return settled(msgspec.structs.replace(manifest, shards=entries))

    directory.update(change)


def compact(
    directory: DataDirectory,
    encoder_factory: Callable[[], Encoder],
    job: Job,
    rules: CompactRules,
    *,
    on_progress: OnProgress = lambda _step, _done, _total: None,
    stop: Event | None = None,
    expire_before_ns: int | None = None,
) -> Report:
    """Runs one job, only while `directory.compacting()` is held; raises like compact_directory."""
    started = time.monotonic()
    pace = Pace(rules.write_bytes_per_s, stop)
    bytes_before = sum(folder_bytes(directory.folder(number)) for number in job.sources)
    _check_room(directory, bytes_before)
    content = read_content(directory, job, expire_before_ns)
    made: int | None = None
    reencoded, coded = 0, None
    counters = content.counters(0)
    if len(content.window) or counters.dead_letters:
        made = directory.reserve_number()
        folder = directory.draft(made)
        writer = _Writer(directory, encoder_factory, rules, pace, on_progress)
        try:
            coded, counters, reencoded = writer.write(content, folder, made)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                reason = f"cannot write {folder}: {error}; every shard is as it was before"
                raise StorageError(reason) from error
            raise
    pace.check()
    entry = None
    if made is not None:
        entry = ShardEntry(made, Tier.COMPACTED, content.deletions_applied)
    directory.replace_shards(job.sources, entry)
    return Report(
        sources=job.sources,
        made=made,
        events=counters.events - counters.deleted,
        dropped_events=content.living_before - (counters.events - counters.deleted),
        patterns=counters.patterns,
        tokens=counters.tokens,
        reencoded_patterns=reencoded,
        bits=coded.bits if coded else 0,
        centroids=coded.centroids if coded else 0,
        codebook_version=coded.codebook_version if coded else 0,
        drift=coded.share_beyond if coded else 0.0,
        mean_cosine=coded.mean_cosine if coded else 0.0,
        bytes_before=bytes_before,
        bytes_after=folder_bytes(directory.folder(made)) if made is not None else 0,
        seconds=time.monotonic() - started,
    )


class _Writer:
    """Writes what a job makes into its draft folder."""

    def __init__(
        self,
        directory: DataDirectory,
        encoder_factory: Callable[[], Encoder],
        rules: CompactRules,
        pace: Pace,
        on_progress: OnProgress,
    ) -> None:
        self._directory = directory
        self._encoder_factory = encoder_factory
        self._rules = rules
        self._pace = pace
        self._on_progress = on_progress

    def write(self, content: Content, folder: Path, number: int) -> tuple[Coded, Counters, int]:
        """Returns what the shard says of itself, and how many patterns were encoded again."""
        sources = content.sources
        with sources[-1].shard.snapshot() as snapshot:
            positions = snapshot.positions()
        draft = Draft(
            folder,
            header_of(content, number),
            positions,
            pace=self._pace,
            on_progress=self._on_progress,
        )
        try:
            draft.put_patterns(sources, content.patterns)
            draft.put_labelsets(content.labelsets)
            draft.put_texts(sources, content.window)
            draft.put_dead_letters(sources)
            coded, reencoded = self._put_vectors(draft, content, folder, number)
            draft.put_events(content.columns, content.patterns.count)
            counters = content.counters(sum(block.tokens for block in coded.blocks))
            draft.finish(coded, counters)
            draft.put_words(sources, is_unchanged=content.is_unchanged)
        finally:
            draft.close()
        return coded, counters, reencoded

    def _put_vectors(
        self, draft: Draft, content: Content, folder: Path, number: int
    ) -> tuple[Coded, int]:
        numbers = [source.shard.header.shard for source in content.sources]
        kept = content.sources[0].coded
        if len(content.sources) == 1 and kept is not None:
            blocks = kept_blocks(kept, content.patterns.taken[0])
            shapes = draft.put_vectors(kept.codebook, blocks, content.patterns.count)
            return msgspec.structs.replace(kept.coded, blocks=shapes), 0
        spool_path = folder / "vectors.spool"
        reader = VectorReader(
            content.sources,
            content.patterns,
            encoder_factory=self._encoder_factory,
            spool_path=spool_path,
            check=self._pace.check,
        )
        book = self._learn(reader, numbers, number)
        blocks = coded_blocks(
            reader.chunks(),
            book.trained,
            originals_bytes_max=self._originals_bytes_max(content),
            threads=self._rules.threads,
        )
        shapes = draft.put_vectors(book.trained.codebook, blocks, content.patterns.count)
        spool_path.unlink(missing_ok=True)
        coded = describe_book(book.trained, shapes, share_beyond=book.share_beyond, sources=numbers)
        return coded, reader.reencoded_patterns

    def _learn(self, reader: VectorReader, sources: Sequence[int], number: int) -> Book:
        self._on_progress("codebook", 0, 1)
        compacted = _coded_shards(self._directory)
        numbers = self._directory.manifest.numbers
        before = numbers[: numbers.index(sources[-1]) + 1]
        earlier = [shard for shard, _ in compacted if shard.header.shard in before]
        book = learn(
            reader,
            bits=self._rules.bits,
            seed=number,
            version=1 + max((coded.codebook_version for _, coded in compacted), default=0),
            previous=stored_book(_vectors(earlier[-1])) if earlier else None,
            threads=self._rules.threads,
        )
        self._on_progress("codebook", 1, 1)
        return book

    def _originals_bytes_max(self, content: Content) -> int:
        """What the budget has left; a shard that is too large for another merge needs none."""
        rules = self._rules
        is_last_merge = (
            2 * len(content.window) > rules.events_max
            or 2 * content.patterns.count > rules.patterns_max
        )
        if is_last_merge:
            return 0
        sources = {source.shard.header.shard for source in content.sources}
        used = sum(
            originals_bytes(coded, shard.header.dim)
            for shard, coded in _coded_shards(self._directory)
            if shard.header.shard not in sources
        )
        return max(0, rules.originals_bytes_max - used)


def _coded_shards(directory: DataDirectory) -> list[tuple[Shard, Coded]]:
    """The compacted shards and how they are coded, in the order of their events."""
    found: list[tuple[Shard, Coded]] = []
    for shard in directory.shards:
        if shard.tier is Tier.COMPACTED:
            with shard.snapshot() as snapshot:
                found.append((shard, snapshot.coded()))
    return found


def _vectors(shard: Shard) -> CodedVectors:
    with shard.snapshot() as snapshot:
        return SectionMap.open(shard, snapshot).vectors()


def _check_room(directory: DataDirectory, size_bytes: int) -> None:
    """The sources are removed after the swap only."""
    free = shutil.disk_usage(directory.path).free
    if free < size_bytes:
        raise StorageError(
            f"{directory.path} has {free >> 20} MiB free, and compacting {size_bytes >> 20} MiB "
            "may need as much again; make room, or let retention drop old shards ([retain])"
        )
