from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dejalog.client import FollowUpdate, RemoteError
from dejalog.daemon import watching
from dejalog.daemon.watching import LocalWatch, RemoteWatch, last_matches, start_of
from dejalog.indexer.append import ShardLimits
from dejalog.indexer.request import FollowRequest


@pytest.fixture
def maker(make_index, monkeypatch):
    """Thirty events, every third of a pump, a second apart; windows small enough to be several."""
    monkeypatch.setattr(watching, "_WINDOW_EVENTS", 4)
    monkeypatch.setattr(watching, "_WINDOW_GROWTH", 2)
    made = make_index(ShardLimits(events_max=7))
    for n in range(30):
        made.add(f"pump number {n}" if n % 3 == 0 else f"fan number {n}", is_indexed=False)
    return made


@pytest.fixture
def searcher(maker):
    made = maker.searcher()
    yield made
    made.close()


def numbers(matches) -> list[int]:
    return [match.occurrence.event_id for match in matches]


@pytest.mark.parametrize("wanted", [1, 3, 10, 99])
def test_the_last_matches_come_oldest_first(searcher, wanted: int) -> None:
    watch = LocalWatch(searcher, FollowRequest('"pump"'))
    assert watch.newest() == 29
    every = list(range(0, 30, 3))
    assert numbers(last_matches(watch, 29, wanted)) == every[-wanted:]
    assert numbers(last_matches(watch, 14, wanted)) == every[:5][-wanted:]


def test_a_time_leads_to_an_event_before_all_later_matches(maker, searcher) -> None:
    watch = LocalWatch(searcher, FollowRequest('"pump"'))
    for event_id in range(30):
        start = start_of(watch, 29, (event_id + 1) * 10**9)
        assert start < event_id
    assert start_of(watch, 29, 0) == -1


def test_an_empty_index_has_no_last_match(make_index) -> None:
    searcher = make_index().searcher()
    watch = LocalWatch(searcher, FollowRequest(""))
    assert last_matches(watch, watch.newest(), 5) == []
    assert start_of(watch, -1, 0) == -1
    searcher.close()


def test_what_another_process_adds_is_seen(maker, searcher) -> None:
    watch = LocalWatch(searcher, FollowRequest('"pump"'), interval_s=0.01)
    updates = watch.updates(29)
    timer = threading.Timer(0.05, maker.add, ["fan", "pump late"], {"is_indexed": False})
    timer.start()
    assert numbers(next(updates).matches) == [31]
    timer.join()


def test_new_patterns_alone_are_seen(maker, searcher) -> None:
    maker.add("pump number 0", "pump anew", is_indexed=False)
    watch = LocalWatch(searcher, FollowRequest('"pump"'), is_new=True)
    assert numbers(last_matches(watch, 31, 1)) == [31]


class Daemon:
    """Follows by a script: an update is given, an error raised; what was asked is kept."""

    def __init__(self, *script: FollowUpdate | Exception) -> None:
        self.script = list(script)
        self.asked: list[int | None] = []

    def follow(self, request: FollowRequest) -> Iterator[FollowUpdate]:
        self.asked.append(request.after_event_id)
        while self.script:
            step = self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            yield step


def away() -> RemoteError:
    return RemoteError("no daemon answers", code="UNAVAILABLE", retry_after_s=0.001)


def test_a_daemon_that_went_away_is_waited_for_and_nothing_is_missed() -> None:
    daemon = Daemon(FollowUpdate((), 5), away(), away(), FollowUpdate((), 9))
    said: list[str] = []
    watch = RemoteWatch(daemon, FollowRequest(""), say=said.append, away_s=(0.001, 0.002))
    updates = watch.updates(3)
    assert next(updates).last_event_id == 5
    assert next(updates).last_event_id == 9
    assert daemon.asked == [3, 5, 5]
    assert said == [
        "no daemon answers; trying again until it is there",
        "the daemon is back; no event was missed",
    ]


def test_a_refused_question_is_not_asked_again() -> None:
    daemon = Daemon(RemoteError("wrong", code="INVALID_ARGUMENT"))
    with pytest.raises(RemoteError, match="wrong"):
        next(RemoteWatch(daemon, FollowRequest("")).updates(3))


def test_a_daemon_says_where_its_events_end_and_stops_there(maker, searcher) -> None:
    local = LocalWatch(searcher, FollowRequest('"pump"'))
    (update,) = local.updates(20, 29)
    daemon = Daemon(FollowUpdate((), 29))
    assert RemoteWatch(daemon, FollowRequest("")).newest() == 29
    daemon = Daemon(FollowUpdate((), 20), update, FollowUpdate((), 40))
    watch = RemoteWatch(daemon, FollowRequest(""))
    assert numbers(last_matches(watch, 25, 1)) == [24]
    new = RemoteWatch(Daemon(update), FollowRequest(""), is_new=True)
    assert numbers(next(new.updates(20)).matches) == [21, 24, 27]
