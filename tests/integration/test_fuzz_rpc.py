"""A real daemon, treated as badly as a network allows, goes on as if nothing had happened.

The seed is printed; DEJALOG_SEED repeats it. `python -m bench.fuzz` is the long form.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from . import fuzz_calls as calls
from .fuzz_daemon import GRACE_S, Daemon, running
from .fuzz_messages import methods
from .fuzz_world import World, seed

#: One daemon bears it all, in this order.
pytestmark = pytest.mark.xdist_group("fuzz-rpc")

#: What is left behind: caches, threads' stacks, what was stored, and most of all what the C
#: library keeps of freed messages of 16 MiB. Round after round of those it stays at 1.1 GiB.
GROWTH_MIB_MAX = 1_500
WILD_TIME_S = 8.0


class Victim:
    """The daemon, and how it was before."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.answers = daemon.answers()
        self.memory_mib = daemon.memory_mib()

    def check(self) -> None:
        """It is the same process, gives the same answers, is no larger, and has not complained."""
        assert self.daemon.process.poll() is None, self.daemon.messages()
        assert self.daemon.answers() == self.answers
        assert self.daemon.memory_mib() < self.memory_mib + GROWTH_MIB_MAX
        assert "Traceback" not in self.daemon.messages(), self.daemon.messages()


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    world = World.make(tmp_path_factory.mktemp("rpc") / "world")
    with running(world) as daemon:
        yield Victim(daemon)


@pytest.fixture
def random_() -> random.Random:
    return random.Random(seed())


def test_every_method_of_the_contract_is_called() -> None:
    assert {each.path.split("/")[1] for each in methods()} == {
        "dejalog.v1.SearchService",
        "dejalog.v1.IngestService",
        "dejalog.v1.AdminService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "opentelemetry.proto.collector.logs.v1.LogsService",
    }


def test_wild_requests_get_answers_of_documented_codes(
    victim: Victim, random_: random.Random
) -> None:
    tally = calls.Tally()
    ends_at = time.monotonic() + WILD_TIME_S
    calls.wild_requests(victim.daemon, random_, tally, ends_at=ends_at)
    assert tally.wrong == []
    assert {"OK", "INVALID_ARGUMENT"} <= set(tally.by_code()), tally.by_code()
    victim.check()


def test_messages_beyond_the_bound_are_refused_by_every_method(
    victim: Victim, random_: random.Random
) -> None:
    tally = calls.Tally()
    calls.large_requests(victim.daemon, random_, tally)
    assert tally.wrong == []
    assert tally.by_code()["RESOURCE_EXHAUSTED"] >= len(methods())
    victim.check()


def test_calls_that_are_cancelled_on_the_way_leave_nothing(
    victim: Victim, random_: random.Random
) -> None:
    calls.cancelled_calls(victim.daemon, random_, calls.Tally(), 150)
    victim.check()


def test_noise_and_silence_on_hundreds_of_connections_keep_nobody_out(
    victim: Victim, random_: random.Random
) -> None:
    with ExitStack() as stack:
        calls.noise(victim.daemon, random_, stack, 150)
        calls.idle_connections(victim.daemon, stack, 200)
        slow = calls.slow_calls(victim.daemon, random_, stack)
        for _ in range(10):
            for call in slow:
                call.step()
            victim.check()
    victim.check()


def test_those_who_follow_and_never_read_hold_up_nobody(
    victim: Victim, random_: random.Random
) -> None:
    with ExitStack() as stack:
        calls.unread_follows(victim.daemon, stack, 20)
        # 20 clients times 20 MB would be more than may be held for all of them.
        assert calls.append(victim.daemon, 400, 50_000) == 400
        victim.check()
    victim.check()


def test_it_stops_in_time_while_all_that_goes_on(victim: Victim, random_: random.Random) -> None:
    with ExitStack() as stack:
        calls.noise(victim.daemon, random_, stack, 30)
        calls.idle_connections(victim.daemon, stack, 50)
        calls.slow_calls(victim.daemon, random_, stack)
        calls.unread_follows(victim.daemon, stack, 10)
        victim.check()
        code, seconds = victim.daemon.stop()
    assert code == 0, victim.daemon.messages()
    # The grace is given once to the calls and once to the searches; the rest is a slow machine's.
    assert seconds < 2 * GRACE_S + 20
    assert "Traceback" not in victim.daemon.messages(), victim.daemon.messages()
