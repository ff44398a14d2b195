"""Settings -> the opened parts of an index, the same for the daemon and every command."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from dejalog.daemon.config import Settings
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.indexer.append import Appender
from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.compact import CompactRules
from dejalog.indexer.decode import Decoder
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import CorruptShardError, StorageError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.rerank import Reranker
from dejalog.indexer.search import Searcher
from dejalog.indexer.status import IndexStatus
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.layout import Counters
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.shard import Shard


def data_path(settings: Settings) -> Path:
    """The data directory, with `~` resolved."""
    return Path(settings.data.directory).expanduser()


def open_encoder(settings: Settings) -> Encoder:
    """Loads the model that the settings name; raises ModelError."""
    bundle = settings.encoder.bundle
    threads = settings.encoder.threads or os.cpu_count() or 1
    return Encoder.load(Path(bundle).expanduser() if bundle else None, threads=threads)


def open_reranker(settings: Settings) -> Reranker | None:
    """Loads the reranking model, if the settings name one; raises ModelError."""
    if not settings.rerank.model:
        return None
    threads = settings.encoder.threads or os.cpu_count() or 1
    model = Path(settings.rerank.model).expanduser()
    return Reranker.load(model, settings.rerank, threads=threads)


def compact_rules(settings: Settings) -> CompactRules:
    """What compaction is told, with the number of threads resolved."""
    return replace(settings.compact, threads=settings.compact.threads or os.cpu_count() or 1)


def open_decoder(settings: Settings, encoding: str | None = None) -> Decoder:
    """Returns a decoder; `encoding` is for records that name none of their own."""
    return Decoder(replace(settings.decode, encoding=encoding or settings.decode.encoding))


@contextmanager
def open_searcher(settings: Settings) -> Iterator[tuple[DataDirectory, Searcher]]:
    """Opens an index for reading, whether or not another process is writing to it."""
    with DataDirectory.open(data_path(settings), is_writable=False) as directory:
        reranker = open_reranker(settings)
        searcher = Searcher(directory, open_encoder(settings), reranker=reranker)
        try:
            yield directory, searcher
        finally:
            searcher.close()


@dataclass(frozen=True, slots=True)
class WritableIndex:
    """An index that this process writes: its lock, its encoder and its one appender."""

    directory: DataDirectory
    encoder: Encoder
    appender: Appender


@contextmanager
def open_writable(settings: Settings) -> Iterator[WritableIndex]:
    """Opens an index for writing, making it if need be; raises DataDirectoryError."""
    with DataDirectory.open(data_path(settings), is_writable=True) as directory:
        encoder = open_encoder(settings)
        appender = Appender(directory, encoder, limits=settings.shard)
        yield WritableIndex(directory, encoder, appender)


def index_status(
    directory: DataDirectory, lexical: LexicalWorker | None = None, ingest_rate: float = 0.0
) -> IndexStatus:
    """Adds up what all shards say of themselves."""
    directory.refresh()
    shards = directory.shards
    counters = [each for shard in shards if (each := read_counters(directory, shard)) is not None]
    filled = [c for c in counters if c.events > c.deleted]
    events = sum(c.events - c.deleted for c in counters)
    patterns = sum(c.patterns for c in counters)
    return IndexStatus(
        data_directory=str(directory.path),
        version=version("dejalog"),
        encoder_fingerprint=shards[-1].header.encoder_fingerprint if shards else "",
        events=events,
        patterns=patterns,
        tokens=sum(c.tokens for c in counters),
        dead_letters=sum(c.dead_letters for c in counters),
        shards=len(shards),
        bytes_on_disk=directory.bytes_on_disk(),
        oldest_ns=min((c.oldest_ns for c in filled), default=None),
        newest_ns=max((c.newest_ns for c in filled), default=None),
        lexical_lag_events=lexical_lag(directory) if lexical is None else lexical.lag_events(),
        ingest_rate=ingest_rate,
        pattern_hit_ratio=1 - patterns / events if events else 0.0,
    )


def read_counters(directory: DataDirectory, shard: Shard) -> Counters | None:
    """Returns what a shard counts, or None if it has been replaced or removed meanwhile."""
    try:
        with shard.snapshot() as snapshot:
            return snapshot.counters()
    except (CorruptShardError, StorageError):
        if is_listed(directory, shard):
            raise
        return None


def is_listed(directory: DataDirectory, shard: Shard) -> bool:
    """Whether the newest manifest still names the shard."""
    directory.refresh()
    return shard.header.shard in directory.manifest.numbers


class RateMeter:
    """Events per second over the last minute."""

    #: Long enough to be steady, short enough to show that ingest has stopped.
    WINDOW_S = 60.0

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = [(time.monotonic(), 0)]

    def add(self, events: int) -> None:
        """Takes the number of events stored so far."""
        now = time.monotonic()
        self._points.append((now, events))
        self._points = [p for p in self._points if now - p[0] <= self.WINDOW_S]

    def rate(self) -> float:
        """Events per second."""
        now = time.monotonic()
        points = [p for p in self._points if now - p[0] <= self.WINDOW_S]
        if len(points) < 2:
            return 0.0
        return (points[-1][1] - points[0][1]) / max(now - points[0][0], 1e-9)


def lexical_lag(directory: DataDirectory) -> int:
    """Committed events that the lexical index on disk does not have yet."""
    lag = 0
    for shard in directory.shards:
        # A compacted shard comes with its word index.
        counters = read_counters(directory, shard) if shard.tier is Tier.FRESH else None
        if counters is None:
            continue
        index = LexicalIndex.open(lexical_folder(shard))
        missing = counters.events - max(0, index.events_indexed - shard.header.first_event)
        index.close()
        if missing > 0 and is_listed(directory, shard):
            lag += missing
    return lag


def disk_gate(settings: Settings, *, is_fatal: bool) -> Callable[[], bool]:
    """Returns a gate that is open while the disk has more than the configured free bytes.

    LMDB survives a full disk, but everything else on the gateway would suffer; so ingest stops
    early, and search goes on. A fatal gate raises StorageError instead of closing.
    """
    path, free_min = data_path(settings), settings.data.disk_free_bytes_min

    def is_open() -> bool:
        free = shutil.disk_usage(path).free
        if free >= free_min:
            return True
        if is_fatal:
            raise StorageError(
                f"{path} has {free >> 20} MiB free, and data.disk_free_bytes_min asks for "
                f"{free_min >> 20} MiB; make room and start again, nothing is lost"
            )
        return False

    return is_open
