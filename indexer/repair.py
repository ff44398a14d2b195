"""What `verify` has found -> a sound index, with everything that was damaged set aside.

1. A damaged word index is made anew from its shard.
2. A damaged shard is moved to DATA/damaged/ before the manifest forgets it: whatever happens in
   between, nothing is removed, and repairing again goes on from there.
3. If that was the shard that is appended to, a new one takes its place in the same step. It begins
   with the positions of the newest sound shard, so sources read again what was lost, and numbers
   its events above all that were ever given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.compaction.reword import make_words
from dejalog.indexer.event import Position
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.store.directory import DataDirectory, settled
from dejalog.indexer.store.folders import LOCK_NAME, take_lock
from dejalog.indexer.store.layout import Header
from dejalog.indexer.store.manifest import Manifest, ShardEntry, Tier, sync_folder
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.verify import Report, verify

DAMAGED_NAME = "damaged"

#: The least bytes that an event (its columns) or a dead letter (its seal) takes in a fresh shard:
#: what a shard can have held whose counters cannot be read.
_EVENT_BYTES_MIN = 17
_DEAD_LETTER_BYTES_MIN = 8


@dataclass(slots=True)
class Repaired:
    """The report of before, what was done about it, and the problems that remain."""

    report: Report
    done: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)


def repair(
    path: Path,
    *,
    on_progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], int] = time.time_ns,
) -> Repaired:
    """Verifies the index and repairs what it finds.

    Raises DataDirectoryError if another process writes or compacts, StorageError and OSError if
    the disk refuses; then what was done until there holds, and repairing again does the rest.
    """
    with (
        take_lock(path, LOCK_NAME),
        DataDirectory.open(path, is_writable=False) as directory,
        directory.compacting(),
    ):
        report = verify(directory, is_quiet=True, on_progress=on_progress)
        repaired = Repaired(report, remaining=report.problems)
        for number in report.damaged_words:
            on_progress(f"word index of shard {number:06d}")
            repaired.done.append(_make_words(directory.shard(number)))
        if report.damaged or _lacks_active(directory.manifest):
            repaired.done += _set_aside(directory, report.damaged, clock())
        repaired.done += _raise_numbers(directory)
        if repaired.done:
            repaired.remaining = verify(directory, is_quiet=True, on_progress=on_progress).problems
        return repaired


def _make_words(shard: Shard) -> str:
    LexicalIndex.delete(lexical_folder(shard))
    make_words(shard, lambda _added: None)
    return f"made the word index of shard {shard.path.name} anew"


def _lacks_active(manifest: Manifest) -> bool:
    return bool(manifest.shards) and manifest.shards[-1].tier is not Tier.FRESH


def _set_aside(directory: DataDirectory, numbers: Sequence[int], now_ns: int) -> list[str]:
    """Takes the shards out of the index; returns what was done, in sentences."""
    manifest = directory.manifest
    kept = tuple(entry for entry in manifest.shards if entry.number not in numbers)
    has_active = bool(kept) and kept[-1] == manifest.shards[-1] and kept[-1].tier is Tier.FRESH
    draft = None if has_active else _draft_active(directory, kept, now_ns)
    done = [_move(directory, number, now_ns) for number in numbers]

    def change(newest: Manifest) -> Manifest:
        shards = tuple(entry for entry in newest.shards if entry.number not in numbers)
        if draft is not None:
            directory.draft(draft.shard).rename(directory.folder(draft.shard))
            sync_folder(directory.folder(draft.shard).parent)
            shards += (ShardEntry(draft.shard, deletions_applied=newest.next_deletion - 1),)
        return settled(msgspec.structs.replace(newest, shards=shards))

    directory.update(change)
    return done + _about_positions(directory, manifest, draft)


def _about_positions(directory: DataDirectory, before: Manifest, draft: Header | None) -> list[str]:
    if draft is not None:
        return [
            f"began shard {draft.shard:06d} with event {draft.first_event}, at the positions of "
            "the newest sound shard: sources that still have what came later read it again"
        ]
    if not directory.manifest.shards:
        return [
            "no shard is left: the next process that writes begins an empty index, and sources "
            "read everything again that they still have"
        ]
    if len(before.shards) == len(directory.manifest.shards):
        return []
    return [
        "the shards behind what was set aside are sound, so sources do not read it again; "
        "'dejalog restore' gets it from a backup"
    ]


def _move(directory: DataDirectory, number: int, now_ns: int) -> str:
    folder = directory.folder(number)
    if not folder.exists():
        return f"shard {number:06d} is missing; the manifest does not name it any more"
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ns // 10**9))
    target = directory.path / DAMAGED_NAME / f"{number:06d}-{when}"
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)
    sync_folder(target.parent)
    sync_folder(folder.parent)
    sync_folder(directory.path)
    return f"moved shard {number:06d} to {target}"


def _draft_active(
    directory: DataDirectory, kept: Sequence[ShardEntry], now_ns: int
) -> Header | None:
    """Writes the shard that is appended to from now on; None if no shard says what it is like."""
    opened = {shard.header.shard: shard for shard in directory.shards}
    sound = [opened[entry.number] for entry in kept]
    models = sound or list(opened.values())
    if not models:
        return None
    positions: Sequence[Position] = ()
    if sound:
        with sound[-1].snapshot() as snapshot:
            positions = snapshot.positions()
    first_event, first_dead_letter = _free_numbers(directory, sound)
    header = msgspec.structs.replace(
        models[-1].header,
        shard=directory.reserve_number(),
        created_ns=now_ns,
        first_event=first_event,
        first_dead_letter=first_dead_letter,
    )
    folder = directory.draft(header.shard)
    Shard.create(folder, header, positions).close()
    sync_folder(folder)
    return header


def _free_numbers(directory: DataDirectory, sound: Sequence[Shard]) -> tuple[int, int]:
    """Returns numbers of an event and a dead letter that nothing in the index can have had."""
    events = [deletion.end_event for deletion in directory.manifest.deletions]
    letters = [0]
    for shard in sound:
        with shard.snapshot() as snapshot:
            counters = snapshot.counters()
        events.append(shard.header.first_event + counters.events)
        letters.append(shard.header.first_dead_letter + counters.dead_letters)
    for shard in directory.shards:
        if shard not in sound:
            size = shard.bytes_on_disk()
            events.append(shard.header.first_event + size // _EVENT_BYTES_MIN)
            letters.append(shard.header.first_dead_letter + size // _DEAD_LETTER_BYTES_MIN)
    unreadable = sum(_data_bytes(directory, number) for number in directory.damaged)
    return (
        max(events, default=0) + unreadable // _EVENT_BYTES_MIN,
        max(letters) + unreadable // _DEAD_LETTER_BYTES_MIN,
    )


def _data_bytes(directory: DataDirectory, number: int) -> int:
    """What is there of a shard that does not open, here or where it was moved before a crash."""
    moved = (directory.path / DAMAGED_NAME).glob(f"{number:06d}-*/data.mdb")
    here = directory.folder(number) / "data.mdb"
    return sum(path.stat().st_size for path in (here, *moved) if path.exists())


def _raise_numbers(directory: DataDirectory) -> list[str]:
    """Makes the manifest give no number again that it names already."""
    manifest = directory.manifest
    next_shard = max([manifest.next_shard, *(n + 1 for n in manifest.numbers)])
    next_deletion = max([manifest.next_deletion, *(d.number + 1 for d in manifest.deletions)])
    if (next_shard, next_deletion) == (manifest.next_shard, manifest.next_deletion):
        return []
    directory.update(
        lambda newest: msgspec.structs.replace(
            newest, next_shard=next_shard, next_deletion=next_deletion
        )
    )
    return [f"the next shard is {next_shard}, the next deletion {next_deletion}"]
