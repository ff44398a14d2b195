"""Keep the positions of all files that were ever read, and which of them a file on disk has taken.

Each position belongs to one content. A file takes ("claims") the position whose content it holds;
a position that no file holds any more is free to be claimed by a file that its content moved to.
"""

from __future__ import annotations

from collections import defaultdict

from dejalog.daemon.sources.identity import (
    Known,
    digest_head,
    inode_and_generation,
    known_from,
    may_have_moved,
    partition_name,
)
from dejalog.daemon.sources.source import Positions
from dejalog.indexer.event import Position


class Claims:
    """The positions of one file source."""

    def __init__(self, source: str, positions: Positions) -> None:
        self._known: dict[str, Known] = {}
        self._claimed: set[str] = set()
        self._by_head: dict[tuple[int, str], set[str]] = defaultdict(set)
        self._by_inode: dict[str, set[str]] = defaultdict(set)
        self._generations: dict[str, int] = {}
        for (name, _), position in positions.items():
            if name == source:
                self._add_stored(position)

    def of_inode(self, inode: str) -> list[Known]:
        """Returns the free positions of content that was last read at an inode, longest first."""
        names = self._by_inode.get(inode, set()) - self._claimed
        free = [self._known[name] for name in names]
        return sorted(free, key=lambda known: (known.offset, known.partition), reverse=True)

    def of_content(self, path: str, head: bytes) -> list[Known]:
        """Returns the free positions whose content may be what begins with `head`, longest first.

        That the content is no longer where it was is for the caller to see.
        """
        found = [
            self._known[partition]
            for size_bytes in {key[0] for key in self._by_head if key[0] <= len(head)}
            for partition in self._by_head.get(digest_head(head[:size_bytes]), ())
            if partition not in self._claimed
        ]
        moved = [known for known in found if may_have_moved(path, known)]
        return sorted(moved, key=lambda known: (-known.offset, known.partition))

    def claim(self, known: Known) -> None:
        """Marks a position as held by a file."""
        self._claimed.add(known.partition)

    def is_claimed(self, partition: str) -> bool:
        """Says whether a file holds the position."""
        return partition in self._claimed

    def new_partition(self, inode: str) -> str:
        """Names a content that was never read before, and claims the name."""
        generation = self._generations.get(inode, 0) + 1
        self._generations[inode] = generation
        partition = partition_name(inode, generation)
        self._claimed.add(partition)
        return partition

    def release(self, known: Known) -> None:
        """Takes back the position of a file that is no longer read, as far as it was read."""
        self._claimed.discard(known.partition)
        self._put(known)

    def _add_stored(self, position: Position) -> None:
        # Where the state cannot be read, the name is taken all the same.
        self._take_name(position.partition)
        known = known_from(position)
        if known is not None:
            self._put(known)

    def _take_name(self, partition: str) -> None:
        inode, generation = inode_and_generation(partition)
        self._generations[inode] = max(self._generations.get(inode, 0), generation)

    def _put(self, known: Known) -> None:
        before = self._known.get(known.partition)
        if before is not None:
            self._by_head[before.state.head].discard(known.partition)
            self._by_inode[before.state.inode].discard(known.partition)
        self._known[known.partition] = known
        self._by_head[known.state.head].add(known.partition)
        self._by_inode[known.state.inode].add(known.partition)
