from __future__ import annotations

from pathlib import Path

from dejalog.daemon.kafka.places import PartitionNames, TopicPartition
from dejalog.daemon.kafka.reset import reset_stored
from dejalog.indexer.append import Appender, Batch
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Position
from dejalog.indexer.store.directory import DataDirectory


def test_a_reset_begins_partitions_of_new_names_and_leaves_all_others(
    tmp_path: Path, encoder: Encoder
) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        appender = Appender(directory, encoder)
        before = [
            Position("kafka:logs", "0", 10),
            Position("kafka:logs", "1", 20, '{"lost": 3}'),
            Position("kafka:notes", "0", 30),
            Position("file", "1:1", 40),
        ]
        appender.append(Batch([], [], before))
        reset_stored(appender, "logs", {0: 0, 1: 5})
        reset_stored(appender, "logs", {1: 7})
        stored = {(p.source, p.partition): p.offset for p in appender.positions()}
    assert stored == {
        ("kafka:logs", "0"): 10,
        ("kafka:logs", "0+1"): 0,
        ("kafka:logs", "1"): 20,
        ("kafka:logs", "1+1"): 5,
        ("kafka:logs", "1+2"): 7,
        ("kafka:notes", "0"): 30,
        ("file", "1:1"): 40,
    }
    names = PartitionNames(stored)
    assert names.key(TopicPartition("logs", 0)) == ("kafka:logs", "0+1")
    assert names.key(TopicPartition("logs", 1)) == ("kafka:logs", "1+2")
