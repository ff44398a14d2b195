"""How far the group's other workers on this machine have stored their partitions.

The group's offsets follow what is durable, but a moment later: a worker that is killed in between
has stored records that the group does not know of. Where its data directory can be read, the next
owner of its partitions goes on behind them, so that no record is in two indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dejalog.daemon.kafka.places import Key, topic_of
from dejalog.indexer.event import Position
from dejalog.indexer.store.directory import DataDirectory


def peer_positions(peers: Sequence[str]) -> dict[Key, int]:
    """Returns the furthest stored offset of each Kafka partition in these data directories.

    A directory that does not exist yet has stored nothing; raises DataDirectoryError and
    CorruptShardError for one that cannot be read.
    """
    furthest: dict[Key, int] = {}
    for peer in peers:
        path = Path(peer).expanduser()
        if not path.is_dir() or not any(path.iterdir()):
            continue
        for position in stored_positions(path):
            if topic_of(position.source) is not None:
                key = (position.source, position.partition)
                furthest[key] = max(position.offset, furthest.get(key, 0))
    return furthest


def stored_positions(path: Path) -> list[Position]:
    """Returns the positions of another process's data directory; raises as `peer_positions`."""
    with DataDirectory.open(path, is_writable=False) as directory:
        if not directory.shards:
            return []
        with directory.shards[-1].snapshot() as snapshot:
            return snapshot.positions()
