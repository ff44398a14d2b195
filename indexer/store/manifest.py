"""The list of shards that make up an index, and the deletions that they do not reflect yet.

`manifest.json` names every shard folder that counts, and it is replaced as a whole, in one step.
A folder that it does not name is what an interrupted step left behind. Several processes may
change it (the one that ingests, one that compacts, one that deletes), so each change is read,
made and written under a lock of its own, which is held for a moment only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from dejalog.indexer.errors import DataDirectoryError, FormatError

MANIFEST_NAME = "manifest.json"
MANIFEST_LOCK_NAME = "manifest.lock"

#: Version 1 had nothing but the numbers of fresh shards; it is read, and written as version 2.
MANIFEST_VERSION: Final = 2


class Tier(StrEnum):
    """Fresh shards are appended to or wait for compaction; compacted ones never change."""

    FRESH = "fresh"
    COMPACTED = "compacted"


class ShardEntry(msgspec.Struct, frozen=True):
    """One shard; `deletions_applied` is the highest deletion that its data reflects."""

    number: int
    tier: Tier = Tier.FRESH
    deletions_applied: int = 0


class Deletion(msgspec.Struct, frozen=True):
    """Events that do not count any more: those below `end_event` that meet every condition.

    Times are ns since 1970 UTC, `until_ns` is not included; conditions are (label, operator,
    value) as in `filter.Condition`.
    """

    number: int
    created_ns: int
    end_event: int
    since_ns: int | None = None
    until_ns: int | None = None
    conditions: tuple[tuple[str, str, str], ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """Shards in the order of their events; the last one is being appended to.

    Numbers of shards and deletions are never used twice.
    """

    format_version: int = MANIFEST_VERSION
    next_shard: int = 1
    next_deletion: int = 1
    shards: tuple[ShardEntry, ...] = ()
    deletions: tuple[Deletion, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The shards' numbers, in order."""
        return tuple(entry.number for entry in self.shards)

    def entry(self, number: int) -> ShardEntry:
        """The entry of a shard; raises KeyError."""
        for entry in self.shards:
            if entry.number == number:
                return entry
        raise KeyError(number)


class _Version1(msgspec.Struct, frozen=True):
    shards: tuple[int, ...]


def read_manifest(directory: Path) -> Manifest | None:
    """Returns the manifest, or None if the directory has none; raises FormatError."""
    path = directory / MANIFEST_NAME
    try:
        data = path.read_bytes()
        document: dict[str, Any] = msgspec.json.decode(data, type=dict)
        version = document.get("format_version")
        if version == 1:
            return _upgraded(msgspec.json.decode(data, type=_Version1))
        if version != MANIFEST_VERSION:
            raise FormatError(
                path,
                f"format version {version}",
                f"version {MANIFEST_VERSION}; open it with the dejalog that wrote it",
            )
        return msgspec.json.decode(data, type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise FormatError(path, f"unreadable JSON ({error})", "a manifest") from error


def _upgraded(old: _Version1) -> Manifest:
    return Manifest(
        next_shard=max(old.shards, default=0) + 1,
        shards=tuple(ShardEntry(number) for number in old.shards),
    )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replaces the manifest: after a crash the old or the new one is there, whole."""
    write_json(directory / MANIFEST_NAME, manifest)


def write_json(path: Path, value: object) -> None:
    """Replaces a file as a whole, durably."""
    draft = path.with_suffix(".tmp")
    with draft.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


@contextmanager
def manifest_lock(directory: Path) -> Iterator[None]:
    """Waits for the right to change the manifest, and holds it; a killed holder loses it."""
    try:
        file = (directory / MANIFEST_LOCK_NAME).open("a")
    except OSError as error:
        raise DataDirectoryError(f"cannot lock {directory}: {error}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sync_folder(folder: Path) -> None:
    """Makes the folder's entries durable (a rename or a new file is not, until then)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
