"""What a client appends, and what it gets in return."""

from __future__ import annotations

from dataclasses import dataclass

from dejalog.indexer.event import Position


@dataclass(frozen=True, slots=True)
class Pushed:
    """One record from a client; `offset` is None where the server is to number it."""

    data: bytes
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a submission; `positions` are the stored ones of the partitions it named."""

    accepted: int
    duplicates: int
    dead_letters: int
    positions: tuple[Position, ...]
