from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from dejalog.indexer import compact as compact_module
from dejalog.indexer.append import Batch, PreparedEvent
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.compaction.draft import Draft
from dejalog.indexer.compaction.pace import StoppedError
from dejalog.indexer.context import read_context
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import ConfigError, CorruptShardError, DataDirectoryError, StorageError
from dejalog.indexer.event import DeadLetter, Event, Position
from dejalog.indexer.filter import Condition
from dejalog.indexer.kernel import decode
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.quantize import dequantize_rows
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.retain import delete_events
from dejalog.indexer.store.compacted import CodedVectors
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.manifest import Tier, read_manifest
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.view import FreshVectors, ShardArrays, ShardView
from dejalog.indexer.verify import verify

RULES = CompactRules(write_bytes_per_s=0)

TEXTS = [
    "pump P-101 tripped, id 88123456",
    "pump P-101 tripped, id 99123456",
    "valve V-7 stuck at 40 percent",
    "motor overload on axis 3, code E-1034",
    "conveyor belt stopped after photo cell 12 failed",
    "note: replaced the bearing of the pump",
]


def fill(maker, shards: int = 3, events: int = 40, *, first: int = 0) -> None:
    """Shards of so many events, each with a dead letter and patterns that others have, too."""
    for shard in range(first, first + shards):
        batch = []
        for number in range(events):
            text = TEXTS[(number + shard) % len(TEXTS)]
            if number % 10 == 0:
                text = f"{text} in hall {chr(65 + shard)}{chr(65 + number // 10)}"
            labels, attributes = (("host", f"gw{number % 3}"),), (("pid", str(number)),)
            batch.append(maker.event(text, labels=labels, attributes=attributes))
        prepared = [PreparedEvent(event, mask_pattern(event.text)[0]) for event in batch]
        letter = DeadLetter("not-utf8", f"byte {shard}", b"\xff", 1, 1, "file", "1:1", shard)
        maker.appender.append(Batch(prepared, [letter], [Position("file", "1:1", 10**6)]))
        maker.appender.seal()
    maker.index_words()


def run(directory: DataDirectory, encoder: Encoder, **changes: object):
    rules = CompactRules(**{"write_bytes_per_s": 0, **changes})  # type: ignore[arg-type]
    return compact_directory(directory, lambda: encoder, rules)


def no_encoder() -> Encoder:
    raise AssertionError("nothing has to be encoded again")


def states(directory: DataDirectory) -> list[ShardArrays]:
    return [ShardView(shard).refresh() for shard in directory.shards]


def events(directory: DataDirectory) -> dict[int, Event]:
    """Every event that is there, by its number, and the pattern that it points at."""
    found: dict[int, Event] = {}
    for state in states(directory):
        with state.shard.snapshot() as snapshot:
            reader = EventReader(snapshot, state)
            for row in np.flatnonzero(state.columns.kinds).tolist():
                number = state.header.first_event + row
                found[number] = reader.event(number)
                pattern = int(state.columns.patterns[row])
                assert snapshot.pattern(pattern) == mask_pattern(found[number].text)[0]
    return found


def letters(directory: DataDirectory) -> dict[int, DeadLetter]:
    found: dict[int, DeadLetter] = {}
    for shard in directory.shards:
        with shard.snapshot() as snapshot:
            found |= dict(snapshot.dead_letters())
    return found


def vectors(directory: DataDirectory) -> dict[str, np.ndarray]:
    """Every pattern's token vectors, restored from what is stored."""
    found: dict[str, np.ndarray] = {}
    for state in states(directory):
        with state.shard.snapshot() as snapshot:
            for number in range(state.counters.patterns):
                found[snapshot.pattern(number)] = _restored(state.vectors, number)
    return found


def _restored(stored: FreshVectors | CodedVectors, number: int) -> np.ndarray:
    if isinstance(stored, FreshVectors):
        rows = slice(int(stored.offsets[number]), int(stored.offsets[number + 1]))
        return dequantize_rows(stored.codes[rows], stored.scales[rows])
    block = [block for block in stored.blocks if block.first <= number][-1]
    offsets = block.rows.offsets[number - block.first :][:2]
    return decode(block.rows, stored.codebook)[int(offsets[0]) : int(offsets[1])]


def test_nothing_is_lost_when_fresh_shards_become_one(make_index, encoder) -> None:
    maker = make_index()
    fill(maker)
    before = events(maker.directory), letters(maker.directory)
    fresh = vectors(maker.directory)
    (report,) = run(maker.directory, encoder)
    assert (report.sources, report.made) == ((1, 2, 3), 5)
    assert [shard.tier for shard in maker.directory.shards] == [Tier.COMPACTED, Tier.FRESH]
    assert (events(maker.directory), letters(maker.directory)) == before
    assert len(before[0]) == report.events == 120
    coded = vectors(maker.directory)
    assert coded.keys() == fresh.keys()
    for text, rows in fresh.items():
        cosines = (coded[text] * rows).sum(axis=1) / np.linalg.norm(rows, axis=1)
        assert cosines.min() > 0.9, text
    assert run(maker.directory, encoder) == []


QUESTIONS = [
    SearchRequest("pump trips", limit=5, occurrences=50),
    SearchRequest('"id 99123456"', limit=5, occurrences=50),
    SearchRequest("E-1034", limit=5, occurrences=50),
    SearchRequest("belt", limit=5, occurrences=50, mode=Mode.LEXICAL),
    SearchRequest("valve", limit=5, where=("host=gw2",), since_ns=20 * 10**9),
    SearchRequest("oil", limit=30, occurrences=9, mode=Mode.SEMANTIC),
]


def test_every_search_and_context_finds_the_same_as_before(make_index, encoder) -> None:
    maker = make_index()
    fill(maker)
    fresh, contexts = answers(maker)
    run(maker.directory, encoder)
    coded, coded_contexts = answers(maker)
    assert coded_contexts == contexts
    for request, before, after in zip(QUESTIONS, fresh, coded, strict=True):
        assert after.events_matched == before.events_matched
        found = [
            {
                hit.pattern: (
                    hit.count,
                    hit.first_seen_ns,
                    hit.last_seen_ns,
                    sorted(hit.occurrences, key=lambda each: each.event_id),
                )
                for hit in result.hits
            }
            for result in (before, after)
        ]
        if request.limit > 20 or request.mode is Mode.LEXICAL:
            assert found[0] == found[1]
        assert before.hits[0].pattern == after.hits[0].pattern
        shared = found[0].keys() & found[1].keys()
        assert len(shared) >= len(found[0]) - 1
        assert all(found[0][pattern] == found[1][pattern] for pattern in shared)
        # BM25 is that of a shard, so words weigh otherwise (and occurrences come in another order);
        # meaning is on one scale.
        scores = [
            {hit.pattern: hit.scores.semantic + hit.scores.pooled for hit in result.hits}
            for result in (before, after)
        ]
        assert all(scores[0][p] == pytest.approx(scores[1][p], abs=0.05) for p in shared)


def answers(maker):
    searcher = maker.searcher()
    try:
        results = [searcher.search(request) for request in QUESTIONS]
        contexts = [
            read_context(searcher.states(), number, before=3, after=3) for number in (0, 39, 40, 85)
        ]
    finally:
        searcher.close()
    return results, contexts


def test_what_is_compacted_is_clean(make_index, encoder) -> None:
    maker = make_index()
    fill(maker)
    delete_events(maker.directory, [Condition("host", "=", "gw1")], since_ns=50 * 10**9)
    run(maker.directory, encoder)
    report = verify(maker.directory, is_quiet=True)
    assert report.problems == []
    assert report.dead_letters == 3


def test_a_pattern_of_several_shards_is_there_once_and_counters_add_up(make_index, encoder) -> None:
    maker = make_index()
    fill(maker)
    run(maker.directory, encoder)
    (state, _) = states(maker.directory)
    with state.shard.snapshot() as snapshot:
        texts = [snapshot.pattern(number) for number in range(state.counters.patterns)]
        digests = dict(snapshot.pattern_digests())
        positions = snapshot.positions()
    assert len(set(texts)) == len(texts) == len(digests)
    counters = state.counters
    assert (counters.events, counters.deleted, counters.dead_letters) == (120, 0, 3)
    assert (counters.labelsets, counters.oldest_ns, counters.newest_ns) == (3, 10**9, 120 * 10**9)
    assert isinstance(state.vectors, CodedVectors)
    assert counters.tokens == sum(block.tokens for block in state.vectors.coded.blocks)
    assert positions == [Position("file", "1:1", 10**6)]
    assert state.order is not None
    for number in range(counters.patterns):
        rows = np.flatnonzero(state.columns.patterns == number)
        assert state.rows_of(number).tolist() == rows.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_codebook_is_started_from_the_last_one_and_its_drift_is_told(
    make_index, encoder, bits: int
) -> None:
    maker = make_index()
    fill(maker, 1)
    (first,) = run(maker.directory, encoder, bits=bits)
    fill(maker, 1, first=1)
    (second,) = run(maker.directory, encoder, bits=bits)
    assert (first.codebook_version, first.drift, first.bits) == (1, 0.0, bits)
    assert (second.codebook_version, second.bits) == (2, bits)
    # Tokens that each had a centroid of their own make every other one look far away.
    assert 0 < second.drift <= 1
    assert first.mean_cosine > 0.8


def test_merging_again_and_again_loses_nothing_where_originals_are_kept(
    make_index, encoder
) -> None:
    maker = make_index()
    fill(maker, 1)
    fresh = vectors(maker.directory)
    reports = []
    for number in range(1, 4):
        reports += compact_directory(maker.directory, no_encoder, RULES)
        fill(maker, 1, first=number)
    reports += compact_directory(maker.directory, no_encoder, RULES)
    assert len(reports[-1].sources) == 4
    coded = vectors(maker.directory)
    for text, rows in fresh.items():
        cosines = (coded[text] * rows).sum(axis=1) / np.linalg.norm(rows, axis=1)
        assert cosines.min() > 0.9, text


def test_without_originals_the_text_is_encoded_again_and_codes_are_not(make_index, encoder) -> None:
    """Codes that are decoded and coded again by another codebook get worse each time."""
    maker = make_index()
    fresh: dict[str, np.ndarray] = {}
    for number in range(4):
        fill(maker, 1, first=number)
        fresh |= vectors(maker.directory)
        reports = run(maker.directory, encoder, originals_bytes_max=0)
    report = reports[-1]
    # The fourth was fresh, and so has its vectors.
    assert len(report.sources) == 4
    assert 0 < report.reencoded_patterns < report.patterns
    coded = vectors(maker.directory)
    assert coded.keys() == fresh.keys()
    for text, rows in fresh.items():
        cosines = (coded[text] * rows).sum(axis=1) / np.linalg.norm(rows, axis=1)
        assert cosines.mean() > 0.9, text
    assert not list((maker.path / "shards").rglob("*.spool"))


def test_deleted_events_leave_hollow_rows_and_take_their_patterns_with_them(
    make_index, encoder
) -> None:
    maker = make_index()
    fill(maker, 2)
    before = events(maker.directory)
    gone = {n for n, e in before.items() if e.labels == (("host", "gw1"),)}
    delete_events(maker.directory, [Condition("host", "=", "gw1")])
    (report,) = run(maker.directory, encoder)
    assert report.dropped_events == len(gone) == 26
    assert events(maker.directory) == {n: e for n, e in before.items() if n not in gone}
    manifest = read_manifest(maker.path)
    assert manifest is not None
    assert manifest.deletions == ()
    (state, _) = states(maker.directory)
    assert state.counters.deleted == 26
    assert state.deleted is not None
    rows = np.flatnonzero(state.deleted)
    assert (state.header.first_event + rows).tolist() == sorted(gone)
    assert not state.columns.times[rows].any()
    assert [labels for labels in state.labelsets if ("host", "gw1") in labels] == []
    with state.shard.snapshot() as snapshot:
        for number in gone:
            block = EventReader(snapshot, state).block(number)
            at = number - block.first
            assert (block.text(at), block.block.attributes[at]) == ("", [])
            assert block.origin(at) == ("", "")


def test_a_deletion_in_a_compacted_shard_keeps_its_codes_as_they_are(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 2)
    run(maker.directory, encoder)
    coded, before = vectors(maker.directory), events(maker.directory)
    delete_events(maker.directory, [], since_ns=10 * 10**9, until_ns=11 * 10**9)
    delete_events(maker.directory, [Condition("host", "=", "none")])
    (report,) = compact_directory(maker.directory, no_encoder, RULES)
    assert (report.dropped_events, report.reencoded_patterns) == (1, 0)
    assert events(maker.directory) == {n: e for n, e in before.items() if n != 9}
    kept = vectors(maker.directory)
    for text, rows in kept.items():
        assert (rows == coded[text]).all()
    assert maker.directory.manifest.deletions == ()


def test_a_deletion_that_reaches_nothing_is_not_kept_for_ever(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 1)
    run(maker.directory, encoder)
    delete_events(maker.directory, [Condition("host", "=", "none")])
    assert len(maker.directory.manifest.deletions) == 1
    assert run(maker.directory, encoder) == []
    assert maker.directory.manifest.deletions == ()


def test_a_deletion_that_comes_while_shards_are_described_is_not_lost(
    make_index, encoder, monkeypatch
) -> None:
    maker = make_index()
    fill(maker, 1)
    run(maker.directory, encoder)
    delete_events(maker.directory, [Condition("host", "=", "none")])
    real = compact_module.describe_shards

    def slowly(*arguments: object, **named: object):
        infos = real(*arguments, **named)
        delete_events(maker.directory, [Condition("host", "=", "gw0")])
        return infos

    with monkeypatch.context() as patch:
        patch.setattr(compact_module, "describe_shards", slowly)
        assert run(maker.directory, encoder) == []
    assert [deletion.number for deletion in maker.directory.manifest.deletions] == [2]
    (report,) = run(maker.directory, encoder)
    assert report.dropped_events == 14


def test_events_that_come_after_a_deletion_are_not_deleted(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 1, events=4)
    delete_events(maker.directory, [Condition("host", "=", "gw0")])
    fill(maker, 1, events=4)
    run(maker.directory, encoder)
    hosts = {n: e.labels[0][1] for n, e in events(maker.directory).items()}
    assert hosts == {1: "gw1", 2: "gw2", 4: "gw0", 5: "gw1", 6: "gw2", 7: "gw0"}


def test_expired_events_at_the_ends_are_trimmed_away(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 2)
    run(maker.directory, encoder)
    before = events(maker.directory)
    rules = CompactRules(write_bytes_per_s=0)
    (report,) = compact_directory(maker.directory, no_encoder, rules, expire_before_ns=51 * 10**9)
    assert report.dropped_events == 50
    state = states(maker.directory)[0]
    assert (state.header.first_event, state.counters.events, state.counters.deleted) == (50, 30, 0)
    assert events(maker.directory) == {n: e for n, e in before.items() if n >= 50}
    again = compact_directory(maker.directory, no_encoder, rules, expire_before_ns=51 * 10**9)
    assert again == []


def test_shards_with_a_gap_between_them_are_merged_with_hollow_rows(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 3)
    before = events(maker.directory)
    delete_events(maker.directory, [], since_ns=31 * 10**9, until_ns=51 * 10**9)
    for number in (1, 2):
        with maker.directory.compacting():
            job = compact_module.Job((number,))
            compact_module.compact(maker.directory, no_encoder, job, RULES)
    assert [s.header.first_event for s in maker.directory.shards] == [0, 50, 80, 120]
    numbers = maker.directory.manifest.numbers[:3]
    with maker.directory.compacting():
        compact_module.compact(maker.directory, no_encoder, compact_module.Job(numbers), RULES)
    assert events(maker.directory) == {n: e for n, e in before.items() if not 30 <= n < 50}
    assert states(maker.directory)[0].counters.deleted == 20


def test_when_everything_is_deleted_dead_letters_stay_and_without_them_nothing_does(
    make_index, encoder
) -> None:
    maker = make_index()
    fill(maker, 1)
    before = letters(maker.directory)
    for number in range(4):
        maker.add(maker.event(f"again {number}", labels=(("host", "gw0"),)))
    maker.appender.seal()
    maker.index_words()
    delete_events(maker.directory, [], since_ns=0)
    with maker.directory.compacting():
        for number in (1, 2):
            job = compact_module.Job((number,))
            compact_module.compact(maker.directory, no_encoder, job, RULES)
    assert len(maker.directory.shards) == 2
    assert letters(maker.directory) == before
    assert events(maker.directory) == {}
    maker.add("and on it goes")
    assert list(events(maker.directory)) == [44]


WRITTEN = (
    "put_patterns",
    "put_labelsets",
    "put_texts",
    "put_dead_letters",
    "put_vectors",
    "put_events",
    "finish",
    "put_words",
    "close",
)
#: What fails, and whether before or behind it; before a step is behind the one before.
STEPS: list[tuple[type, str, bool]] = [
    (Shard, "create", False),
    *[(Draft, name, False) for name in WRITTEN],
    (DataDirectory, "replace_shards", False),
    (DataDirectory, "replace_shards", True),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_compaction_that_fails_at_any_step_leaves_the_old_shards(
    make_index, encoder, monkeypatch, step: tuple[type, str, bool]
) -> None:
    owner, name, is_after = step
    maker = make_index()
    fill(maker, 2, events=6)
    before = events(maker.directory)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _failing(getattr(owner, name), is_after))
        with pytest.raises((OSError, StorageError), match="pulled the plug"):
            run(maker.directory, encoder)
    maker.directory.refresh()
    assert len(maker.directory.shards) == (2 if is_after else 3)
    assert events(maker.directory) == before
    assert len(run(maker.directory, encoder)) == (0 if is_after else 1)
    assert events(maker.directory) == before
    folders = sorted(path.name for path in (maker.path / "shards").iterdir())
    assert folders == [f"{number:06d}" for number in sorted(maker.directory.manifest.numbers)]


def _failing(real: Callable[..., object], is_after: bool) -> Callable[..., object]:
    def call(*arguments: object, **named: object) -> object:
        if is_after:
            real(*arguments, **named)
        raise OSError("somebody pulled the plug")

    return call


def test_a_stop_is_heard_between_two_steps(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 2, events=6)
    before = events(maker.directory)
    stop = threading.Event()
    steps: list[str] = []

    def on_progress(step: str, _done: int, _total: int) -> None:
        steps.append(step)
        if step == "codebook":
            stop.set()

    with pytest.raises(StoppedError):
        compact_directory(
            maker.directory, lambda: encoder, RULES, on_progress=on_progress, stop=stop
        )
    assert "codes" not in steps
    assert events(maker.directory) == before
    assert not list((maker.path / "shards").glob("*.draft"))


HOLDER = """
import sys
from pathlib import Path
from dejalog.indexer.store.directory import DataDirectory
with DataDirectory.open(Path(sys.argv[1]), is_writable=False) as directory:
    with directory.compacting():
        print("held", flush=True)
        sys.stdin.read()
"""


def test_a_second_compactor_is_told_of_the_first(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 1, events=2)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER, str(maker.path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirectoryError, match=f"process {holder.pid}"):
            run(maker.directory, encoder)
        holder.communicate("")
    assert len(run(maker.directory, encoder)) == 1


READER = """
import sys
from pathlib import Path
import numpy as np
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.view import ShardView
directory = DataDirectory.open(Path(sys.argv[1]), is_writable=False)
held = [ShardView(shard).refresh() for shard in directory.shards]
for line in sys.stdin:
    directory.refresh()
    new = [ShardView(shard).refresh() for shard in directory.shards]
    for states in (held, new):
        print(sum(int(np.count_nonzero(s.columns.kinds)) for s in states), len(states), flush=True)
"""


def test_a_reader_keeps_what_it_holds_while_shards_are_swapped(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 2, events=6)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", READER, str(maker.path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write("before\n")
        assert [reader.stdout.readline() for _ in "ab"] == ["12 3\n", "12 3\n"]
        run(maker.directory, encoder)
        delete_events(maker.directory, [], until_ns=3 * 10**9)
        run(maker.directory, encoder)
        reader.stdin.write("after\n")
        assert [reader.stdout.readline() for _ in "ab"] == ["12 3\n", "10 2\n"]
        reader.communicate("")


def test_a_damaged_source_is_named_and_not_handed_on(make_index, encoder) -> None:
    maker = make_index()
    fill(maker, 1)
    run(maker.directory, encoder)
    fill(maker, 1)
    path = maker.directory.shards[0].path / "data.mdb"
    with maker.directory.shards[0].snapshot() as snapshot:
        section = snapshot.section("times")
    # LMDB leaves earlier copies of a page behind, so every one is damaged.
    data = path.read_bytes()
    assert section in data
    path.write_bytes(data.replace(section, section[:-1] + bytes([section[-1] ^ 1])))
    with maker.directory.compacting(), pytest.raises(CorruptShardError, match="000003"):
        compact_module.compact(maker.directory, no_encoder, compact_module.Job((3, 2)), RULES)
    assert maker.directory.manifest.numbers == (3, 2, 4)


def test_a_full_disk_is_told_before_anything_is_written(make_index, encoder, monkeypatch) -> None:
    maker = make_index()
    fill(maker, 1, events=2)
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(compact_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="make room"):
        run(maker.directory, encoder)


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="bits"):
        CompactRules(bits=3)
    with pytest.raises(ConfigError, match="merge_factor"):
        CompactRules(merge_factor=1)
