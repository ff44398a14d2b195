"""Dead letters -> events, once the settings have changed: each exactly once.

1. A letter's bytes are decoded with the present settings; without an event it stays as it is.
2. The events go into one transaction with the mark that their letters are dealt with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.dead_letters import Mark, is_cut
from dejalog.indexer.decode import Decoder
from dejalog.indexer.event import DeadLetter, Decoded, Event, Record
from dejalog.indexer.letters import RetryReport
from dejalog.indexer.mask import mask_pattern

#: One transaction of a retry, like one of ingest: what it holds is in memory at once.
BATCH_LETTERS: Final = 1_000
BATCH_BYTES: Final = 8 << 20
BATCH_EVENTS: Final = 8_192

#: The reason of a letter that stands for the end of a record whose beginning became events.
_TOO_MANY: Final = "too-many-events"
#: Where the parts of one letter are numbered: behind every part that its record can have had.
_PART_BITS: Final = 16
_SUB_MAX: Final = 2**32 - 1


def decode_again(letter: DeadLetter, record: Record, decoder: Decoder) -> Decoded:
    """Returns what a letter's bytes are now; without events it stays the letter that it is.

    Its first part keeps the letter's `sub`. A letter can be a part of a record, so its further
    parts are numbered from (sub + 1) * 65,536 on, where nothing else is. A letter for the end of a
    record with too many events gives just the events behind the ones that were kept.
    """
    decoded = decoder.decode(record)
    if letter.reason == _TOO_MANY:
        if letter.sub >> _PART_BITS:
            return Decoded()
        return Decoded(
            tuple(each for each in decoded.events if each.sub >= letter.sub),
            tuple(each for each in decoded.dead_letters if each.sub >= letter.sub),
        )
    last = len(decoded.events) + len(decoded.dead_letters) - 1
    if last >> _PART_BITS or (last and _part(letter.sub, last) > _SUB_MAX):
        return Decoded()
    return Decoded(
        tuple(_renumbered(event, letter.sub) for event in decoded.events),
        tuple(replace(each, sub=_part(letter.sub, each.sub)) for each in decoded.dead_letters),
    )


def _renumbered(event: Event, sub: int) -> Event:
    part = _part(sub, event.sub)
    return event if part == event.sub else replace(event, sub=part)


def _part(sub: int, index: int) -> int:
    return sub if index == 0 else ((sub + 1) << _PART_BITS) + index


@dataclass(slots=True)
class _Pending:
    """What goes into the next transaction."""

    numbers: list[int] = field(default_factory=list)
    events: list[PreparedEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return (
            len(self.numbers) >= BATCH_LETTERS
            or self.size_bytes >= BATCH_BYTES
            or len(self.events) >= BATCH_EVENTS
        )


def retry_letters(
    appender: Appender | None,
    letters: Iterable[tuple[int, DeadLetter]],
    make_record: Callable[[DeadLetter], Record],
    decoder: Decoder,
    *,
    mark: Mark | None = None,
    keep_from: int = 0,
    is_stopped: Callable[[], bool] = lambda: False,
    before_commit: Callable[[], None] = lambda: None,
    on_commit: Callable[[], None] = lambda: None,
) -> RetryReport:
    """Decodes letters again and stores the events, each batch with its mark in one transaction.

    Without an appender it only says what would come of it; `mark` then says what was dealt with.
    One retry at a time: two would both find a letter unmarked. Numbers below `keep_from` leave the
    mark. `before_commit` may raise, and nothing of its batch is stored. Raises StorageError.
    """
    if appender is not None:
        mark = Mark.among(appender.positions())
    run = _Run(appender, mark or Mark(), keep_from, before_commit, on_commit)
    for number, letter in letters:
        if is_stopped():
            run.report = replace(run.report, is_complete=False)
            break
        run.take(number, letter, make_record, decoder)
    run.commit()
    return run.report


class _Run:
    """One retry; `report` counts what is stored, and with it what is not to be."""

    def __init__(
        self,
        appender: Appender | None,
        mark: Mark,
        keep_from: int,
        before_commit: Callable[[], None],
        on_commit: Callable[[], None],
    ) -> None:
        self._appender = appender
        self._mark = mark
        self._keep_from = keep_from
        self._before_commit = before_commit
        self._on_commit = on_commit
        self._pending = _Pending()
        self.report = RetryReport()

    def take(
        self,
        number: int,
        letter: DeadLetter,
        make_record: Callable[[DeadLetter], Record],
        decoder: Decoder,
    ) -> None:
        report, pending = self.report, self._pending
        if number in self._mark.resolved:
            self.report = replace(report, resolved=report.resolved + 1)
            return
        if is_cut(letter):
            self.report = replace(report, cut=report.cut + 1)
            return
        decoded = decode_again(letter, make_record(letter), decoder)
        if not decoded.events:
            self.report = replace(report, still_dead=report.still_dead + 1)
            return
        pending.numbers.append(number)
        pending.size_bytes += len(letter.data)
        pending.dead_letters += decoded.dead_letters
        for event in decoded.events:
            pending.events.append(PreparedEvent(event, mask_pattern(event.text)[0]))
        if pending.is_full:
            self.commit()

    def commit(self) -> None:
        pending, self._pending = self._pending, _Pending()
        if not pending.numbers:
            return
        mark = self._mark.add(pending.numbers, keep_from=self._keep_from)
        if self._appender is not None:
            self._before_commit()
            batch = Batch(pending.events, pending.dead_letters, [mark.position()])
            self._appender.append(batch)
            self._on_commit()
        self._mark = mark
        report = self.report
        self.report = replace(
            report,
            retried=report.retried + len(pending.numbers),
            events=report.events + len(pending.events),
            new_dead_letters=report.new_dead_letters + len(pending.dead_letters),
        )
