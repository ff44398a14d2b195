"""The word index of a shard that is being made: copied where it fits, made anew otherwise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.lexical_files import copy_index
from dejalog.indexer.store.manifest import sync_folder
from dejalog.indexer.store.shard import Shard


def make_words(shard: Shard, after_step: Callable[[int], None]) -> None:
    """Brings the shard's word index up to date; `after_step` is told events and patterns added."""
    with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
        while added := catch_up(shard, index):
            after_step(added)
    _sync(lexical_folder(shard))


def copy_words(source: Shard, target: Shard) -> None:
    """Copies a word index that nobody writes, sharing the files of its segments.

    The target has the same patterns and events. What turns out damaged or incomplete is left
    away, so that `make_words` begins anew.
    """
    folder = lexical_folder(target)
    try:
        copy_index(lexical_folder(source), folder, shutil.copyfile, copy_segment=_share)
        with LexicalIndex.open(folder) as index:
            is_sound = not index.damaged_files()
    except (CorruptShardError, OSError):
        is_sound = False
    if not is_sound:
        LexicalIndex.delete(folder)


def _share(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # A file system without hard links.
        shutil.copyfile(source, target)


def _sync(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(parent))
