from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from dejalog.indexer.compaction import draft as draft_module
from dejalog.indexer.compaction.content import header_of, read_content
from dejalog.indexer.compaction.draft import Draft
from dejalog.indexer.compaction.pace import Pace, StoppedError
from dejalog.indexer.compaction.plan import Job
from dejalog.indexer.store.shard import Shard


class Spending(Pace):
    """Notes what is spent."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: list[int] = []

    def spend(self, size_bytes: int) -> None:
        self.spent.append(size_bytes)
        super().spend(size_bytes)


@pytest.fixture
def content(make_index):
    maker = make_index()
    for number in range(3):
        maker.add(f"pump in hall {chr(65 + number)}", is_indexed=False)
    return read_content(maker.directory, Job((1,)), None)


def open_draft(content, folder: Path, pace: Pace, progress: list[tuple[str, int, int]]) -> Draft:
    return Draft(
        folder,
        header_of(content, 7),
        [],
        pace=pace,
        on_progress=lambda *said: progress.append(said),
    )


def test_each_step_is_a_bounded_transaction_that_is_paced(
    content, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(draft_module, "TEXT_BYTES_PER_STEP", 1)
    pace, progress = Spending(), []
    draft = open_draft(content, tmp_path / "7.draft", pace, progress)
    draft.put_patterns(content.sources, content.patterns)
    draft.put_texts(content.sources, content.window)
    draft.put_dead_letters(content.sources)
    draft.close()
    assert progress == [("patterns", 3, 3), ("texts", 0, 3), ("texts", 1, 3), ("texts", 2, 3)]
    assert len(pace.spent) == 4
    assert pace.spent[0] > 0
    assert sorted(path.name for path in (tmp_path / "7.draft").iterdir()) == ["data.mdb"]
    shard = Shard.open_compacted(tmp_path / "7.draft")
    with shard.snapshot() as snapshot:
        assert snapshot.pattern(2) == "pump in hall C"
        assert [first for first, _ in snapshot.texts_from(0)] == [0, 1, 2]
    shard.close()


def test_a_stop_is_heard_before_the_next_transaction(content, tmp_path: Path) -> None:
    stop = Event()
    draft = open_draft(content, tmp_path / "7.draft", Pace(0, stop), [])
    stop.set()
    with pytest.raises(StoppedError):
        draft.put_labelsets(content.labelsets)
    draft.close()
    shard = Shard.open_compacted(tmp_path / "7.draft")
    with shard.snapshot() as snapshot:
        assert list(snapshot.labelsets_from(0)) == []
    shard.close()
