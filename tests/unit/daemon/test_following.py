from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from dejalog.client.answer import FollowUpdate
from dejalog.daemon import following as module
from dejalog.daemon.following import Following, look
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.indexer.append import ShardLimits
from dejalog.indexer.arrivals import Arrivals
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.request import FollowRequest
from dejalog.indexer.standing import StandingQuery


@asynccontextmanager
async def serving(maker, **changes) -> AsyncIterator[tuple[Following, Callable[..., None]]]:
    searcher = maker.searcher()
    faults: list[BaseException] = []
    following = Following(searcher, faults.append, **changes)
    following.start()

    def put(*events) -> None:
        maker.add(*events, is_indexed=False)
        following.notify()

    try:
        yield following, put
    finally:
        await asyncio.to_thread(following.finish)
        searcher.close()
    assert not faults


async def until(updates: AsyncIterator[FollowUpdate], last: int) -> list[FollowUpdate]:
    found = []
    async with asyncio.timeout(30):
        async for update in updates:
            found.append(update)
            if update.last_event_id >= last:
                break
    return found


def texts(updates) -> list[str]:
    return [m.occurrence.event.text for update in updates for m in update.matches]


def test_a_follower_is_told_where_it_begins_and_then_what_comes(make_index) -> None:
    maker = make_index()
    maker.add("pump old", is_indexed=False)

    async def run() -> None:
        async with serving(maker) as (following, put):
            async with following.follow(FollowRequest('"pump"')) as updates:
                assert await anext(updates) == FollowUpdate((), 0)
                put("pump A", "fan", "pump B")
                found = await until(updates, 3)
                assert texts(found) == ["pump A", "pump B"]
                put("pump C")
                assert texts(await until(updates, 4)) == ["pump C"]
            assert following.followers == 0

    asyncio.run(run())


def test_a_follower_goes_on_behind_an_event_without_gap_or_repetition(make_index) -> None:
    maker = make_index(ShardLimits(events_max=10))
    for start in range(0, 30, 3):
        maker.add(*(f"pump {n} of many" for n in range(start, start + 3)), is_indexed=False)

    async def run() -> list[str]:
        found: list[str] = []
        async with serving(maker) as (following, put):
            position = 4
            while position < 32:
                request = FollowRequest('"pump"', after_event_id=position)
                async with following.follow(request) as updates:
                    assert (await anext(updates)).last_event_id == position
                    update = await anext(updates)
                    found += texts([update])
                    position = update.last_event_id
                if position == 29:
                    put("pump 30 of many", "pump 31 of many", "pump 32 of many")
        return found

    assert asyncio.run(run()) == [f"pump {n} of many" for n in range(5, 33)]


def test_without_matches_it_is_told_how_far_it_has_come(make_index) -> None:
    maker = make_index()

    async def run() -> None:
        async with (
            serving(maker, interval_s=0.05) as (following, put),
            following.follow(FollowRequest('"pump"')) as updates,
        ):
            assert await anext(updates) == FollowUpdate((), -1)
            put("fan", "door")
            found = await until(updates, 1)
            assert texts(found) == []
            assert not found[-1].is_partial

    asyncio.run(run())


def test_a_slow_client_has_one_update_waiting_and_misses_nothing(make_index, monkeypatch) -> None:
    monkeypatch.setattr(module, "_MATCHES_MAX", 3)
    maker = make_index()

    async def run() -> list[str]:
        async with (
            serving(maker) as (following, put),
            following.follow(FollowRequest('"pump"')) as updates,
        ):
            await anext(updates)
            for start in range(0, 40, 10):
                put(*(f"pump {n} of many" for n in range(start, start + 10)))
                await asyncio.sleep(0.02)
            (follower,) = following._followers
            assert len(follower._update.matches) == 3
            assert follower.position == 2
            return texts(await until(updates, 39))

    assert asyncio.run(run()) == [f"pump {n} of many" for n in range(40)]


def test_events_that_retention_took_make_it_partial(make_index) -> None:
    maker = make_index(ShardLimits(events_max=2))
    for n in range(6):
        maker.add(f"pump {n}", is_indexed=False)
    first = maker.directory.shards[0].header.shard
    with maker.directory.compacting():
        maker.directory.replace_shards([first], None)

    async def run() -> list[FollowUpdate]:
        request = FollowRequest('"pump"', after_event_id=0)
        async with (
            serving(maker) as (following, _),
            following.follow(request) as updates,
        ):
            return await until(updates, 5)

    found = asyncio.run(run())
    assert [update.is_partial for update in found] == [False, True]
    assert texts(found) == ["pump 2", "pump 3", "pump 4", "pump 5"]


def test_beyond_the_bound_followers_are_refused_and_told_when_to_come_back(make_index) -> None:
    async def run() -> None:
        async with serving(make_index(), followers_max=1) as (following, _):
            async with following.follow(FollowRequest("")) as updates:
                await anext(updates)
                with pytest.raises(ServiceError) as caught:
                    async with following.follow(FollowRequest("")):
                        pass
                assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert caught.value.retry_after_s
            async with following.follow(FollowRequest("")) as updates:
                await anext(updates)

    asyncio.run(run())


def test_a_question_that_cannot_be_understood_takes_no_place(make_index) -> None:
    async def run() -> None:
        async with serving(make_index(), followers_max=1) as (following, _):
            with pytest.raises(ServiceError) as caught:
                async with following.follow(FollowRequest("x", where=("nonsense",))):
                    pass
            assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
            assert following.followers == 0

    asyncio.run(run())


def test_at_the_end_followers_are_sent_away_to_come_back(make_index) -> None:
    async def run() -> None:
        async with serving(make_index()) as (following, _):
            async with following.follow(FollowRequest("")) as updates:
                await anext(updates)
                waiting = asyncio.ensure_future(anext(updates))
                await asyncio.sleep(0)
                await asyncio.to_thread(following.end)
                with pytest.raises(ServiceError) as caught:
                    await waiting
                assert caught.value.code is grpc.StatusCode.UNAVAILABLE
            with pytest.raises(ServiceError):
                async with following.follow(FollowRequest("")):
                    pass

    asyncio.run(run())


def test_a_fault_of_the_index_is_told_and_ends_the_followers(make_index, monkeypatch) -> None:
    maker = make_index()

    async def run() -> None:
        searcher = maker.searcher()
        faults: list[BaseException] = []
        following = Following(searcher, faults.append)
        following.start()
        monkeypatch.setattr(module, "look", lambda *_: 1 / 0)
        async with following.follow(FollowRequest("")) as updates:
            await anext(updates)
            maker.add("pump", is_indexed=False)
            following.notify()
            with pytest.raises(ServiceError):
                await anext(updates)
        assert isinstance(faults[0], ZeroDivisionError)
        await asyncio.to_thread(following.finish)
        searcher.close()

    asyncio.run(run())


def test_a_block_that_cannot_be_read_makes_it_partial_and_the_next_one_is_looked_at(
    make_index, monkeypatch
) -> None:
    maker = make_index()
    maker.add("pump A", is_indexed=False)
    maker.add("pump B", is_indexed=False)
    select = StandingQuery.select

    def damaged(self, block):
        if block.first == 0:
            raise CorruptShardError(maker.path, "a checksum differs")
        return select(self, block)

    monkeypatch.setattr(StandingQuery, "select", damaged)
    searcher = maker.searcher()
    query = StandingQuery(FollowRequest('"pump"'), maker.encoder)
    with Arrivals(searcher.shards).reading() as reading:
        update = look(query, reading, -1)
        assert [str(error.reason) for error in reading.damage] == ["a checksum differs"]
    assert (texts([update]), update.is_partial, update.last_event_id) == (["pump B"], True, 1)
    searcher.close()
