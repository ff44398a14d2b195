from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dejalog.daemon.kafka.peers import peer_positions
from dejalog.indexer.append import Appender, Batch
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import DejalogError
from dejalog.indexer.event import Position
from dejalog.indexer.store.directory import DataDirectory


def write(path: Path, encoder: Encoder, *positions: Position) -> str:
    with DataDirectory.open(path, is_writable=True) as directory:
        Appender(directory, encoder).append(Batch([], [], list(positions)))
    return str(path)


def test_the_furthest_of_all_peers_counts_and_only_for_kafka(
    tmp_path: Path, encoder: Encoder
) -> None:
    one = write(
        tmp_path / "one",
        encoder,
        Position("kafka:logs", "0", 10),
        Position("kafka:logs", "1", 5),
        Position("file", "1:1", 99),
    )
    two = write(tmp_path / "two", encoder, Position("kafka:logs", "0", 7))
    assert peer_positions([one, two]) == {("kafka:logs", "0"): 10, ("kafka:logs", "1"): 5}


def test_a_peer_that_has_its_directory_open_is_read(tmp_path: Path, encoder: Encoder) -> None:
    write(tmp_path, encoder, Position("kafka:logs", "0", 3))
    script = """
import sys
from pathlib import Path
from dejalog.indexer.store.directory import DataDirectory
with DataDirectory.open(Path(sys.argv[1]), is_writable=True):
    print("open", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        assert peer_positions([str(tmp_path)]) == {("kafka:logs", "0"): 3}


def test_a_peer_that_has_not_begun_has_stored_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert peer_positions([str(tmp_path / "absent"), str(tmp_path / "empty")]) == {}


def test_a_folder_that_is_no_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an index")
    with pytest.raises(DejalogError, match=str(tmp_path)):
        peer_positions([str(tmp_path)])
