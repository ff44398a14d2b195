"""What is no longer kept: whole shards by age, bytes and free disk, and events by a filter.

Whole shards go at once. Events that a filter names are noted as deleted, which every search heeds
from then on; compaction takes them out of their shards.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from dejalog.indexer.compaction.describe import describe_shards, read_columns, read_labelsets
from dejalog.indexer.compaction.plan import DiskSpace, RetainRules, plan_retention
from dejalog.indexer.deletion import deleted_events, pending_deletions
from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import Condition
from dejalog.indexer.store.compacted import DELETED_KIND
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import Deletion, Manifest


def retain(
    directory: DataDirectory,
    rules: RetainRules,
    *,
    clock: Callable[[], int] = time.time_ns,
) -> tuple[int, ...]:
    """Drops the shards that the rules do not keep, and returns their numbers.

    Raises DataDirectoryError if another process compacts.
    """
    if rules == RetainRules():
        return ()
    with directory.compacting():
        dropped = plan_retention(
            describe_shards(directory), rules, disk_space(directory), now_ns=clock()
        )
        for number in dropped:
            directory.replace_shards((number,), None)
    return dropped


def disk_space(directory: DataDirectory) -> DiskSpace:
    """Returns how large the disk of the directory is, and how much of it is free."""
    usage = shutil.disk_usage(directory.path)
    return DiskSpace(total=usage.total, free=usage.free)


def delete_events(
    directory: DataDirectory,
    conditions: Sequence[Condition],
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Deletion:
    """Notes that the events stored until now that meet all conditions are deleted.

    Times are ns since 1970 UTC, `until_ns` not included. Raises QueryError without any condition.
    """
    directory.refresh()
    wanted = _deletion(directory, conditions, since_ns, until_ns, clock())

    def change(manifest: Manifest) -> Manifest:
        number = manifest.next_deletion
        return msgspec.structs.replace(
            manifest,
            next_deletion=number + 1,
            deletions=(*manifest.deletions, msgspec.structs.replace(wanted, number=number)),
        )

    return directory.update(change).deletions[-1]


def count_events(
    directory: DataDirectory,
    conditions: Sequence[Condition],
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> int:
    """Returns how many events `delete_events` would delete; raises QueryError like it."""
    directory.refresh()
    wanted = _deletion(directory, conditions, since_ns, until_ns, 0)
    manifest = directory.manifest
    total = 0
    for shard in directory.shards:
        header = shard.header
        columns, labelsets = read_columns(shard), read_labelsets(shard)
        is_meant = deleted_events(columns, labelsets, header.first_event, [wanted])
        is_meant &= columns.kinds != DELETED_KIND
        pending = pending_deletions(
            manifest.entry(header.shard), manifest.deletions, header.first_event
        )
        is_meant &= ~deleted_events(columns, labelsets, header.first_event, pending)
        total += int(np.count_nonzero(is_meant))
    return total


def _deletion(
    directory: DataDirectory,
    conditions: Sequence[Condition],
    since_ns: int | None,
    until_ns: int | None,
    now_ns: int,
) -> Deletion:
    if not conditions and since_ns is None and until_ns is None:
        raise QueryError(
            "without a filter every event would be deleted; give a time or a label, "
            "or remove the data directory"
        )
    newest = directory.shards[-1]
    with newest.snapshot() as snapshot:
        end_event = newest.header.first_event + snapshot.counters().events
    return Deletion(
        number=0,
        created_ns=now_ns,
        end_event=end_event,
        since_ns=since_ns,
        until_ns=until_ns,
        conditions=tuple((c.label, c.operator, c.value) for c in conditions),
    )
