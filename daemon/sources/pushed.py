"""A batch of what clients push, and the rules for its offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dejalog.client.pushed import Pushed
from dejalog.indexer.event import Labels

#: Kept with the position: who numbers the records of a partition.
CLIENT_OFFSETS = '{"offsets":"client"}'
SERVER_OFFSETS = '{"offsets":"server"}'


class PushClosedError(Exception):
    """The pipeline does not take records: it has not started, is stopping, or has failed."""


class PushFullError(Exception):
    """There is no space in the queue, or no room for another partition."""


class OffsetError(ValueError):
    """A client numbers its records in a way that would lose or repeat some of them."""


@dataclass(frozen=True, slots=True)
class PushBatch:
    """Records of one partition of one source, in order."""

    source: str
    partition: str
    records: Sequence[Pushed]
    encoding: str = "auto"
    labels: Labels = ()

    def __str__(self) -> str:
        return f"source {self.source!r}, partition {self.partition!r}"


class Numbering:
    """Sees to it that within one call the offsets of a partition rise, or are all absent.

    A falling offset would be taken for a resend and dropped, so it must not pass unseen.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int | None] = {}

    def check(self, batch: PushBatch) -> None:
        """Raises OffsetError where the batch does not go on from the ones before it."""
        key = (batch.source, batch.partition)
        for record in batch.records:
            if key in self._last:
                last = self._last[key]
                if (last is None) != (record.offset is None):
                    raise OffsetError(f"{batch}: give every record an offset or none of them")
                if last is not None and record.offset is not None and record.offset <= last:
                    raise OffsetError(f"{batch}: offset {record.offset} follows {last}")
            self._last[key] = record.offset


def offset_state(batch: PushBatch, state: str) -> str:
    """Returns who numbers the partition, or raises OffsetError if that was otherwise before.

    Mixing would let the server's numbers swallow the client's, which look like resends then.
    """
    wanted = SERVER_OFFSETS if batch.records[0].offset is None else CLIENT_OFFSETS
    if state not in {"", wanted}:
        numbered_by = "server" if state == SERVER_OFFSETS else "client"
        raise OffsetError(
            f"{batch}: its earlier records are numbered by the {numbered_by};"
            " go on that way or name another partition"
        )
    return wanted
