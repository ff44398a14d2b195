from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.daemon.kafka.replay import Pacer, Window, choose_partition

# kafka-python reads its own files through a function that Python 3.11 to 3.12 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

RATES = st.floats(0.1, 100_000)


def times(pacer: Pacer, records: int, delays_s: Sequence[float] = ()) -> list[float]:
    """When records go, on a clock that stands still but for waits and the given delays."""
    now_s = 1000.0
    went: list[float] = []
    for number in range(records):
        now_s += pacer.wait_s(now_s)
        went.append(now_s)
        now_s += delays_s[number] if number < len(delays_s) else 0.0
    return went


@given(RATES, st.integers(2, 300))
def test_records_are_spread_evenly(rate: float, records: int) -> None:
    went = times(Pacer(rate, start_s=1000.0), records)
    assert went[0] == 1000.0
    for before, after in pairwise(went):
        assert after - before == pytest.approx(1 / rate, rel=1e-6, abs=1e-9)


@given(RATES, st.lists(st.floats(0, 0.5), min_size=1, max_size=50))
def test_a_pause_is_not_followed_by_a_flood(rate: float, delays_s: list[float]) -> None:
    burst_s = 0.05
    went = times(Pacer(rate, start_s=1000.0, burst_s=burst_s), 200, delays_s)
    for start, begin_s in enumerate(went):
        for end in range(start, len(went)):
            allowed = 1 + (went[end] - begin_s + burst_s) * rate
            assert end - start + 1 <= allowed + 1e-3


@given(RATES)
def test_who_is_a_little_late_makes_up_for_it(rate: float) -> None:
    # Each record is sent late by less than a burst; the last one is due when it always was.
    late_s = min(0.04, 0.9 / rate)
    went = times(Pacer(rate, start_s=1000.0), 50, [late_s] * 49)
    assert went[-1] == pytest.approx(1000.0 + 49 / rate, rel=1e-6)


def test_without_a_rate_nothing_waits() -> None:
    pacer = Pacer(0.0, start_s=5.0)
    assert [pacer.wait_s(now_s) for now_s in (5.0, 4.0, 5.0)] == [0.0, 0.0, 0.0]


@given(st.integers(1, 12), st.integers(1, 500))
def test_without_a_key_partitions_take_turns(partitions: int, records: int) -> None:
    chosen = Counter(choose_partition(n, None, range(partitions)) for n in range(records))
    counts = [chosen[number] for number in range(partitions)]
    assert max(counts) - min(counts) <= 1


# The first key imports the library.
@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000), st.binary(max_size=40), st.integers(1, 12))
def test_a_key_always_has_the_same_partition(a: int, b: int, key: bytes, partitions: int) -> None:
    chosen = choose_partition(a, key, range(partitions))
    assert chosen == choose_partition(b, key, range(partitions))
    assert chosen in range(partitions)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"abc", 479470107),
        (b"a-little-bit-long-string", -985981536),
    ],
)
def test_keys_go_where_the_java_client_sends_them(key: bytes, hashed: int) -> None:
    # Hashes from Kafka's own UtilsTest.testMurmur2.
    for partitions in (1, 3, 8, 50):
        assert choose_partition(0, key, range(partitions)) == (hashed & 0x7FFFFFFF) % partitions


class Answer:
    """The future of one record, answered by the test."""

    def __init__(self) -> None:
        self.is_done = False
        self.exception: BaseException | None = None

    def answer(self, exception: BaseException | None = None) -> None:
        self.is_done, self.exception = True, exception

    def succeeded(self) -> bool:
        return self.is_done and self.exception is None


def test_what_is_on_its_way_is_bounded_in_records_and_in_bytes() -> None:
    for window, size_bytes in ((Window(records_max=3), 1), (Window(bytes_max=30), 10)):
        answers = [Answer() for _ in range(3)]
        for answer in answers:
            assert not window.is_full
            window.add(answer, size_bytes)
        assert window.is_full
        answers[0].answer()
        window.settle()
        assert not window.is_full
        assert (window.records, window.size_bytes) == (1, size_bytes)


def test_only_what_is_acknowledged_counts_and_the_first_failure_is_kept() -> None:
    window = Window()
    answers = [Answer() for _ in range(5)]
    for answer in answers:
        window.add(answer, 10)
    first = OSError("first")
    answers[0].answer()
    answers[1].answer(first)
    answers[2].answer(OSError("second"))
    answers[4].answer()
    window.settle()
    assert (window.records, window.failure) == (1, first)
    answers[3].answer()
    window.settle()
    assert (window.records, window.size_bytes, window.failure) == (3, 30, first)
