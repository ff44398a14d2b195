from __future__ import annotations

import pytest

from dejalog.indexer import retain as retain_module
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.compaction.plan import DiskSpace, RetainRules
from dejalog.indexer.errors import DataDirectoryError, QueryError
from dejalog.indexer.filter import Condition
from dejalog.indexer.retain import count_events, delete_events, disk_space, retain
from dejalog.indexer.store.manifest import Deletion


@pytest.fixture
def maker(make_index):
    """Two indexed shards of three events each, and the one that is appended to."""
    made = make_index()
    for _ in range(2):
        made.add(
            *[
                made.event(text, labels=(("host", host),))
                for text, host in (("pump on", "gw1"), ("pump off", "gw2"), ("valve on", "gw2"))
            ]
        )
        made.appender.seal()
    return made


def test_shards_that_have_expired_are_removed_with_their_files(maker) -> None:
    rules = RetainRules(age_max_s=2)
    assert retain(maker.directory, rules, clock=lambda: 5 * 10**9) == ()
    assert retain(maker.directory, rules, clock=lambda: 6 * 10**9) == (1,)
    assert maker.directory.manifest.numbers == (2, 3)
    assert [path.name for path in sorted((maker.path / "shards").iterdir())] == ["000002", "000003"]
    maker.add("and on it goes")
    assert [shard.header.first_event for shard in maker.directory.shards] == [3, 6]


def test_the_oldest_shards_go_when_the_disk_is_full(maker, monkeypatch) -> None:
    monkeypatch.setattr(retain_module, "disk_space", lambda _: DiskSpace(10**9, 0))
    assert retain(maker.directory, RetainRules(disk_free_percent_min=0.01)) == (1,)
    assert retain(maker.directory, RetainRules(disk_free_percent_min=50)) == (2,)
    assert retain(maker.directory, RetainRules(bytes_max=1)) == ()


def test_without_a_rule_nothing_is_locked_or_dropped(maker) -> None:
    with maker.directory.compacting():
        assert retain(maker.directory, RetainRules()) == ()
        with pytest.raises(DataDirectoryError, match="try again"):
            retain(maker.directory, RetainRules(bytes_max=1))
    assert disk_space(maker.directory).total > disk_space(maker.directory).free > 0


def test_a_deletion_reaches_what_is_stored_and_nothing_later(maker) -> None:
    gw2 = Condition("host", "=", "gw2")
    made = delete_events(maker.directory, [gw2], until_ns=5 * 10**9, clock=lambda: 7)
    assert made == Deletion(1, 7, 6, None, 5 * 10**9, (("host", "=", "gw2"),))
    assert maker.directory.manifest.deletions == (made,)
    assert delete_events(maker.directory, [], since_ns=1).number == 2


def test_what_would_be_deleted_is_counted_without_what_is_deleted_already(maker, encoder) -> None:
    everything = Condition("severity", "!=", "fatal")
    gw2 = Condition("host", "=", "gw2")
    assert count_events(maker.directory, [gw2]) == 4
    assert count_events(maker.directory, [gw2], since_ns=3 * 10**9, until_ns=6 * 10**9) == 2
    delete_events(maker.directory, [gw2], until_ns=4 * 10**9)
    assert count_events(maker.directory, [gw2]) == 2
    assert count_events(maker.directory, [everything]) == 4
    compact_directory(maker.directory, lambda: encoder, CompactRules(write_bytes_per_s=0))
    assert count_events(maker.directory, [everything]) == 4


def test_a_deletion_of_everything_is_refused(maker) -> None:
    for work in (delete_events, count_events):
        with pytest.raises(QueryError, match="every event"):
            work(maker.directory, [])
    assert maker.directory.manifest.deletions == ()
