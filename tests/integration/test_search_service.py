"""SearchService over an index on disk: both clients get what the index in this process answers."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import grpc
import pytest

from dejalog.client import (
    AsyncClient,
    Client,
    NotFoundError,
    Pushed,
    RefusedError,
    RemoteError,
    methods,
)
from dejalog.daemon.answers import IndexAnswers
from dejalog.daemon.server import Server, ServerSettings
from dejalog.indexer.patience import ENDLESS
from dejalog.indexer.request import (
    ContextRequest,
    DiffRequest,
    HistogramRequest,
    PatternOrder,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
    Window,
)
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import search_pb2, search_pb2_grpc

from .fuzz_messages import extreme, mutated

STATUS = IndexStatus("/data", "1", "f", 1, 1, 1, 0, 1, 1, 1, 1, 0, 0.0, 0.0)
SECOND = 10**9
MACHINES = ("press", "pump", "robot", "oven", "conveyor", "mixer", "lathe", "crane")
FAULTS = ("motor overload", "bearing temperature high", "belt slips", "valve does not close")


@dataclass(frozen=True, slots=True)
class Served:
    """A server over an index, and the same index in this process."""

    address: str
    answers: IndexAnswers
    faults: list[BaseException]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, encoder: Any) -> Iterator[Served]:
    from ..conftest import IndexMaker

    maker = IndexMaker(tmp_path_factory.mktemp("served"), encoder, None)
    for round_ in range(3):
        for number, machine in enumerate(MACHINES):
            for fault in FAULTS:
                labels = (("asset", machine), ("severity", "error"), ("site", "lodz"))
                text = f"{machine} {fault} E-{number + 10}"
                at = (round_ * 3_600 + number) * SECOND
                maker.add(maker.event(text, labels=labels, time_ns=at), is_indexed=False)
    maker.index_words()
    searcher = maker.searcher()
    answers = IndexAnswers(searcher)
    with serving(answers) as (address, faults):
        yield Served(address, answers, faults)
    searcher.close()
    maker.directory.close()


@contextmanager
def serving(answers: Any) -> Iterator[tuple[str, list[BaseException]]]:
    """Serves on a loop of its own."""
    loop, faults = asyncio.new_event_loop(), list[BaseException]()
    thread = threading.Thread(target=loop.run_forever, name="loop")
    thread.start()

    def call(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    async def start() -> Server:
        server = Server(
            ServerSettings("127.0.0.1:0", ""),
            answers=answers,
            push_source=None,
            status=lambda: STATUS,
            on_fault=faults.append,
        )
        await server.start()
        return server

    server = call(start())
    try:
        yield server.address, faults
    finally:
        call(server.stop(1.0))
        call(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


QUESTIONS: dict[str, Any] = {
    "search": SearchRequest("motor overload", limit=7, occurrences=2, where=("site=lodz",)),
    "similar": SimilarRequest(5, limit=7, until_ns=4_000 * SECOND),
    "precedents": PrecedentsRequest("belt slips on the press", limit=3),
    "patterns": PatternsRequest(limit=9, buckets=6, order=PatternOrder.NEWEST),
    "diff": DiffRequest(
        Window(0, 4 * SECOND), Window(3_600 * SECOND, 7_300 * SECOND), false_share=1.0
    ),
    "histogram": HistogramRequest(by="asset", values=3, buckets=5),
    "context": ContextRequest(20, before=3, after=2),
}


def timeless(result: Any) -> Any:
    """The result without how long it took, which is never the same."""
    if isinstance(result, tuple):
        return tuple(map(timeless, result))
    if not is_dataclass(result) or isinstance(result, type):
        return result
    changes = {each.name: timeless(getattr(result, each.name)) for each in fields(result)}
    if "elapsed_s" in changes:
        changes["elapsed_s"] = 0.0
    return replace(result, **changes)


@pytest.mark.parametrize("name", QUESTIONS)
def test_both_clients_get_what_the_index_answers(served: Served, name: str) -> None:
    request = QUESTIONS[name]
    expected = timeless(getattr(served.answers, name)(request, ENDLESS))

    async def ask() -> Any:
        async with AsyncClient(served.address) as client:
            return await getattr(client, name)(request)

    with Client(served.address) as client:
        blocking = getattr(client, name)(request)
    awaited = asyncio.run(ask())
    assert timeless(blocking.result) == expected
    assert timeless(awaited.result) == expected
    assert served.faults == []


PAGED: dict[str, tuple[Any, Callable[[Any], list[str]]]] = {
    "search": (
        SearchRequest("bearing temperature", limit=5),
        lambda result: [hit.pattern_id for hit in result.hits],
    ),
    "similar": (
        SimilarRequest(5, limit=5),
        lambda result: [hit.pattern_id for hit in result.result.hits],
    ),
    "precedents": (
        PrecedentsRequest("motor overload", limit=2),
        lambda result: [f"{each.asset} {each.start_ns}" for each in result.precedents],
    ),
    "patterns": (
        PatternsRequest(limit=5),
        lambda result: [each.pattern_id for each in result.patterns],
    ),
    "diff": (
        DiffRequest(
            Window(0, SECOND), Window(3_600 * SECOND, 3_700 * SECOND), limit=5, false_share=1.0
        ),
        lambda result: [each.pattern_id for each in result.changes],
    ),
}


@pytest.mark.parametrize("name", PAGED)
def test_pages_together_are_what_one_large_page_would_be(served: Served, name: str) -> None:
    request, names = PAGED[name]
    with Client(served.address) as client:
        ask = getattr(client, name)
        pages = [names(page.result) for page in client.pages(ask, request)]
        whole = names(ask(replace(request, limit=100)).result)
    assert [each for page in pages for each in page] == whole
    assert len(pages) > 1
    assert all(len(page) == request.limit for page in pages[:-1])


def test_a_token_of_another_question_is_refused(served: Served) -> None:
    with Client(served.address) as client:
        token = client.search(SearchRequest("motor", limit=5)).next_page_token
        with pytest.raises(RefusedError) as caught:
            client.search(SearchRequest("valve", limit=5), page_token=token)
        assert (caught.value.reason, caught.value.field) == ("BAD_PAGE_TOKEN", "page_token")
        with pytest.raises(RefusedError):
            client.patterns(PatternsRequest(), page_token=token)


@pytest.mark.parametrize(
    "name_and_request",
    [
        ("similar", SimilarRequest(10**12)),
        ("context", ContextRequest(2**63 - 1)),
        ("precedents", PrecedentsRequest(event_id=10**12)),
    ],
)
def test_an_event_that_is_not_there_is_not_found(
    served: Served, name_and_request: tuple[str, Any]
) -> None:
    name, request = name_and_request
    with Client(served.address) as client, pytest.raises(NotFoundError) as caught:
        getattr(client, name)(request)
    assert caught.value.reason == "UNKNOWN_EVENT"
    assert str(request.event_id) in str(caught.value)
    assert served.faults == []


def test_a_daemon_that_does_not_follow_says_so(served: Served) -> None:
    with grpc.insecure_channel(served.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Follow(search_pb2.FollowRequest(query="x"), timeout=20))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_mutated_requests_are_answered_or_refused_and_never_a_fault(served: Served) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    random_ = random.Random(seed)
    refusals, details = set(), list[str]()
    with grpc.insecure_channel(served.address) as channel:
        for name, request in QUESTIONS.items():
            method = getattr(methods, name.upper())
            data = method.message(request).SerializeToString()
            call = channel.unary_unary(f"/dejalog.v1.SearchService/{method.name}")
            for _ in range(40):
                sent = mutated(data, random_)
                try:
                    assert len(call(sent, timeout=30)) < 4 << 20
                except grpc.RpcError as error:
                    refusals.add(error.code().name)
                    details.append(f"{error.details()} for {sent!r}")
    assert served.faults == [], served.faults
    assert not [each for each in details if "Traceback" in each]
    assert refusals <= {"INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED"}


def test_values_at_and_beyond_every_bound_are_answered_or_refused(served: Served) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    random_ = random.Random(seed)
    codes: Counter[str] = Counter()
    with grpc.insecure_channel(served.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        for name in ("Search", "Similar", "Precedents", "Patterns", "Diff", "Histogram", "Context"):
            for _ in range(40):
                message = extreme(getattr(search_pb2, f"{name}Request"), random_)
                try:
                    assert getattr(stub, name)(message, timeout=30).ByteSize() < 4 << 20
                    codes["OK"] += 1
                except grpc.RpcError as error:
                    codes[error.code().name] += 1
                assert served.faults == [], message
    assert set(codes) <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED"}
    assert codes["OK"]


def test_a_process_without_a_pipeline_takes_no_records(served: Served) -> None:
    with Client(served.address) as client, pytest.raises(RemoteError) as caught:
        client.append("plc", [Pushed(b"x")], timeout_s=20)
    assert caught.value.code == "UNIMPLEMENTED"
