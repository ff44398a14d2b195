from __future__ import annotations

import msgspec

from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.identity import FileState, Known, digest_head
from dejalog.indexer.event import Position

HEAD = b"2024-05-01 started".ljust(1024)


def position(partition: str, offset: int, inode: str = "", source: str = "file") -> Position:
    state = FileState("/l/app.log", inode or partition, digest_head(HEAD), (0, 0, offset, 7))
    return Position(source, partition, offset, msgspec.json.encode(state).decode())


def claims(*positions: Position) -> Claims:
    return Claims("file", {(item.source, item.partition): item for item in positions})


def partitions(found: list[Known]) -> list[str]:
    return [known.partition for known in found]


def test_positions_are_found_by_inode_and_by_content_longest_first() -> None:
    held = claims(position("1:2", 3000), position("1:2#2", 5000, "1:2"), position("1:3", 4000))
    assert partitions(held.of_inode("1:2")) == ["1:2#2", "1:2"]
    assert partitions(held.of_inode("1:9")) == []
    assert partitions(held.of_content("/l/any", HEAD)) == ["1:2#2", "1:3", "1:2"]
    assert held.of_content("/l/any", HEAD[:1000]) == []
    assert held.of_content("/l/any", HEAD.replace(b"started", b"stopped")) == []


def test_content_that_moved_is_found_at_the_inode_it_was_last_read_from() -> None:
    held = claims(position("1:2", 3000, "1:7"))
    assert partitions(held.of_inode("1:7")) == ["1:2"]
    assert held.of_inode("1:2") == []


def test_a_claimed_position_is_not_found_until_it_is_released_further_on() -> None:
    held = claims(position("1:2", 3000))
    (known,) = held.of_inode("1:2")
    held.claim(known)
    assert held.is_claimed("1:2")
    assert not held.of_inode("1:2")
    assert not held.of_content("/l/any", HEAD)
    held.release(Known("1:2", 4000, msgspec.structs.replace(known.state, inode="1:8")))
    assert [item.offset for item in held.of_inode("1:8")] == [4000]
    assert not held.of_inode("1:2")


def test_new_content_never_takes_a_name_that_was_used() -> None:
    unreadable = Position("file", "1:4#3", 10, "not json")
    held = claims(position("1:2", 3000), position("1:2#2", 10), unreadable)
    assert held.new_partition("1:2") == "1:2#3"
    assert held.new_partition("1:2") == "1:2#4"
    assert held.new_partition("1:3") == "1:3"
    assert held.new_partition("1:4") == "1:4#4"
    assert held.is_claimed("1:3")


def test_positions_of_other_sources_are_passed_over() -> None:
    assert not claims(position("1:2", 3000, source="kafka")).of_inode("1:2")
