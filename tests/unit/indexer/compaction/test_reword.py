from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.compaction.reword import copy_words, make_words
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.store.shard import Shard


@pytest.fixture
def copied(make_index, tmp_path: Path):
    """An indexed shard, and one with the same content and no word index."""
    maker = make_index()
    maker.add("pump 88124711 on", "pump 88124712 off")
    source = maker.directory.shards[0]
    folder = tmp_path / "000009"
    folder.mkdir()
    shutil.copyfile(source.path / "data.mdb", folder / "data.mdb")
    target = Shard.open(folder, is_writable=False)
    yield source, target
    target.close()


def indexed(shard: Shard) -> tuple[list[int], list[int], list[str]]:
    with LexicalIndex.open(lexical_folder(shard)) as index:
        return (
            index.patterns_with("pump").tolist(),
            index.events_with("88124712").tolist(),
            index.verify(),
        )


def test_a_word_index_is_made_from_the_shard(copied) -> None:
    _, target = copied
    added: list[int] = []
    make_words(target, added.append)
    assert sum(added) == 4
    assert indexed(target) == ([0, 1], [1], [])


def test_a_copy_shares_its_files_and_needs_nothing_more(copied) -> None:
    source, target = copied
    copy_words(source, target)
    added: list[int] = []
    make_words(target, added.append)
    assert added == []
    assert indexed(target) == ([0, 1], [1], [])
    terms = [next(lexical_folder(shard).rglob("*.term")) for shard in copied]
    assert os.path.samefile(*terms)
    LexicalIndex.delete(lexical_folder(source))
    assert indexed(target) == ([0, 1], [1], [])


def test_files_are_copied_where_links_are_not_possible(copied, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    copy_words(*copied)
    assert indexed(copied[1]) == ([0, 1], [1], [])


def test_a_damaged_word_index_is_not_copied_but_made_anew(copied) -> None:
    source, target = copied
    path = next(lexical_folder(source).rglob("*.term"))
    data = bytearray(path.read_bytes())
    data[3] ^= 0xFF
    path.write_bytes(data)
    copy_words(source, target)
    assert not (lexical_folder(target) / "format.json").exists()
    make_words(target, lambda _: None)
    assert indexed(target) == ([0, 1], [1], [])


def test_a_shard_without_a_word_index_gets_one(copied) -> None:
    source, target = copied
    LexicalIndex.delete(lexical_folder(source))
    copy_words(source, target)
    make_words(target, lambda _: None)
    assert indexed(target) == ([0, 1], [1], [])
