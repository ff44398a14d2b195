from __future__ import annotations

import pytest

from dejalog.indexer import dead_letters
from dejalog.indexer.append import Batch
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.dead_letters import (
    MARK_SOURCE,
    Mark,
    first_letter,
    is_cut,
    letters_from,
    read_mark,
    select_letters,
)
from dejalog.indexer.errors import CorruptShardError, StorageError
from dejalog.indexer.event import DeadLetter, Position
from dejalog.indexer.letters import LetterFilter, NumberRanges
from dejalog.indexer.store.directory import DataDirectory


def letter(offset: int, reason: str = "not-utf8", data: bytes = b"\xff") -> DeadLetter:
    return DeadLetter(reason, "byte 0", data, len(data), offset, "file", "1:2", offset)


def add(maker, *letters: DeadLetter) -> None:
    maker.appender.append(Batch([], letters, []))


def three_shards(make_index):
    """Letters 0 and 1, none, 2 to 4; each shard has an event."""
    maker = make_index()
    for letters in ([letter(0), letter(1)], [], [letter(2), letter(3), letter(4)]):
        maker.add("pump on")
        add(maker, *letters)
        if len(maker.directory.shards) < 3:
            maker.appender.seal()
    return maker


def numbers(directory, wanted: LetterFilter | None = None) -> list[int]:
    return [number for number, _ in select_letters(directory, wanted or LetterFilter())]


def test_letters_are_found_in_every_shard_under_their_numbers(make_index) -> None:
    maker = three_shards(make_index)
    found = list(select_letters(maker.directory, LetterFilter()))
    assert [(number, each.offset) for number, each in found] == [(n, n) for n in range(5)]
    for first in range(7):
        assert [number for number, _ in letters_from(maker.directory, first)] == list(
            range(first, 5)
        )


def test_a_filter_by_number_reads_only_there(make_index, monkeypatch) -> None:
    maker = three_shards(make_index)
    read: list[int] = []
    real = dead_letters._read_shard

    def counted(shard, first):
        some = real(shard, first)
        read.extend(number for number, _ in some)
        return some

    monkeypatch.setattr(dead_letters, "_read_shard", counted)
    monkeypatch.setattr(dead_letters, "_CHUNK_LETTERS", 1)
    wanted = LetterFilter(NumberRanges.of([(1, 1), (3, 3), (9, 12)]))
    assert numbers(maker.directory, wanted) == [1, 3]
    assert read == [1, 2, 3, 4]


def test_a_long_walk_holds_no_more_than_a_chunk(make_index, monkeypatch) -> None:
    maker = three_shards(make_index)
    for name, value in (("_CHUNK_LETTERS", 2), ("_CHUNK_BYTES", 1)):
        with monkeypatch.context() as patched:
            patched.setattr(dead_letters, name, value)
            assert len(dead_letters._read_some(maker.directory, 2)) == min(value, 2)
            assert numbers(maker.directory) == list(range(5))


def test_letters_that_come_while_it_is_walked_are_left_to_the_next_walk(make_index) -> None:
    """A retry adds letters for parts of the ones it reads, and would follow them for ever."""
    maker = three_shards(make_index)
    found: list[int] = []
    for number, _ in select_letters(maker.directory, LetterFilter()):
        found.append(number)
        add(maker, letter(100 + number))
    assert found == list(range(5))
    assert numbers(maker.directory) == list(range(10))


def test_a_compaction_under_a_walk_changes_nothing(make_index, monkeypatch) -> None:
    """The shard that is about to be read is closed by the thread that has compacted it."""
    maker = three_shards(make_index)
    maker.index_words()
    rules = CompactRules(write_bytes_per_s=0)
    real = dead_letters._read_shard
    pending = [0, 0, 1]

    def late(shard, first):
        if pending and pending.pop():
            compact_directory(maker.directory, lambda: maker.encoder, rules)
            assert [each.tier.value for each in maker.directory.shards] == ["compacted", "fresh"]
        return real(shard, first)

    monkeypatch.setattr(dead_letters, "_read_shard", late)
    monkeypatch.setattr(dead_letters, "_CHUNK_LETTERS", 1)
    assert numbers(maker.directory) == list(range(5))
    assert not pending
    assert numbers(maker.directory) == list(range(5))


def test_a_closed_index_is_an_error_and_no_end(make_index) -> None:
    maker = three_shards(make_index)
    maker.directory.shards[0].close()
    with pytest.raises(StorageError, match="has been closed"):
        list(letters_from(maker.directory, 0))


def test_damage_is_raised_and_not_passed_over(make_index) -> None:
    maker = three_shards(make_index)
    path = maker.directory.shards[0].path / "data.mdb"
    maker.directory.close()
    data = path.read_bytes()
    at = data.index(b"\xa9bytes nil") if b"\xa9bytes nil" in data else data.index(b"byte 0")
    path.write_bytes(data[:at] + b"BYTE" + data[at + 4 :])
    with (
        DataDirectory.open(maker.path, is_writable=False) as directory,
        pytest.raises(CorruptShardError),
    ):
        numbers(directory)


def test_a_mark_comes_back_from_its_position() -> None:
    mark = Mark().add([5, 3, 4, 9])
    position = mark.position()
    assert (position.source, position.offset) == (MARK_SOURCE, 4)
    assert position.state == "[[3,5],[9,9]]"
    assert Mark.of(position) == mark
    assert Mark.among([Position("file", "1:2", 3), position]) == mark
    assert Mark.among([]) == Mark()


def test_a_mark_forgets_letters_that_are_gone_and_counts_them_still() -> None:
    mark = Mark().add([1, 2, 3, 8]).add([9], keep_from=3)
    assert mark.resolved == NumberRanges(((3, 3), (8, 9)))
    assert mark.count == 5


def test_the_mark_goes_into_new_shards_and_through_compaction(make_index) -> None:
    maker = three_shards(make_index)
    assert read_mark(maker.directory) == Mark()
    mark = Mark().add([1, 3])
    maker.appender.append(Batch([], [], [mark.position()]))
    maker.appender.seal()
    maker.index_words()
    assert read_mark(maker.directory) == mark
    compact_directory(maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0))
    maker.appender.seal()
    assert read_mark(maker.directory) == mark
    assert numbers(maker.directory) == list(range(5))


def test_dropped_shards_take_their_letters_along(make_index) -> None:
    maker = three_shards(make_index)
    assert first_letter(maker.directory) == 0
    with maker.directory.compacting():
        maker.directory.replace_shards((1,), None)
    assert first_letter(maker.directory) == 2
    assert numbers(maker.directory) == [2, 3, 4]


def test_while_a_shard_cannot_be_read_its_letters_are_not_taken_for_gone(make_index) -> None:
    maker = three_shards(make_index)
    path = maker.directory.shards[0].path
    maker.directory.close()
    (path / "data.mdb").rename(path / "data.away")
    with DataDirectory.open(maker.path, is_writable=False) as directory:
        assert list(directory.damaged) == [1]
        assert first_letter(directory) == 0
        assert numbers(directory) == [2, 3, 4]


def test_an_index_of_nothing_has_no_letters(tmp_path) -> None:
    with DataDirectory.open(tmp_path, is_writable=True) as directory:
        assert numbers(directory) == []
        assert read_mark(directory) == Mark()
        assert first_letter(directory) == 0


def test_a_letter_with_fewer_bytes_than_were_refused_is_cut() -> None:
    assert not is_cut(letter(0))
    assert is_cut(DeadLetter("oversized", "", b"x", 2, 0, "file", "1:2", 0))
