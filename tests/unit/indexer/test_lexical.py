import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pytest

from dejalog.indexer.errors import CorruptShardError, DataDirectoryError
from dejalog.indexer.lexical import LexicalIndex, _Documents
from dejalog.indexer.terms import CUT_TERM, MAX_DOCUMENT_TERMS, MAX_TEXT_CHARS, query_terms

PATTERNS = [
    (0, "pump bearing leaks oil"),
    (1, "E-1034 overload of axis 3"),
    (2, "returned BadUserAccessDenied"),
    (4, "oil oil oil everywhere in a very long sentence about other things than the pump at hand"),
]
EVENTS = [
    (10, "88ebfbcebbbc0884eabd9178e1808940 10.0.0.7:443"),
    (11, ""),
    (13, "88ebfbcebbbc0884eabd9178e1808940"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shard" / "lexical"


@pytest.fixture
def index(path: Path) -> Iterator[LexicalIndex]:
    with LexicalIndex.open(path, writable=True) as index:
        index.append(PATTERNS, EVENTS, patterns_end=5, events_end=20)
        yield index


def ranked(index: LexicalIndex, query: str, limit: int = 10) -> list[int]:
    return index.rank_patterns(query_terms(query), limit=limit).ids.tolist()


def damaged_copy(path: Path, target: Path, kind: str) -> Path:
    shutil.copytree(path, target)
    for file in (target / "patterns").glob(f"*.{kind}"):
        data = bytearray(file.read_bytes())
        data[len(data) // 4] ^= 0x10
        file.write_bytes(data)
    return target


def test_patterns_are_ranked_by_their_words(index: LexicalIndex) -> None:
    assert ranked(index, "oil leak") == [0, 4]
    assert ranked(index, "e-1034") == [1]
    assert ranked(index, "access denied") == [2]
    assert ranked(index, "nothing like it") == []


def test_scores_are_bm25_and_sorted(index: LexicalIndex) -> None:
    hits = index.rank_patterns(query_terms("pump oil axis"), limit=10)
    assert hits.ids.dtype == np.int64
    assert hits.scores.dtype == np.float32
    assert (np.diff(hits.scores) <= 0).all()
    # BM25 of `overload` in `words`: ln(1 + (4 - 1 + .5) / (1 + .5)) * tf part, plus half of that
    # of its form; the tf part lies between 1 / 2.2 * 2.2 = 1 at average length and its bounds.
    score = index.rank_patterns(query_terms("overload"), limit=1).scores[0]
    idf = np.log(1 + 3.5 / 1.5)
    assert idf < score < 1.5 * 2.2 * idf / (1 + 1.2 * 0.25)


def test_the_word_as_written_ranks_above_another_form(index: LexicalIndex) -> None:
    index.append([(5, "pump was leaking oil")], [], patterns_end=6, events_end=20)
    assert ranked(index, "leaking")[0] == 5
    assert ranked(index, "leaks")[0] == 0


def test_limit_is_kept_and_may_be_anything(index: LexicalIndex) -> None:
    assert len(ranked(index, "pump oil axis", limit=2)) == 2
    assert ranked(index, "pump", limit=0) == []
    assert ranked(index, "pump", limit=-1) == []
    assert len(ranked(index, "pump", limit=10**15)) == 2
    assert index.rank_patterns([], limit=5).ids.tolist() == []


def test_events_are_found_by_their_values(index: LexicalIndex) -> None:
    trace = "88ebfbcebbbc0884eabd9178e1808940"
    assert index.events_with(trace).tolist() == [10, 13]
    assert index.events_with("10.0.0.7").tolist() == [10]
    assert index.events_with_all([trace, "443"]).tolist() == [10]
    assert index.rank_events(query_terms(f"{trace} 10.0.0.7"), limit=5).ids.tolist() == [10, 13]


def test_patterns_with_a_term_are_all_of_them_sorted(index: LexicalIndex) -> None:
    assert index.patterns_with("oil").tolist() == [0, 4]
    assert index.patterns_with("denied").tolist() == [2]
    assert index.patterns_with_all(["pump", "oil"]).tolist() == [0, 4]
    assert index.patterns_with_all(["pump", "leak"]).tolist() == [0]
    assert index.patterns_with("\udce9").tolist() == []
    assert index.patterns_with_all([]).tolist() == []
    assert index.patterns_with("oil").dtype == np.int64


def test_more_ids_than_a_page_are_all_returned(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dejalog.indexer.lexical_view._PAGE_IDS", 7)
    with LexicalIndex.open(path, writable=True) as index:
        far = 10**12
        events = [(far + 3 * i, f"same {i}") for i in range(50)]
        index.append([], events, patterns_end=0, events_end=far + 1_000)
        assert index.events_with("same").tolist() == [number for number, _ in events]
        assert index.verify() == []


def test_the_watermark_counts_documents_without_terms(index: LexicalIndex, path: Path) -> None:
    assert (index.patterns_indexed, index.events_indexed) == (5, 20)
    index.append([], [(20, ""), (21, "...")], patterns_end=7, events_end=22)
    assert (index.patterns_indexed, index.events_indexed) == (7, 22)
    index.close()
    with LexicalIndex.open(path) as reader:
        assert (reader.patterns_indexed, reader.events_indexed) == (7, 22)
        assert ranked(reader, "oil leak") == [0, 4]
        assert reader.verify() == []


def test_ids_below_the_watermark_are_skipped(index: LexicalIndex) -> None:
    index.append([*PATTERNS, (5, "new oil")], EVENTS, patterns_end=6, events_end=20)
    assert index.patterns_with("oil").tolist() == [0, 4, 5]
    index.append([(1, "too late")], [], patterns_end=3, events_end=2)
    assert (index.patterns_indexed, index.events_indexed) == (6, 20)
    assert index.patterns_with("late").tolist() == []
    assert index.verify() == []


@pytest.mark.parametrize("patterns", [[(6, "a"), (5, "b")], [(5, "a"), (5, "b")], [(9, "a")]])
def test_ids_out_of_order_are_refused(index: LexicalIndex, patterns: list[tuple[int, str]]) -> None:
    with pytest.raises(ValueError, match="comes after"):
        index.append(patterns, [(25, "x")], patterns_end=9, events_end=30)
    assert (index.patterns_indexed, index.events_indexed) == (5, 20)


def test_nothing_of_a_failed_append_is_kept(index: LexicalIndex) -> None:
    def events() -> list[tuple[int, str]]:
        return [(20, "first half"), (21, None)]

    with pytest.raises(TypeError):
        index.append([], events(), patterns_end=5, events_end=22)
    assert index.events_indexed == 20
    index.append([], [(21, "second half")], patterns_end=5, events_end=22)
    assert index.events_with("half").tolist() == [21]


def test_a_reader_sees_what_was_committed_once_it_refreshes(path: Path) -> None:
    with LexicalIndex.open(path) as reader:
        assert not path.exists()
        assert reader.patterns_indexed == 0
        assert ranked(reader, "pump") == []
        with LexicalIndex.open(path, writable=True) as writer:
            writer.append(PATTERNS[:1], [], patterns_end=1, events_end=0)
            assert ranked(reader, "pump") == []
            reader.refresh()
            assert ranked(reader, "pump") == [0]
            writer.append(PATTERNS[1:], [], patterns_end=5, events_end=0)
            assert reader.patterns_indexed == 1
            reader.refresh()
            assert reader.patterns_indexed == 5


def test_a_reader_follows_an_index_that_is_made_anew(path: Path) -> None:
    with LexicalIndex.open(path, writable=True) as writer:
        writer.append(PATTERNS, [], patterns_end=5, events_end=0)
    with LexicalIndex.open(path) as reader:
        LexicalIndex.delete(path)
        reader.refresh()
        assert reader.patterns_indexed == 0
        with LexicalIndex.open(path, writable=True) as writer:
            writer.append([(0, "other pump")], [], patterns_end=1, events_end=0)
        reader.refresh()
        assert reader.patterns_with("other").tolist() == [0]
        assert ranked(reader, "oil") == []


def test_a_reader_cannot_append(index: LexicalIndex, path: Path) -> None:
    with LexicalIndex.open(path) as reader, pytest.raises(ValueError, match="reading only"):
        reader.append([], [], patterns_end=9, events_end=20)


def test_a_second_writer_is_refused(index: LexicalIndex, path: Path) -> None:
    with (
        LexicalIndex.open(path, writable=True) as second,
        pytest.raises(OSError, match="cannot write the lexical index"),
    ):
        second.append([], [], patterns_end=9, events_end=20)
    assert index.patterns_indexed == 5


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="lexical index"):
        LexicalIndex.open(tmp_path / "file" / "lexical", writable=True)


def test_half_a_creation_is_begun_again(path: Path) -> None:
    (path / "patterns").mkdir(parents=True)
    (path / "patterns" / "meta.json").write_text("{")
    with LexicalIndex.open(path) as reader:
        assert reader.patterns_indexed == 0
    with LexicalIndex.open(path, writable=True) as writer:
        writer.append(PATTERNS, [], patterns_end=5, events_end=0)
        assert ranked(writer, "e-1034") == [1]


@pytest.mark.parametrize("kind", ["idx", "term", "fast", "fieldnorm", "pos", "store"])
def test_one_flipped_bit_is_found_by_verify_or_on_opening(
    index: LexicalIndex, path: Path, tmp_path: Path, kind: str
) -> None:
    copy = damaged_copy(path, tmp_path / "copy", kind)
    try:
        with LexicalIndex.open(copy) as damaged:
            problems = damaged.verify()
            assert damaged.damaged_files() == problems
    except CorruptShardError as error:
        problems = [error.reason]
    assert problems
    assert index.verify() == index.damaged_files() == []


@pytest.mark.parametrize("kind", ["idx", "term", "fast", "fieldnorm", "store"])
@pytest.mark.parametrize("writable", [True, False])
def test_a_truncated_index_is_reported_and_can_be_made_anew(
    index: LexicalIndex, path: Path, kind: str, writable: bool
) -> None:
    index.close()
    for file in (path / "patterns").glob(f"*.{kind}"):
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CorruptShardError, match="lexical index cannot be read"):
        LexicalIndex.open(path, writable=writable)
    LexicalIndex.delete(path)
    with LexicalIndex.open(path, writable=True) as anew:
        assert anew.patterns_indexed == 0
        anew.append(PATTERNS, [], patterns_end=5, events_end=0)
        assert ranked(anew, "oil leak") == [0, 4]


def test_a_lost_file_is_reported(index: LexicalIndex, path: Path) -> None:
    index.close()
    (path / "events" / "meta.json").unlink()
    with pytest.raises(CorruptShardError):
        LexicalIndex.open(path)


def test_an_index_of_other_rules_must_be_made_anew(index: LexicalIndex, path: Path) -> None:
    index.close()
    stamp = json.loads((path / "format.json").read_text())
    (path / "format.json").write_text(json.dumps(stamp | {"terms": 1}))
    with pytest.raises(CorruptShardError, match="other rules"):
        LexicalIndex.open(path, writable=True)


def test_deleting_what_is_not_there_is_fine(path: Path) -> None:
    LexicalIndex.delete(path)


def test_between_two_commits_no_event_is_ahead_of_its_pattern(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quoted search missed new events: the writer committed events before their patterns.

    Whoever read in between saw an event counted as indexed, but could not find its pattern.
    """
    seen: list[tuple[int, int]] = []
    commit = _Documents.append

    def watched(self: _Documents, documents: list[tuple[int, str]], end: int) -> None:
        commit(self, documents, end)
        with LexicalIndex.open(path) as reader:
            seen.append((reader.patterns_indexed, reader.events_indexed))

    monkeypatch.setattr(_Documents, "append", watched)
    with LexicalIndex.open(path, writable=True) as writer:
        writer.append([(0, "pump")], [(0, "77")], patterns_end=1, events_end=1)
        writer.append([(1, "axis")], [(1, "78")], patterns_end=2, events_end=2)
    assert seen == [(1, 0), (1, 1), (2, 1), (2, 2)]


def test_a_commit_during_a_refresh_brings_no_event_ahead_of_its_pattern(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader loaded patterns before events, so that a commit in between gave it the new
    events without their patterns, in whatever order the writer committed them."""
    load = _Documents.refresh
    with LexicalIndex.open(path, writable=True) as writer, LexicalIndex.open(path) as reader:

        def interrupted(self: _Documents) -> None:
            load(self)
            monkeypatch.setattr(_Documents, "refresh", load)
            writer.append([(0, "pump")], [(0, "77")], patterns_end=1, events_end=1)

        monkeypatch.setattr(_Documents, "refresh", interrupted)
        reader.refresh()
        assert (reader.patterns_indexed, reader.events_indexed) == (1, 0)
        reader.refresh()
        assert (reader.patterns_indexed, reader.events_indexed) == (1, 1)


@pytest.mark.parametrize("is_damaged_between", [False, True])
def test_an_index_made_anew_during_a_refresh_is_loaded_whole(
    index: LexicalIndex, path: Path, monkeypatch: pytest.MonkeyPatch, is_damaged_between: bool
) -> None:
    """A reader in the middle of a refresh took the events of the index before and the patterns
    of the one made anew, or failed as the files went away under it."""
    load = _Documents.refresh
    with LexicalIndex.open(path) as reader:
        index.close()

        def interrupted(self: _Documents) -> None:
            load(self)
            monkeypatch.setattr(_Documents, "refresh", load)
            LexicalIndex.delete(path)
            if not is_damaged_between:
                LexicalIndex.open(path, writable=True).close()

        monkeypatch.setattr(_Documents, "refresh", interrupted)
        reader.refresh()
        assert (reader.patterns_indexed, reader.events_indexed) == (0, 0)


def test_a_view_stays_as_it_was_taken(index: LexicalIndex, path: Path) -> None:
    """One search asked the index several times; a refresh by another thread in between mixed
    two states, such as the ids of one with the watermark of the other."""
    with LexicalIndex.open(path) as reader:
        view = reader.view()
        before = (view.patterns_with("oil").tolist(), view.events_with("443").tolist())
        index.append([(5, "oil")], [(20, "443")], patterns_end=6, events_end=21)
        reader.refresh()
        assert (view.patterns_indexed, view.events_indexed) == (5, 20)
        assert (view.patterns_with("oil").tolist(), view.events_with("443").tolist()) == before
        assert reader.patterns_with("oil").tolist() == [0, 4, 5]
        assert reader.view().events_with("443").tolist() == [10, 20]
    index.close()
    LexicalIndex.delete(path)
    assert view.patterns_with("oil").tolist() == [0, 4]


def test_patterns_of_a_failed_append_are_seen_and_do_no_harm(index: LexicalIndex) -> None:
    with pytest.raises(TypeError):
        index.append([(5, "seen")], [(20, None)], patterns_end=6, events_end=21)
    assert (index.patterns_indexed, index.events_indexed) == (6, 20)
    index.append([(5, "seen")], [(20, "later")], patterns_end=6, events_end=21)
    assert index.patterns_with("seen").tolist() == [5]
    assert index.events_with("later").tolist() == [20]


def test_texts_too_long_to_be_indexed_whole_are_marked(index: LexicalIndex) -> None:
    """A quoted string beyond the cut of a very long text was not found, and nothing told that
    the text might hold it."""
    words = " ".join(f"w{number}" for number in range(MAX_DOCUMENT_TERMS)) + " the end"
    dots = "." * MAX_TEXT_CHARS + " the end"
    patterns = [(5, words), (6, "short"), (7, dots)]
    index.append(patterns, [(20, "short"), (21, dots)], patterns_end=8, events_end=22)
    view = index.view()
    assert view.patterns_with("end").tolist() == []
    assert view.cut_patterns().tolist() == [5, 7]
    assert view.cut_events().tolist() == [21]
    assert index.verify() == []


def test_no_text_can_pass_for_one_that_was_cut(index: LexicalIndex) -> None:
    patterns = [(5, f"{CUT_TERM} CUT cut <cut>")]
    index.append(patterns, [], patterns_end=6, events_end=20)
    assert index.view().cut_patterns().tolist() == []
    assert ranked(index, CUT_TERM) == [5]


WRITER = """
import sys
from pathlib import Path
from dejalog.indexer.lexical import LexicalIndex
index = LexicalIndex.open(Path(sys.argv[1]), writable=True)
at = index.events_indexed // 2  # the patterns may be one commit ahead
while True:
    patterns = [(i, f"common p{i}") for i in range(at, at + 50)]
    events = [(i, f"common {i:032x}") for i in range(2 * at, 2 * at + 100)]
    at += 50
    index.append(patterns, events, patterns_end=at, events_end=2 * at)
    print(at, flush=True)
"""


def test_kill_9_leaves_documents_and_watermark_in_step(path: Path) -> None:
    """The first design kept the watermark in a file of its own, which a kill could leave behind."""
    reached = 0
    for commits in (1, 3, 6, 2, 4):
        with Popen([sys.executable, "-c", WRITER, str(path)], stdout=PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(commits):
                reached = int(writer.stdout.readline())
            writer.kill()
        with LexicalIndex.open(path) as index:
            assert index.patterns_indexed >= reached
            assert len(index.patterns_with("common")) == index.patterns_indexed
            assert len(index.events_with("common")) == index.events_indexed
            assert 0 <= 2 * index.patterns_indexed - index.events_indexed <= 100
            assert index.verify() == []
