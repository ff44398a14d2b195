from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dejalog.indexer.append import Appender, Batch, PreparedEvent, ShardLimits
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.encode import Encoder
from dejalog.indexer.event import Event, Kind, Position, TimeOrigin
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory

SHARED_DATA = Path(__file__).parents[1] / ".." / "shared" / "data"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line how many tests found no broker, and why."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        found = re.search(r"no Kafka: (.*)", str(report.longrepr), re.DOTALL)
        if found:
            reasons[found[1].rstrip("')")] += 1
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} tests with Kafka were skipped: {reason}")


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The model in the package."""
    return Encoder.load(threads=1)


@pytest.fixture
def shared_data() -> Path:
    """Real logs and notes that lie beside a checkout, not inside it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests neither read nor write what the person running them has in the home folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("dejalog.daemon.config.CONFIG_PATHS", ())


class IndexMaker:
    """Puts events through the real appender and word index, in one data directory."""

    def __init__(self, path: Path, encoder: Encoder, limits: ShardLimits | None) -> None:
        self.path = path
        self.directory = DataDirectory.open(path, is_writable=True)
        self.encoder = encoder
        self.appender = Appender(self.directory, encoder, limits=limits)
        self._next = 0

    def event(self, text: str, **changes: object) -> Event:
        """An event with the next offset; any field may be given."""
        self._next += 1
        fields: dict[str, object] = {
            "kind": Kind.LOG,
            "time_ns": self._next * 10**9,
            "time_origin": TimeOrigin.EVENT,
            "source": "file",
            "partition": "1:1",
            "offset": self._next,
        }
        return Event(text=text, **{**fields, **changes})

    def add(self, *events: Event | str, is_indexed: bool = True) -> None:
        """Commits the events as one batch; with `is_indexed`, the word index follows."""
        given = [self.event(e) if isinstance(e, str) else e for e in events]
        prepared = [PreparedEvent(e, mask_pattern(e.text)[0]) for e in given]
        self.appender.append(Batch(prepared, [], [Position("file", "1:1", self._next)]))
        if is_indexed:
            self.index_words()

    def index_words(self) -> None:
        for shard in self.directory.shards:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                while catch_up(shard, index):
                    pass

    def searcher(self) -> Searcher:
        return Searcher(self.directory, self.encoder)


@pytest.fixture
def make_index(tmp_path: Path, encoder: Encoder) -> Iterator[Callable[..., IndexMaker]]:
    """Returns a function that makes an empty index; all of them are closed afterwards."""
    made: list[IndexMaker] = []

    def make(limits: ShardLimits | None = None) -> IndexMaker:
        made.append(IndexMaker(tmp_path / f"index-{len(made)}", encoder, limits))
        return made[-1]

    yield make
    for maker in made:
        maker.directory.close()
