from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from dejalog.indexer import retry as retry_module
from dejalog.indexer.append import Appender, Batch
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.dead_letters import Mark, read_mark, select_letters
from dejalog.indexer.decode import Decoder, DecodeSettings
from dejalog.indexer.errors import StorageError
from dejalog.indexer.event import DeadLetter, Event, Position, Record
from dejalog.indexer.letters import LetterFilter, RetryReport
from dejalog.indexer.retry import decode_again, retry_letters
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import open_block
from dejalog.indexer.verify import verify

#: What a gateway had set when its letters came to be, and what it has now.
STRICT = Decoder(DecodeSettings(encoding="json"))
LENIENT = Decoder(DecodeSettings())


def record(data: bytes, offset: int = 0) -> Record:
    return Record("kafka:logs", "3", offset, offset + 1, data, 10**18)


def again(letter: DeadLetter) -> Record:
    return record(letter.data, letter.offset)


def refuse(maker, *lines: bytes, decoder: Decoder = STRICT) -> None:
    """Commits lines as a source would, whatever comes of each."""
    letters: list[DeadLetter] = []
    for offset, line in enumerate(lines):
        decoded = decoder.decode(record(line, offset))
        assert not decoded.events
        letters += decoded.dead_letters
    maker.appender.append(Batch([], letters, [Position("kafka:logs", "3", len(lines))]))


def retry(maker, decoder: Decoder = LENIENT, **options) -> RetryReport:
    letters = select_letters(maker.directory, LetterFilter())
    return retry_letters(maker.appender, letters, again, decoder, **options)


def events(directory: DataDirectory) -> Iterator[tuple[int, int, str]]:
    """Offset, part and text of every event that is stored."""
    for shard in directory.shards:
        with shard.snapshot() as snapshot:
            for first, block in snapshot.texts_from(shard.header.first_event):
                opened = open_block(first, block)
                for row in range(len(opened)):
                    yield int(opened.offsets[row]), int(opened.subs[row]), opened.text(row)


def letter_count(directory: DataDirectory) -> int:
    return sum(1 for _ in select_letters(directory, LetterFilter()))


def test_a_letter_becomes_the_event_of_its_record_once_the_settings_fit(make_index) -> None:
    maker = make_index()
    refuse(maker, b"pump P-101 tripped", b"valve V-7 stuck")
    assert retry(maker, STRICT) == RetryReport(still_dead=2)
    assert retry(maker) == RetryReport(retried=2, events=2)
    assert list(events(maker.directory)) == [
        (0, 0, "pump P-101 tripped"),
        (1, 0, "valve V-7 stuck"),
    ]
    assert letter_count(maker.directory) == 2
    position = next(p for p in maker.appender.positions() if p.source == "kafka:logs")
    assert position == Position("kafka:logs", "3", 2)


def test_a_second_retry_finds_nothing_left_to_do(make_index) -> None:
    maker = make_index()
    refuse(maker, b"pump P-101 tripped", b"\xff\xfe", b"valve V-7 stuck")
    assert retry(maker) == RetryReport(retried=2, events=2, still_dead=1)
    maker.appender.seal()
    assert retry(maker) == RetryReport(still_dead=1, resolved=2)
    assert len(list(events(maker.directory))) == 2
    assert read_mark(maker.directory) == Mark().add([0, 2])


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_whatever_commit_fails_another_retry_makes_each_event_once(
    make_index, monkeypatch, batch: int
) -> None:
    """The events and the mark that they were made are one transaction, or neither is there."""
    monkeypatch.setattr(retry_module, "BATCH_LETTERS", batch)
    maker = make_index()
    lines = [f"pump P-{n} tripped".encode() for n in range(7)]
    refuse(maker, *lines)
    commits = 0

    def fail_at(number: int) -> Callable[[], None]:
        def check() -> None:
            nonlocal commits
            commits += 1
            if commits == number:
                raise StorageError("the disk is full")

        return check

    for number in (1, 2, 3):
        commits = 0
        try:
            retry(maker, before_commit=fail_at(number))
        except StorageError:
            marked = {n for n in range(7) if n in read_mark(maker.directory).resolved}
            assert {offset for offset, _, _ in events(maker.directory)} == marked
    retry(maker)
    assert sorted(offset for offset, _, _ in events(maker.directory)) == list(range(7))


def test_a_failed_transaction_leaves_neither_events_nor_mark(make_index, monkeypatch) -> None:
    maker = make_index()
    refuse(maker, b"pump P-101 tripped")
    monkeypatch.setattr(
        "dejalog.indexer.store.transaction.ShardWrite.put_positions", _no_room, raising=True
    )
    with pytest.raises(OSError, match="no room"):
        retry(maker)
    monkeypatch.undo()
    assert list(events(maker.directory)) == []
    assert read_mark(maker.directory) == Mark()
    assert retry(maker) == RetryReport(retried=1, events=1)


def _no_room(*_: object) -> None:
    raise OSError("no room")


def test_what_was_dealt_with_stays_so_through_restart_and_compaction(make_index, encoder) -> None:
    maker = make_index()
    refuse(maker, b"pump P-101 tripped", b"\xff")
    retry(maker)
    maker.appender.seal()
    maker.index_words()
    compact_directory(maker.directory, lambda: encoder, CompactRules(write_bytes_per_s=0))
    maker.directory.close()
    with DataDirectory.open(maker.path, is_writable=True) as directory:
        letters = select_letters(directory, LetterFilter())
        report = retry_letters(Appender(directory, encoder), letters, again, LENIENT)
        assert report == RetryReport(still_dead=1, resolved=1)


def test_a_cut_letter_is_not_decoded(make_index) -> None:
    """Its first bytes would make an event that nobody wrote."""
    maker = make_index()
    small = Decoder(DecodeSettings(record_bytes_max=20, dead_letter_bytes_max=10))
    refuse(maker, b"pump P-101 tripped on overload", decoder=small)
    assert retry(maker) == RetryReport(cut=1)
    assert list(events(maker.directory)) == []


def test_several_events_of_one_letter_have_places_of_their_own(make_index) -> None:
    maker = make_index()
    refuse(maker, b'[{"msg":"a"},{"msg":"b"},{"msg":"c"}]', decoder=Decoder(
        DecodeSettings(encoding="otlp_proto")))  # fmt: skip
    assert retry(maker) == RetryReport(retried=1, events=3)
    assert list(events(maker.directory)) == [
        (0, 0, "a"), (0, (1 << 16) + 1, "b"), (0, (1 << 16) + 2, "c"),
    ]  # fmt: skip


def test_parts_of_one_record_never_get_the_place_of_another_part(make_index) -> None:
    lines = b'not json\n{"msg":"good"}\n[{"msg":"x"},{"msg":"y"}] z\n{"msg":"last"}'
    decoded = STRICT.decode(record(lines))
    subs = [each.sub for each in (*decoded.events, *decoded.dead_letters)]
    for letter in decoded.dead_letters:
        found = decode_again(letter, again(letter), LENIENT)
        assert found.events[0].sub == letter.sub
        subs += [each.sub for each in (*found.events, *found.dead_letters) if each.sub not in subs]
        for other in found.events[1:]:
            assert other.sub >> 16 == letter.sub + 1
    assert len(subs) == len(set(subs))


def test_what_still_cannot_be_decoded_of_a_letter_is_a_letter_of_its_own(make_index) -> None:
    maker = make_index()
    data = b'{"msg":"pump on"}\n{"msg":\n{"msg":"pump off"}'
    refuse(maker, data, decoder=Decoder(DecodeSettings(encoding="otlp_proto")))
    assert retry(maker, STRICT) == RetryReport(retried=1, events=2, new_dead_letters=1)
    kept = [each for _, each in select_letters(maker.directory, LetterFilter())]
    assert [(each.reason, each.sub) for each in kept] == [
        ("bad-otlp", 0), ("bad-json", (1 << 16) + 1),
    ]  # fmt: skip
    assert kept[1].data == b'{"msg":'
    assert retry(maker) == RetryReport(retried=1, events=1, resolved=1)


def test_a_record_with_too_many_events_gives_the_rest_and_none_twice(make_index) -> None:
    data = json.dumps([{"msg": f"event {n}"} for n in range(7)]).encode()

    def bounded(count: int) -> Decoder:
        return Decoder(DecodeSettings(events_per_record_max=count))

    decoded = bounded(3).decode(record(data))
    (letter,) = decoded.dead_letters
    found = [event.text for event in decoded.events]

    def more(bound: int) -> tuple[list[str], list[int]]:
        rest = decode_again(letter, again(letter), bounded(bound))
        return [event.text for event in rest.events], [each.sub for each in rest.dead_letters]

    assert more(3) == ([], [3])
    assert more(2) == ([], [])
    assert more(5) == (["event 3", "event 4"], [5])
    assert more(9) == (["event 3", "event 4", "event 5", "event 6"], [])
    assert found + more(9)[0] == [f"event {n}" for n in range(7)]


def test_nothing_is_stored_without_an_appender(make_index) -> None:
    maker = make_index()
    refuse(maker, b"pump P-101 tripped", b"\xff", b"valve V-7 stuck")
    letters = select_letters(maker.directory, LetterFilter())
    report = retry_letters(None, letters, again, LENIENT, mark=Mark().add([2]))
    assert report == RetryReport(retried=1, events=1, still_dead=1, resolved=1)
    assert list(events(maker.directory)) == []
    assert read_mark(maker.directory) == Mark()


def test_a_stop_keeps_what_was_decoded_and_says_that_it_is_not_all(make_index) -> None:
    maker = make_index()
    refuse(maker, *(b"pump P-%d tripped" % n for n in range(5)))
    asked = iter([False, False, True])
    report = retry(maker, is_stopped=lambda: next(asked))
    assert report == RetryReport(retried=2, events=2, is_complete=False)
    assert retry(maker) == RetryReport(retried=3, events=3, resolved=2)


@pytest.mark.parametrize(
    ("bound", "value"), [("BATCH_LETTERS", 2), ("BATCH_BYTES", 30), ("BATCH_EVENTS", 2)]
)
def test_transactions_are_bounded(make_index, monkeypatch, bound: str, value: int) -> None:
    monkeypatch.setattr(retry_module, bound, value)
    maker = make_index()
    refuse(maker, *(b"pump P-%d tripped" % n for n in range(6)))
    commits: list[int] = []
    retry(maker, on_commit=lambda: commits.append(len(list(events(maker.directory)))))
    assert commits == [2, 4, 6]


def test_numbers_of_letters_that_are_gone_leave_the_mark(make_index) -> None:
    maker = make_index()
    refuse(maker, b"pump P-101 tripped")
    retry(maker)
    maker.appender.seal()
    refuse(maker, b"valve V-7 stuck")
    with maker.directory.compacting():
        maker.directory.replace_shards((1,), None)
    retry(maker, keep_from=1)
    assert read_mark(maker.directory) == Mark(Mark().add([1]).resolved, 2)


def test_an_index_with_retried_letters_is_sound(make_index) -> None:
    maker = make_index()
    data = b'{"msg":"pump on"}\n{"msg":\n{"msg":"pump off"}'
    refuse(maker, data, b"\xff", decoder=Decoder(DecodeSettings(encoding="otlp_proto")))
    retry(maker, STRICT)
    retry(maker)
    maker.index_words()
    report = verify(maker.directory, is_quiet=True)
    assert (report.events, report.dead_letters) == (3, 3)
    assert not report.problems


def test_an_event_is_what_its_record_would_have_given(make_index) -> None:
    line = b'{"msg":"pump tripped","host":"gw7","time":"2024-05-02T10:15:00Z"}'
    letter = Decoder(DecodeSettings(encoding="otlp_proto")).decode(record(line, 9)).dead_letters[0]
    (event,) = decode_again(letter, again(letter), LENIENT).events
    assert isinstance(event, Event)
    assert event == LENIENT.decode(record(line, 9)).events[0]
