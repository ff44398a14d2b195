"""The shards of a data directory, opened for searching, and held for the length of one search.

A compaction may put other shards in the place of those that a search looks at. The search holds a
snapshot of each, which keeps what it reads, so it ends in the state that it began with; the next
one sees the new shards. A shard that is damaged is set aside by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.deletion import DeletionMask
from dejalog.indexer.errors import CorruptShardError, StorageError
from dejalog.indexer.lexical import LexicalIndex, LexicalView
from dejalog.indexer.store.directory import DataDirectory, check_encoder
from dejalog.indexer.store.manifest import Deletion, Manifest, ShardEntry, Tier
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.store.view import ShardArrays, ShardView

#: A search that finds a shard gone before it holds it begins again; each time, a whole compaction
#: has ended in between, so that three in a row are a fault.
_RACES_MAX: Final = 3


class HeldShard:
    """One state of a shard, which stays readable until the search lets go of it."""

    def __init__(self, state: ShardArrays, lexical: LexicalView, held: ExitStack) -> None:
        self.state = state
        self.lexical = lexical
        self._held = held
        self._snapshot = held.enter_context(state.shard.snapshot())

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """The snapshot; an error that shows damage ends it, and becomes CorruptShardError."""
        try:
            yield self._snapshot
        except CorruptShardError:
            raise  # It names what is damaged already.
        except IndexError as error:
            if self.state.shard.tier is not Tier.COMPACTED:
                raise
            # Mapped arrays are not checked against each other: that would be reading all of them.
            raise CorruptShardError(
                self.state.shard.path, f"one of its arrays leads outside of another ({error})"
            ) from error
        except Exception as error:
            self._held.__exit__(type(error), error, error.__traceback__)
            raise


@dataclass(slots=True)
class Held:
    """All shards that can be read, oldest first, and why others cannot, by their path."""

    shards: list[HeldShard] = field(default_factory=list)
    damaged: dict[Path, CorruptShardError] = field(default_factory=dict)

    def set_aside(self, error: CorruptShardError) -> None:
        """Notes that something cannot be read; the first error of a path is kept."""
        self.damaged.setdefault(error.path, error)

    def check_any(self, *, is_any: bool) -> None:
        """Raises CorruptShardError if damage is why there is not any shard to search."""
        if self.damaged and not is_any:
            raise next(iter(self.damaged.values()))

    def reasons(self, shards: Path) -> tuple[str, ...]:
        """What cannot be read, below the folder `shards`, each with the reason."""
        return tuple(
            f"{path.relative_to(shards)}: {error.reason}" for path, error in self.damaged.items()
        )


class _OpenShard:
    """A shard with the state that searching it needs."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self._view = ShardView(shard)
        self._deletions = DeletionMask()
        self._lexical: LexicalIndex | None = None
        self._lock = Lock()

    def state(self, entry: ShardEntry, deletions: Sequence[Deletion]) -> ShardArrays:
        """The newest state, without what is deleted."""
        with self._lock:
            return self._deletions.apply(self._view.refresh(), entry, deletions)

    def lexical(self, state: ShardArrays) -> LexicalView:
        """The newest state of the lexical index; raises CorruptShardError."""
        with self._lock:
            if self._lexical is None:
                self._lexical = LexicalIndex.open(lexical_folder(self.shard))
            elif not _is_complete(self._lexical.view(), state):
                self._lexical.refresh()
            return self._lexical.view()

    def close(self) -> None:
        """Closes the lexical index once nobody refreshes it; the shard is the directory's."""
        with self._lock:
            if self._lexical is not None:
                self._lexical.close()
                self._lexical = None


class OpenShards:
    """Follows the shards of a data directory; safe to use from several threads."""

    def __init__(self, directory: DataDirectory, fingerprint: str) -> None:
        self._directory = directory
        self._fingerprint = fingerprint
        self._open: dict[int, _OpenShard] = {}
        self._lock = Lock()
        check_encoder(directory.shards, fingerprint)

    @contextmanager
    def held(self) -> Iterator[Held]:
        """Holds the newest state of every shard."""
        for races_left in reversed(range(_RACES_MAX)):
            with ExitStack() as stack:
                try:
                    held = self._hold(stack)
                except (StorageError, KeyError):
                    if races_left == 0:
                        raise
                    continue
                if races_left and not self._are_listed(held):
                    continue
                yield held
                return

    def states(self) -> list[ShardArrays]:
        """The newest state of every shard that can be read, oldest first."""
        with self.held() as held:
            return [shard.state for shard in held.shards]

    def close(self) -> None:
        """Closes what was opened here; the data directory stays open."""
        with self._lock:
            for shard in self._open.values():
                shard.close()
            self._open.clear()

    def _hold(self, stack: ExitStack) -> Held:
        shards, manifest = self._refresh()
        held = Held()
        for error in self._directory.damaged.values():
            held.set_aside(error)
        for shard in shards:
            entry = manifest.entry(shard.shard.header.shard)
            try:
                state = shard.state(entry, manifest.deletions)
                own = stack.enter_context(ExitStack())
                held.shards.append(HeldShard(state, _lexical(shard, state, held), own))
            except CorruptShardError as error:
                held.set_aside(error)
        return held

    def _refresh(self) -> tuple[list[_OpenShard], Manifest]:
        """Opens the shards that are new, and lets go of those that have vanished."""
        with self._lock:
            self._directory.refresh()
            shards, manifest = self._directory.shards, self._directory.manifest
            by_number = {shard.header.shard: shard for shard in shards}
            for number in list(self._open):
                if self._open[number].shard is not by_number.get(number):
                    self._open.pop(number).close()
            for number, shard in by_number.items():
                if number not in self._open:
                    check_encoder([shard], self._fingerprint)
                    self._open[number] = _OpenShard(shard)
            return [self._open[number] for number in by_number], manifest

    def _are_listed(self, held: Held) -> bool:
        """Whether no shard vanished meanwhile, and its lexical index with it."""
        self._directory.refresh()
        return {shard.state.shard for shard in held.shards} <= set(self._directory.shards)


def _lexical(shard: _OpenShard, state: ShardArrays, held: Held) -> LexicalView:
    """The lexical index; a damaged one is set aside, and the shard is searched without it."""
    try:
        return shard.lexical(state)
    except CorruptShardError as error:
        held.set_aside(error)
        return LexicalView()


def _is_complete(view: LexicalView, state: ShardArrays) -> bool:
    """Whether there is nothing to wait for: only a compacted shard never grows."""
    events_end = state.header.first_event + len(state.columns.times)
    return (
        state.shard.tier is Tier.COMPACTED
        and view.patterns_indexed >= state.counters.patterns
        and view.events_indexed >= events_end
    )
