"""Whatever happens between broker and index, each record is indexed once and in order.

The broker, the group and the pipeline are a model; the inbox, the tracking and the plan of starts
are the real ones. Fetches may be answered after what they were for has changed, handed out records
may be lost to a kill, partitions may be taken away and read by another worker in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dejalog.daemon.kafka.inbox import Inbox
from dejalog.daemon.kafka.places import PartitionNames, TopicPartition
from dejalog.daemon.kafka.rules import TopicRules
from dejalog.daemon.kafka.starts import Known, plan_start
from dejalog.daemon.kafka.tracking import Fetch, OutOfStepError, Tracking
from dejalog.indexer.event import Position, Record

LOGS = TopicPartition("logs", 0)
KEY = ("kafka:logs", "0")


@dataclass(frozen=True)
class Given:
    offset: int
    value: bytes | None = b"text"
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None


@dataclass
class Worker:
    """A process: what is lost when it is killed."""

    tracking: Tracking = field(default_factory=lambda: Tracking(TopicRules([]), PartitionNames()))
    inbox: Inbox = field(default_factory=lambda: Inbox(1 << 20, on_change=lambda: None))
    fetch_position: int = -1
    fetched: tuple[int, Fetch] | None = None
    batch: list[Record] = field(default_factory=list)
    guard: int = 0
    claimed: int | None = None


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.end = 0
        self.beginning = 0
        self.committed: int | None = None
        self.stored: int | None = None
        self.indexed: list[int] = []
        self.elsewhere: list[int] = []
        self.gone: list[range] = []
        self.worker = Worker()

    @rule(count=st.integers(1, 5), hole=st.integers(0, 2))
    def produce(self, count: int, hole: int) -> None:
        """A hole is a transaction's marker, or a record that compaction took."""
        self.log += range(self.end, self.end + count)
        self.end += count + hole

    @rule(share=st.integers(0, 5))
    def expire(self, share: int) -> None:
        self.beginning = min(self.end, self.beginning + share)

    @rule()
    def assign(self) -> None:
        """A rebalance ends, and the consumer seeks."""
        inbox = self.worker.inbox
        is_quiet = inbox.reached().get(KEY, 0) <= inbox.stored().get(KEY, 0)
        reached = inbox.reached().get(KEY, self.stored)
        planned = self.begin(Known(reached, self.committed, self.beginning, self.end))
        if is_quiet:
            self.worker.claimed = planned

    @precondition(lambda self: self.worker.fetch_position >= 0 and self.worker.fetched is None)
    @rule(count=st.integers(1, 4))
    def fetch(self, count: int) -> None:
        """As aiokafka does: a position that is gone moves to the beginning without a word."""
        start = self.worker.fetch_position
        at = max(start, self.beginning)
        given = [Given(offset) for offset in self.log if offset >= at][:count]
        is_last = not given or given[-1].offset == self.log[-1]
        end = self.end if is_last else given[-1].offset + 1
        self.worker.fetched = (self.worker.tracking.epoch, Fetch(start, end, given))
        self.worker.fetch_position = end

    @precondition(lambda self: self.worker.fetched is not None)
    @rule()
    def lose_the_answer(self) -> None:
        """A rebalance has cancelled whoever waited for it; the position has moved on."""
        self.worker.fetched = None

    @precondition(lambda self: self.worker.fetched is not None)
    @rule()
    def answer(self) -> None:
        assert self.worker.fetched is not None
        epoch, fetch = self.worker.fetched
        self.worker.fetched = None
        tracking = self.worker.tracking
        if epoch != tracking.epoch:
            return
        is_sound = not fetch.begins_with_a_hole or self.beginning <= fetch.start
        try:
            if not is_sound:
                raise OutOfStepError
            self.worker.inbox.put(tracking.accept({LOGS: fetch}, 1))
        except OutOfStepError:
            stored = tracking.next_offsets()[LOGS]
            self.begin(Known(stored, self.committed, self.beginning, self.end))

    def begin(self, known: Known) -> int:
        start = plan_start(known, "earliest")
        assert not start.fault
        self.worker.inbox.put(self.worker.tracking.begin({LOGS: start}))
        self.worker.fetch_position = start.offset
        return start.expected

    @rule(count=st.integers(1, 4))
    def hand_out(self, count: int) -> None:
        polled = self.worker.inbox.poll(records_max=count, bytes_max=1 << 20, timeout_s=0)
        self.worker.batch += polled

    @rule()
    def store(self) -> None:
        """The pipeline's guard and its one transaction."""
        worker = self.worker
        for record in worker.batch:
            if record.offset < max(worker.guard, self.stored or 0):
                continue
            if record.is_void:
                pass
            elif record.fault:
                self.gone.append(range(record.offset, record.next_offset))
            else:
                self.indexed.append(record.offset)
            worker.guard = record.next_offset
        if worker.batch:
            self.stored = worker.guard
            worker.inbox.ack([Position(*KEY, worker.guard)])
        worker.batch = []

    @rule()
    def commit(self) -> None:
        """What is stored, or where the assignment began: a gap there is not durable yet."""
        stored = self.worker.inbox.stored().get(KEY, 0)
        if self.worker.claimed is not None:
            self.committed = max(stored, self.worker.claimed)

    @rule(count=st.integers(0, 5))
    def move_away(self, count: int) -> None:
        """Partitions are taken away; another worker reads a while, and they come back."""
        worker = self.worker
        worker.tracking.revoke()
        worker.inbox.discard({KEY})
        worker.fetch_position = -1
        self.store()  # What was handed out is stored before the partition is given up,
        assert worker.inbox.under_way([KEY]) == []
        self.commit()  # and told to the group.
        known = Known(None, self.committed, self.beginning, self.end)
        start = plan_start(known, "earliest")
        read = [offset for offset in self.log if offset >= start.offset][:count]
        if start.offset > start.expected and read:
            self.gone.append(range(start.expected, start.offset))
        if read:
            self.elsewhere += read
            self.committed = read[-1] + 1

    @rule()
    def kill(self) -> None:
        self.worker = Worker(guard=self.stored or 0)

    @invariant()
    def each_record_is_in_one_index_and_in_order(self) -> None:
        assert self.indexed == sorted(set(self.indexed))
        assert not set(self.indexed) & set(self.elsewhere)

    def teardown(self) -> None:
        """In the end the same worker reads everything still in the log, though nothing new comes;
        and what is missing was told.
        """
        if self.worker.fetch_position < 0:
            self.assign()
        for _ in range(2 + self.end):
            if self.worker.fetched is None:
                self.fetch(4)
            self.answer()
        self.hand_out(10_000)
        self.store()
        told = {offset for gap in self.gone for offset in gap}
        first = self.beginning
        missing = set(self.log) - set(self.indexed) - set(self.elsewhere)
        assert {offset for offset in missing if offset >= first} == set()
        # A partition that nobody had ever read has no gap: nobody was to know of it.
        if self.stored is not None or self.committed is not None:
            known_from = min([*self.indexed, *self.elsewhere, *told], default=self.end)
            assert {offset for offset in missing if offset >= known_from} <= told


Delivery.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestDelivery = Delivery.TestCase
