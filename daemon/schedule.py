"""When the daemon compacts: a thread that looks every so often and starts `dejalog compact`.

Compaction runs in a process of its own, at the lowest priority: it may use a core for minutes, and
a search that waits for the interpreter's lock would notice. It takes the settings of this process
as flags. If it fails, that is said, and tried again after the next interval.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from threading import Event, Thread
from typing import Final

from dejalog.daemon.config import Settings, to_toml
from dejalog.daemon.engine import WritableIndex, compact_rules
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.indexer.compaction.describe import describe_shards
from dejalog.indexer.compaction.plan import ShardInfo, plan_compaction, plan_retention
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.retain import disk_space

#: How often a running compaction is looked at, and a stop is heard.
_POLL_INTERVAL_S: Final = 0.2

#: The system call that sets a process's place in the queue for the disk; glibc has no name for it.
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}
_IOPRIO_WHO_PROCESS: Final = 1
_IOPRIO_IDLE: Final = 3 << 13


def print_line(text: str) -> None:
    """Says it on standard error."""
    sys.stderr.write(f"dejalog: {text}\n")
    sys.stderr.flush()


class Scheduler:
    """Rolls the shard that has grown old, and has compaction and retention done when due.

    `on_failure` is called from the thread when nothing can be appended any more; a compaction that
    fails is told by `say`.
    """

    def __init__(
        self,
        settings: Settings,
        index: WritableIndex,
        lexical: LexicalWorker,
        *,
        on_failure: Callable[[BaseException], None],
        say: Callable[[str], None] = print_line,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._index = index
        self._lexical = lexical
        self._on_failure = on_failure
        self._say = say
        self._clock = clock
        self._stop = Event()
        self._thread = Thread(target=self._run, name="schedule")

    def start(self) -> None:
        """Begins; the first look is one interval later."""
        self._thread.start()

    def finish(self) -> None:
        """Ends; a compaction that runs is ended, too, and leaves everything as it was."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def tick(self) -> None:
        """Looks once; returns after what was due is done.

        With compaction switched off (somebody else calls `dejalog compact`) shards still roll.
        """
        self._index.directory.refresh()
        self._index.appender.roll_if_due()
        infos = self._describe()
        if infos and infos[-1].pending_events:
            # Deleted events leave the disk only when their shard is compacted.
            self._index.appender.seal()
            infos = self._describe()
        # A shard that was left alone is complete a moment later: it counts the next time.
        self._lexical.notify()
        if self._settings.compact.enabled and self._is_due(infos):
            self._compact()

    def _run(self) -> None:
        while not self._stop.wait(self._settings.compact.interval_s):
            try:
                self.tick()
            except CorruptShardError as error:
                self._say(f"not compacted: {error}")
            except BaseException as error:
                self._on_failure(error)
                return

    def _describe(self) -> tuple[ShardInfo, ...]:
        expire_before_ns = self._settings.retain.expire_before_ns(self._clock())
        return describe_shards(self._index.directory, expire_before_ns=expire_before_ns)

    def _is_due(self, infos: Sequence[ShardInfo]) -> bool:
        disk = disk_space(self._index.directory)
        if plan_retention(infos, self._settings.retain, disk, now_ns=self._clock()):
            return True
        if any(i.pending_deletions and not i.pending_events and not i.damage for i in infos):
            return True  # That a deletion reaches nothing there has to be noted.
        return bool(plan_compaction(infos, compact_rules(self._settings).plan_rules()))

    def _compact(self) -> None:
        command = compact_command(self._settings, str(self._index.directory.path))
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        give_way(process.pid)
        lines = self._wait(process)
        if process.returncode and not self._stop.is_set():
            reason = lines[-1].removeprefix("dejalog: ") if lines else "it said nothing"
            self._say(
                f"compaction ended with {process.returncode}: {reason}; it is tried again in "
                f"{self._settings.compact.interval_s:g} s"
            )
        self._index.directory.refresh()
        self._lexical.notify()

    def _wait(self, process: subprocess.Popen[str]) -> list[str]:
        """Returns what the process said on standard error; ends it if this one has to stop."""
        while not self._stop.is_set():
            try:
                _, said = process.communicate(timeout=_POLL_INTERVAL_S)
                return said.splitlines()
            except subprocess.TimeoutExpired:
                continue
        process.terminate()
        try:
            _, said = process.communicate(timeout=self._settings.server.stop_grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
        return said.splitlines()


def compact_command(settings: Settings, data: str) -> list[str]:
    """Returns the command line that compacts with the same settings."""
    command = [sys.executable, "-m", "dejalog.daemon", "compact", "-o", "json", "--data", data]
    # No file but the flags: another one may lie where the child would look for it.
    command += ["--config", os.devnull]
    for section in ("encoder", "compact", "retain"):
        values = getattr(settings, section)
        for item in fields(values):
            value = getattr(values, item.name)
            text = value if isinstance(value, str) else to_toml(value)
            command += ["--set", f"{section}.{item.name}={text}"]
    return command


def give_way(pid: int) -> None:
    """Lets every other process go first, as far as the system allows."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, 19)
    with suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        # It reports failure by its result, which changes nothing here.
        ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, pid, _IOPRIO_IDLE)
