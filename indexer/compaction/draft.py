"""A compacted shard while it is being written, in its draft folder.

Each step is a transaction of bounded size; between two steps the pace is kept and a stop is heard.
Nothing of it counts before the directory's manifest names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from dejalog.indexer.compaction.pace import Pace
from dejalog.indexer.compaction.reword import copy_words, make_words
from dejalog.indexer.compaction.rewrite import (
    Numbering,
    Source,
    Window,
    dead_letters,
    new_patterns,
    new_texts,
    put_labelsets,
)
from dejalog.indexer.event import Labels, Position
from dejalog.indexer.kernel.codes import Codebook
from dejalog.indexer.store.compacted import (
    CodedBlock,
    order_events,
    put_block,
    put_codebook,
    put_events,
    shape_of,
)
from dejalog.indexer.store.directory import folder_bytes
from dejalog.indexer.store.layout import BlockShape, Coded, Columns, Counters, Header, number_of
from dejalog.indexer.store.manifest import Tier, sync_folder
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import ShardWrite

#: Sealed texts or dead letters in one transaction, whose pages are in memory until it ends.
TEXT_BYTES_PER_STEP: Final = 32 << 20

#: Told the step's name, and how many of how many things of it are done (0: not known).
OnProgress: TypeAlias = Callable[[str, int, int], None]


class Draft:
    """Writes one compacted shard; a context manager that closes what it opened."""

    def __init__(
        self,
        folder: Path,
        header: Header,
        positions: Sequence[Position],
        *,
        pace: Pace,
        on_progress: OnProgress,
    ) -> None:
        self._folder = folder
        self._pace = pace
        self._on_progress = on_progress
        self._shard = Shard.create(folder, header, positions, Tier.COMPACTED)
        self._written = self._shard.bytes_on_disk()

    def put_patterns(self, sources: Sequence[Source], numbering: Numbering) -> None:
        """Writes every pattern's text and digest."""
        for first, texts, digests in new_patterns(sources, numbering):
            with self._step() as write:
                write.put_patterns(first, texts, digests)
            self._on_progress("patterns", first + len(texts), numbering.count)

    def put_labelsets(self, labelsets: Sequence[Labels]) -> None:
        """Writes the label sets."""
        with self._step() as write:
            put_labelsets(write, labelsets)

    def put_texts(self, sources: Sequence[Source], window: Window) -> None:
        """Writes the texts of all rows."""
        for blocks in _bounded(new_texts(sources, window), TEXT_BYTES_PER_STEP):
            with self._step() as write:
                for key, value in blocks:
                    write.put_sealed(b"texts", key, value)
            # The last block's events are not counted yet.
            self._on_progress("texts", number_of(blocks[-1][0]) - window.first, len(window))

    def put_dead_letters(self, sources: Sequence[Source]) -> None:
        """Copies the dead letters of all sources."""
        letters = (letter for source in sources for letter in dead_letters(source))
        for some in _bounded(letters, TEXT_BYTES_PER_STEP):
            with self._step() as write:
                for key, value in some:
                    write.put_sealed(b"dead_letters", key, value)

    def put_vectors(
        self, codebook: Codebook, blocks: Iterable[CodedBlock], patterns: int
    ) -> tuple[BlockShape, ...]:
        """Writes the codebook and all blocks, and returns what they are."""
        with self._step() as write:
            put_codebook(write, codebook)
        shapes: list[BlockShape] = []
        for block in blocks:
            with self._step() as write:
                put_block(write, block)
            shapes.append(shape_of(block))
            self._on_progress("codes", block.first + len(block), patterns)
        return tuple(shapes)

    def put_events(self, columns: Columns, patterns: int) -> None:
        """Writes the columns of all rows, and their order by pattern."""
        order = order_events(columns, patterns)
        with self._step() as write:
            put_events(write, columns, order)

    def finish(self, coded: Coded, counters: Counters) -> None:
        """Writes what the shard says of itself."""
        with self._step() as write:
            write.put_coded(coded)
            write.put_counters(counters)

    def put_words(self, sources: Sequence[Source], *, is_unchanged: bool) -> None:
        """Makes the word index, or copies that of the one source that nothing is changed of."""
        if is_unchanged:
            copy_words(sources[0].shard, self._shard)
            self._written = folder_bytes(self._folder)  # Shared files were not written.
        words = 0

        def after_step(added: int) -> None:
            nonlocal words
            words += added
            self._on_progress("words", words, 0)
            self._keep_pace()

        make_words(self._shard, after_step)

    def close(self) -> None:
        """Closes the shard; its folder is whole and durable if everything was put."""
        self._shard.close()
        # A shard that never changes is opened without locks, so its lock file is of no use.
        (self._folder / "lock.mdb").unlink(missing_ok=True)
        sync_folder(self._folder)

    @contextmanager
    def _step(self) -> Iterator[ShardWrite]:
        self._pace.check()
        with self._shard.write() as write:
            yield write
        self._keep_pace()

    def _keep_pace(self) -> None:
        written = folder_bytes(self._folder)
        self._pace.spend(max(0, written - self._written))
        self._written = written


def _bounded(
    pairs: Iterable[tuple[bytes, bytes]], size_bytes: int
) -> Iterator[list[tuple[bytes, bytes]]]:
    """Yields lists that hold more than so many bytes at most by their last value."""
    held: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in pairs:
        held.append((key, value))
        size += len(value)
        if size >= size_bytes:
            yield held
            held, size = [], 0
    if held:
        yield held
