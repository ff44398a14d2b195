"""An index -> what planning and people need to know of each of its shards."""

from __future__ import annotations

import numpy as np

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.compaction.plan import ShardInfo
from dejalog.indexer.deletion import deleted_events, pending_deletions
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.event import Labels
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.store.compacted import DELETED_KIND, SectionMap
from dejalog.indexer.store.directory import DataDirectory, folder_bytes
from dejalog.indexer.store.layout import Coded, Columns, Counters, Header
from dejalog.indexer.store.manifest import Manifest, ShardEntry, Tier
from dejalog.indexer.store.shard import Shard


def describe_shards(
    directory: DataDirectory, *, expire_before_ns: int | None = None
) -> tuple[ShardInfo, ...]:
    """Returns every shard of the directory, damaged ones too, in the order of their events."""
    manifest = directory.manifest
    open_shards = {shard.header.shard: shard for shard in directory.shards}
    found: list[ShardInfo] = []
    for entry in manifest.shards:
        shard = open_shards.get(entry.number)
        is_active = entry == manifest.shards[-1]
        if shard is None:
            reason = directory.damaged.get(entry.number)
            text = reason.reason if reason is not None else "it has just been replaced"
            found.append(_damaged(directory, entry, text, is_active=is_active))
            continue
        try:
            found.append(_describe(shard, manifest, expire_before_ns, is_active=is_active))
        except CorruptShardError as error:
            found.append(_damaged(directory, entry, error.reason, is_active=is_active))
    return tuple(found)


def read_columns(shard: Shard) -> Columns:
    """Returns the columns of all of a shard's events, mapped or copied."""
    with shard.snapshot() as snapshot:
        counters = snapshot.counters()
        if shard.tier is Tier.COMPACTED:
            return SectionMap.open(shard, snapshot).columns(counters.events)
        parts = [columns for _, columns in snapshot.columns_from(shard.header.first_event)]
    nothing = Columns(
        np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint8)
    )
    parts = parts or [nothing]
    return Columns(
        times=np.concatenate([part.times for part in parts]),
        patterns=np.concatenate([part.patterns for part in parts]),
        labelsets=np.concatenate([part.labelsets for part in parts]),
        kinds=np.concatenate([part.kinds for part in parts]),
    )


def read_labelsets(shard: Shard) -> list[Labels]:
    """Returns a shard's label sets, by their number."""
    with shard.snapshot() as snapshot:
        return [tuple((n, v) for n, v in labels) for _, labels in snapshot.labelsets_from(0)]


def is_indexed(shard: Shard, counters: Counters) -> bool:
    """Whether the shard's word index has everything that these counters count."""
    try:
        index = LexicalIndex.open(lexical_folder(shard))
    except CorruptShardError:
        return False
    with index:
        return (
            index.patterns_indexed >= counters.patterns
            and index.events_indexed >= shard.header.first_event + counters.events
        )


def _describe(
    shard: Shard, manifest: Manifest, expire_before_ns: int | None, *, is_active: bool
) -> ShardInfo:
    header = shard.header
    with shard.snapshot() as snapshot:
        counters = snapshot.counters()
        coded = snapshot.coded() if shard.tier is Tier.COMPACTED else None
    entry = manifest.entry(header.shard)
    deletions = pending_deletions(entry, manifest.deletions, header.first_event)
    pending = expired = 0
    if deletions:
        columns, labelsets = read_columns(shard), read_labelsets(shard)
        mask = deleted_events(columns, labelsets, header.first_event, deletions)
        pending = int(np.count_nonzero(mask & (columns.kinds != DELETED_KIND)))
    # Of fresh shards nobody asks: they are compacted anyway.
    if shard.tier is Tier.COMPACTED and expire_before_ns is not None:
        expired = _count_expired(shard, counters, expire_before_ns)
    return ShardInfo(
        number=header.shard,
        tier=shard.tier,
        first_event=header.first_event,
        events=counters.events,
        deleted=counters.deleted,
        oldest_ns=counters.oldest_ns,
        newest_ns=_newest_ns(counters, header),
        patterns=counters.patterns,
        tokens=counters.tokens,
        labelsets=counters.labelsets,
        dead_letters=counters.dead_letters,
        bytes=folder_bytes(shard.path),
        bits=coded.bits if coded else 0,
        centroids=coded.centroids if coded else 0,
        codebook_version=coded.codebook_version if coded else 0,
        drift=coded.share_beyond if coded else 0.0,
        originals_bytes=originals_bytes(coded, header.dim) if coded else 0,
        encoder_fingerprint=header.encoder_fingerprint,
        mask_version=header.mask_version,
        is_active=is_active,
        is_indexed=is_active or is_indexed(shard, counters),
        pending_deletions=sum(d.number > entry.deletions_applied for d in manifest.deletions),
        pending_events=pending,
        expired_events=expired,
    )


def _newest_ns(counters: Counters, header: Header) -> int:
    """A shard of dead letters alone is as old as itself, not as old as 1970."""
    return counters.newest_ns if counters.events > counters.deleted else header.created_ns


def _count_expired(shard: Shard, counters: Counters, expire_before_ns: int) -> int:
    if counters.events == counters.deleted or counters.oldest_ns >= expire_before_ns:
        return 0
    columns = read_columns(shard)
    is_expired = (columns.times < expire_before_ns) & (columns.kinds != DELETED_KIND)
    return int(np.count_nonzero(is_expired))


def originals_bytes(coded: Coded, dim: int) -> int:
    """Returns the bytes of the int8 vectors, with their scales, that a compacted shard keeps."""
    return sum((dim + 4) * block.tokens for block in coded.blocks if block.has_originals)


def _damaged(
    directory: DataDirectory, entry: ShardEntry, reason: str, *, is_active: bool
) -> ShardInfo:
    return ShardInfo(
        number=entry.number,
        tier=entry.tier,
        bytes=folder_bytes(directory.folder(entry.number)),
        is_active=is_active,
        damage=reason,
    )
