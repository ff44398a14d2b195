"""A backup -> a data directory, under its name only when every byte of it has been verified."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dejalog.indexer.backup import (
    OnProgress,
    are_words_sound,
    copy_file,
    copy_words,
    read_backup,
    read_copied,
)
from dejalog.indexer.catch_up import LEXICAL_NAME, lexical_folder
from dejalog.indexer.compaction.reword import make_words
from dejalog.indexer.errors import CorruptShardError, DataDirectoryError, StorageError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.folders import SHARDS_NAME, remove_folder
from dejalog.indexer.store.manifest import sync_folder, write_manifest
from dejalog.indexer.verify import Report, verify

#: A data directory while it is restored, beside its place.
DRAFT_SUFFIX = ".restoring"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was copied, and the verification's report of it."""

    shards: int
    copied_bytes: int
    backup_created_ns: int
    report: Report


def restore(
    backup: Path,
    target: Path,
    *,
    on_progress: OnProgress = lambda _name, _done, _total: None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Makes the data directory `target`, which must be empty or not exist.

    Raises DataDirectoryError if it is not, if `backup` is none or is damaged, and StorageError if
    the disk refuses; `target` is as it was then.
    """
    state = read_backup(backup)
    if state is None:
        raise DataDirectoryError(f"{backup} is no backup; name the one that 'dejalog backup' made")
    if not state.created_ns:
        raise DataDirectoryError(f"the backup {backup} was interrupted before it was ever whole")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataDirectoryError(f"{target} is not an empty directory; name one, or move it away")
    draft = target.with_name(f".{target.name}{DRAFT_SUFFIX}")
    try:
        if draft.exists():
            remove_folder(draft)
        (draft / SHARDS_NAME).mkdir(parents=True)
        copied_bytes = 0
        for number, name in zip(state.manifest.numbers, state.folders, strict=True):
            source = backup / SHARDS_NAME / name
            folder = draft / SHARDS_NAME / f"{number:06d}"
            copied_bytes += _copy_shard(source, folder, on_progress)
        sync_folder(draft / SHARDS_NAME)
        write_manifest(draft, state.manifest)
        report = _check(draft, on_step)
        if not report.is_clean:
            raise DataDirectoryError(
                f"the restored index has {len(report.problems)} problems, first of all: "
                f"{report.problems[0]}; it lies in {draft}: 'dejalog verify --repair --data "
                f"{draft}' sets aside what is damaged, then rename it to {target}"
            )
        draft.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        what = "is full" if error.errno == errno.ENOSPC else f"refuses ({error})"
        raise StorageError(
            f"cannot restore to {target}: the disk {what}; remove {draft}, make room and try again"
        ) from error
    return Restored(len(state.folders), copied_bytes, state.created_ns, report)


def _copy_shard(source: Path, folder: Path, on_progress: OnProgress) -> int:
    copied = read_copied(source)
    if copied is None or not (source / "data.mdb").exists():
        raise DataDirectoryError(f"{source} is damaged or missing; restore from another backup")
    folder.mkdir()
    size, checksum = copy_file(
        source / "data.mdb",
        folder / "data.mdb",
        lambda done: on_progress(folder.name, done, copied.size_bytes),
    )
    if (size, checksum) != (copied.size_bytes, copied.crc32c):
        raise DataDirectoryError(
            f"{source / 'data.mdb'} is not what was copied there (its checksum differs); restore "
            "from another backup, or back up again with --check where the index still is"
        )
    try:
        if (source / LEXICAL_NAME).exists():
            copy_words(source / LEXICAL_NAME, folder / LEXICAL_NAME)
    except CorruptShardError:
        LexicalIndex.delete(folder / LEXICAL_NAME)
    sync_folder(folder)
    return size


def _check(draft: Path, on_step: Callable[[str], None]) -> Report:
    """Makes the word indexes that are missing or damaged, then walks every byte."""
    with DataDirectory.open(draft, is_writable=False) as directory:
        for shard in directory.shards:
            on_step(f"word index of shard {shard.path.name}")
            if not are_words_sound(lexical_folder(shard)):
                LexicalIndex.delete(lexical_folder(shard))
            make_words(shard, lambda _added: None)
        return verify(directory, is_quiet=True, on_progress=on_step)
