"""`dejalog worker` as a process, and what it has stored as its index tells it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dejalog.daemon.config import to_toml
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.event import DeadLetter, Event
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.view import ShardView

from .broker import with_us
from .endpoint import TIMEOUT_S, Endpoint, wait_for

#: What is under way is stored in an instant; the rest is for a broker that does not answer.
_STOP_S = 30.0
#: From the start of Python to the first record: 4 s on two idle cores.
FIRST_S = 45.0

#: A topic and the number of one of its partitions.
Place = tuple[str, int]
#: Settings by section and key.
Sections = Mapping[str, Mapping[str, object]]

_SETTINGS: Sections = {
    "encoder": {"threads": 1},
    "server": {"listen": "", "otlp_listen": ""},
    "compact": {"enabled": False},
    "kafka": {
        # A worker that was killed is missed after so long.
        "session_timeout_s": 3.0,
        # New topics and partitions are seen after so long.
        "metadata_max_age_s": 1.0,
        "commit_interval_s": 0.2,
    },
}


class WorkerError(Exception):
    """A worker ended that should run; the message has what it said last."""


class Worker:
    """A worker and its data directory; processes of it come and go."""

    def __init__(
        self,
        folder: Path,
        endpoint: Endpoint | str,
        topics: Sequence[str | Mapping[str, object]],
        group: str,
        *,
        sections: Sections | None = None,
        **kafka: object,
    ) -> None:
        """`topics` are names or tables of the configuration, `kafka` more keys of its section."""
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        bootstrap = endpoint if isinstance(endpoint, str) else endpoint.bootstrap
        tables = tuple({"name": each} if isinstance(each, str) else each for each in topics)
        connection = {"bootstrap_servers": tuple(bootstrap.split(",")), "group": group}
        own: Sections = {
            "data": {"directory": str(self.data)},
            "kafka": {**connection, "topics": tables, **kafka},
        }
        self.configure(own)
        self.configure(sections or {})

    def configure(self, sections: Sections) -> None:
        """Changes settings, for the next start."""
        self._sections = _merged(getattr(self, "_sections", _SETTINGS), sections)
        lines = []
        for section, values in self._sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {to_toml(value)}" for key, value in values.items()]
        (self._folder / "dejalog.toml").write_text("\n".join(lines))

    def start(self) -> None:
        assert self._process is None
        command = [sys.executable, "-m", "dejalog.daemon", "worker"]
        with (self._folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*with_us(), *command, "--config", str(self._folder / "dejalog.toml")],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )

    def is_running(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        return self._process is not None

    def stop(self) -> None:
        """Asks it to end, and sees that it does, and without a complaint."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise WorkerError(f"it did not end within {_STOP_S:.0f} s: {self.said()}") from None
        if code or "Traceback" in self.said():
            raise WorkerError(f"asked to end, it ended with {code}: {self.said()}")

    def kill(self) -> None:
        """Ends it as a power cut does; nothing if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Holds its process still while the block runs, as a machine under load may do."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ends_with(self, timeout_s: float = FIRST_S) -> str:
        """Waits until it ends by itself, as one that failed; returns what it said."""
        process = self._process
        assert process is not None
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"it still runs after {timeout_s:.0f} s: {self.said()}") from None
        self._process = None
        assert code > 0, f"it ended with {code}: {self.said()}"
        return self.said()

    def said(self) -> str:
        """Everything that its processes have written to the terminal."""
        return (self._folder / "worker.log").read_text()

    def wait_until(
        self, condition: Callable[[], object], what: str, timeout_s: float = FIRST_S
    ) -> None:
        """Waits while it runs; raises WorkerError if it ends."""

        def holds() -> object:
            assert self._process is not None
            code = self._process.poll()
            if code is not None:
                self._process = None
                raise WorkerError(f"it ended with {code} before {what}: {self.said()}")
            return condition()

        try:
            wait_for(holds, what, timeout_s)
        except AssertionError as error:
            error.add_note(f"the worker is at {self.positions()} and said: {self.said()}")
            raise

    def wait_until_at_end(self, endpoint: Endpoint, *topics: str) -> None:
        """Waits until everything in these topics is stored."""
        ends = {
            (topic, number): end
            for topic in topics
            for number, end in endpoint.end_offsets(topic).items()
            if end
        }

        def is_at_end() -> bool:
            positions = self.positions()
            return all(positions.get(place) == end for place, end in ends.items())

        self.wait_until(is_at_end, f"everything up to {ends} is stored")

    def run_to_end(self, endpoint: Endpoint, *topics: str) -> None:
        """Starts it, waits until everything in these topics is stored, and stops it."""
        self.start()
        self.wait_until_at_end(endpoint, *topics)
        self.stop()

    def positions(self) -> dict[Place, int]:
        """The stored positions of topics."""
        try:
            directory = DataDirectory.open(self.data, is_writable=False)
        except DataDirectoryError:
            return {}
        with directory:
            if not directory.shards:
                return {}
            with directory.shards[-1].snapshot() as snapshot:
                found = {
                    (each.source, each.partition): each.offset for each in snapshot.positions()
                }
        return {
            (source.removeprefix("kafka:"), int(partition)): offset
            for (source, partition), offset in found.items()
            if source.startswith("kafka:")
        }

    def events(self) -> list[Event]:
        """Every event of the index, in the order in which they were stored."""
        found: list[Event] = []
        with DataDirectory.open(self.data, is_writable=False) as directory:
            for shard in directory.shards:
                arrays = ShardView(shard).refresh()
                with shard.snapshot() as snapshot:
                    reader = EventReader(snapshot, arrays)
                    first = shard.header.first_event
                    rows = len(arrays.columns.times)
                    found += [reader.event(first + row) for row in range(rows)]
        return found

    def texts(self, topic: str) -> list[str]:
        """The texts of one topic's events, by partition and offset."""
        events = [each for each in self.events() if each.source == f"kafka:{topic}"]
        return [each.text for each in sorted(events, key=place_of)]

    def dead_letters(self) -> list[DeadLetter]:
        with DataDirectory.open(self.data, is_writable=False) as directory:
            found: list[DeadLetter] = []
            for shard in directory.shards:
                with shard.snapshot() as snapshot:
                    found += [letter for _, letter in snapshot.dead_letters()]
            return found

    def status(self, *flags: str) -> dict[str, Any]:
        """What `dejalog status` says of the index."""
        command = [sys.executable, "-m", "dejalog.daemon", "status", "-o", "json", *flags]
        if not flags:
            command += ["--config", str(self._folder / "dejalog.toml")]
        ran = subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
        value: dict[str, Any] = json.loads(ran.stdout)
        return value


def place_of(event: Event) -> tuple[str, int, int]:
    """Where an event was read: topic, partition and offset."""
    return event.source.removeprefix("kafka:"), int(event.partition), event.offset


def _merged(sections: Sections, more: Sections) -> Sections:
    names = [*sections, *(name for name in more if name not in sections)]
    return {name: {**sections.get(name, {}), **more.get(name, {})} for name in names}
