from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dejalog.daemon import schedule
from dejalog.daemon.config import CompactSettings, EncoderSettings, Settings
from dejalog.daemon.engine import WritableIndex
from dejalog.daemon.flags import add_common_flags, load_settings
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.daemon.schedule import Scheduler, compact_command, give_way
from dejalog.indexer.append import ShardLimits
from dejalog.indexer.compaction.plan import RetainRules
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.filter import Condition
from dejalog.indexer.retain import delete_events
from dejalog.indexer.store.manifest import Tier


class Daemon:
    """The parts of a daemon that a scheduler deals with."""

    def __init__(self, maker, settings: Settings) -> None:
        self.maker = maker
        self.said: list[str] = []
        self.failures: list[BaseException] = []
        index = WritableIndex(maker.directory, maker.encoder, maker.appender)
        self.lexical = LexicalWorker(maker.directory, self.failures.append)
        self.scheduler = Scheduler(
            settings,
            index,
            self.lexical,
            on_failure=self.failures.append,
            say=self.said.append,
        )

    def tiers(self) -> list[Tier]:
        return [entry.tier for entry in self.maker.directory.manifest.shards]


@pytest.fixture
def make_daemon(make_index):
    def make(settings: Settings | None = None, limits: ShardLimits | None = None) -> Daemon:
        maker = make_index(limits)
        maker.add("pump on", "pump off")
        return Daemon(maker, settings or Settings())

    return make


def every(seconds: float, **changes: object) -> Settings:
    compact = replace(CompactSettings(), interval_s=seconds, **changes)  # type: ignore[arg-type]
    return replace(Settings(), compact=compact)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(*script: str) -> Callable[..., list[str]]:
    """Stands in for the command line of a compaction."""
    return lambda *_: [sys.executable, "-c", "\n".join(script)]


def test_a_shard_that_has_grown_old_is_rolled_indexed_and_compacted(make_daemon) -> None:
    daemon = make_daemon(limits=ShardLimits(age_max_s=1e-6))
    daemon.scheduler.tick()
    assert daemon.tiers() == [Tier.COMPACTED, Tier.FRESH]
    assert (daemon.said, daemon.failures) == ([], [])
    daemon.scheduler.tick()
    assert daemon.tiers() == [Tier.COMPACTED, Tier.FRESH]
    daemon.maker.add("and on it goes")


def test_deleted_events_leave_the_shard_that_is_appended_to(make_daemon) -> None:
    daemon = make_daemon()
    daemon.scheduler.tick()
    assert daemon.tiers() == [Tier.FRESH]
    delete_events(daemon.maker.directory, [Condition("host", "!=", "gw9")], until_ns=2 * 10**9)
    daemon.scheduler.tick()
    assert daemon.tiers() == [Tier.COMPACTED, Tier.FRESH]
    with daemon.maker.directory.shards[0].snapshot() as snapshot:
        assert snapshot.counters().events == 1
    daemon.scheduler.tick()
    assert daemon.maker.directory.manifest.deletions == ()


def test_what_retention_no_longer_keeps_is_dropped(make_daemon) -> None:
    settings = replace(Settings(), retain=RetainRules(age_max_s=60))
    daemon = make_daemon(settings)
    daemon.maker.appender.seal()
    daemon.scheduler.tick()
    assert daemon.maker.directory.manifest.numbers == (2,)


def test_switched_off_it_still_rolls(make_daemon, monkeypatch) -> None:
    monkeypatch.setattr(schedule, "compact_command", runs("raise SystemExit(9)"))
    daemon = make_daemon(every(1, enabled=False), ShardLimits(age_max_s=1e-6))
    daemon.scheduler.tick()
    assert daemon.tiers() == [Tier.FRESH, Tier.FRESH]
    assert daemon.said == []


def test_a_compaction_that_fails_is_told_and_tried_again(make_daemon, monkeypatch) -> None:
    script = "raise SystemExit('dejalog: shard 000001 is damaged')"
    monkeypatch.setattr(schedule, "compact_command", runs(script))
    daemon = make_daemon(every(0.01))
    daemon.maker.appender.seal()
    daemon.scheduler.start()
    wait_until(lambda: len(daemon.said) >= 2)
    daemon.scheduler.finish()
    assert daemon.said[0] == (
        "compaction ended with 1: shard 000001 is damaged; it is tried again in 0.01 s"
    )
    assert daemon.failures == []


def test_damage_is_told_and_a_storage_fault_ends_the_daemon(make_daemon, monkeypatch) -> None:
    daemon = make_daemon(every(0.01))
    faults: list[Exception] = [OSError("disk is gone"), CorruptShardError(Path("000007"), "torn")]

    def fail() -> bool:
        raise faults.pop()

    monkeypatch.setattr(daemon.maker.appender, "roll_if_due", fail)
    daemon.scheduler.start()
    wait_until(lambda: bool(daemon.failures))
    daemon.scheduler.finish()
    assert [str(failure) for failure in daemon.failures] == ["disk is gone"]
    (said,) = daemon.said
    assert "000007" in said


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_running_compaction_ends_with_the_daemon(
    make_daemon, monkeypatch, tmp_path: Path, is_stubborn: bool
) -> None:
    started = tmp_path / "started"
    script = [
        "import os, pathlib, signal, time",
        f"signal.signal(signal.SIGTERM, signal.SIG_{'IGN' if is_stubborn else 'DFL'})",
        f"pathlib.Path({str(started)!r}).write_text(str(os.getpid()))",
        "time.sleep(600)",
    ]
    monkeypatch.setattr(schedule, "compact_command", runs(*script))
    settings = every(0.01)
    settings = replace(settings, server=replace(settings.server, stop_grace_s=0.2))
    daemon = make_daemon(settings)
    daemon.maker.appender.seal()
    daemon.scheduler.start()
    wait_until(lambda: started.exists() and started.read_text() != "")
    daemon.scheduler.finish()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert daemon.said == []


def test_the_child_has_the_settings_of_the_daemon(tmp_path: Path) -> None:
    settings = replace(
        Settings(),
        encoder=EncoderSettings(bundle="", threads=3),
        compact=replace(CompactSettings(), bits=2, enabled=False, interval_s=0.5 + 1),
        retain=RetainRules(age_max_s=60.5, bytes_max=7, disk_free_percent_min=12.5),
    )
    command = compact_command(settings, str(tmp_path))
    at = command.index("compact")
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    parser.add_argument("-o")
    loaded = load_settings(parser.parse_args(command[at + 1 :])).settings
    assert loaded.data.directory == str(tmp_path)
    for section in ("encoder", "compact", "retain"):
        assert getattr(loaded, section) == getattr(settings, section)


def test_the_child_gives_way_to_every_other_process() -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        give_way(child.pid)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 19
        child.communicate(b"")
    give_way(child.pid)  # One that has ended is left alone.


def test_it_can_be_ended_before_it_began(make_daemon) -> None:
    daemon = make_daemon()
    daemon.scheduler.finish()
    assert daemon.failures == []
