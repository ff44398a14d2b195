"""The protocol's side, with the SDK's own client and a stand-in for the tools' answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from mcp.client.client import Client

from dejalog.daemon.mcp import server as server_module
from dejalog.daemon.mcp.answers import DATA_WARNING, SearchAnswer, Told
from dejalog.daemon.mcp.server import PENDING_MAX, THREADS, Desk, make_server
from dejalog.daemon.mcp.tools import TOOLS, Asking
from dejalog.indexer.errors import DejalogError, QueryError

ANSWER = SearchAnswer(shown=0, found=0, is_partial=False, remarks=["none"], hits=[])

Call = Callable[[str, dict[str, Any], Asking], Told]


def desk_of(monkeypatch: pytest.MonkeyPatch, call: Call, timeout_s: float = 5.0) -> Desk:
    monkeypatch.setattr(server_module, "call", call)
    return Desk(Asking(None, timeout_s))  # type: ignore[arg-type]


async def call_once(desk: Desk, name: str = "search") -> Any:
    try:
        async with Client(make_server(desk)) as client:
            return await client.call_tool(name, {"query": "pump"})
    finally:
        desk.close()


def test_tools_are_listed_as_reading_only_with_their_schemas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def listed() -> Any:
        desk = desk_of(monkeypatch, lambda *_: Told(ANSWER, ""))
        async with Client(make_server(desk)) as client:
            return client.instructions, (await client.list_tools()).tools

    instructions, tools = asyncio.run(listed())
    assert DATA_WARNING in instructions
    assert [tool.name for tool in tools] == [tool.name for tool in TOOLS]
    for tool, own in zip(tools, TOOLS, strict=True):
        assert tool.annotations.read_only_hint
        assert not tool.annotations.open_world_hint
        assert (tool.input_schema, tool.output_schema) == (own.input_schema(), own.output_schema())


def test_an_answer_is_text_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asyncio.run(call_once(desk_of(monkeypatch, lambda *_: Told(ANSWER, "nothing"))))
    assert not found.is_error
    assert [each.text for each in found.content] == ["nothing"]
    assert found.structured_content == {
        "shown": 0,
        "found": 0,
        "is_partial": False,
        "remarks": ["none"],
        "hits": [],
    }


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (QueryError("say what to look for\x1b"), "say what to look for\\x1b"),
        (DejalogError("the daemon is away"), "the daemon is away"),
        (DejalogError("cannot read " + "x" * 9_000), "cannot read xxx"),
        (
            ZeroDivisionError("by zero"),
            "dejalog has a fault in search (ZeroDivisionError: by zero)",
        ),
    ],
)
def test_an_error_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    text: str,
) -> None:
    def fail(*_: object) -> Told:
        raise error

    found = asyncio.run(call_once(desk_of(monkeypatch, fail)))
    assert found.is_error
    assert found.structured_content is None
    assert found.content[0].text.startswith(text)
    assert len(found.content[0].text) <= 1_000
    assert capfd.readouterr() == ("", "")


def test_an_answer_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_GRACE_S", 0.01)
    release = threading.Event()

    def wait(*_: object) -> Told:
        release.wait(30)
        return Told(ANSWER, "")

    async def scene() -> Any:
        desk = desk_of(monkeypatch, wait, timeout_s=0.04)
        async with Client(make_server(desk)) as client:
            found = await client.call_tool("search", {"query": "pump"})
        release.set()
        desk.close()
        return found

    found = asyncio.run(scene())
    assert found.is_error
    assert found.content[0].text == "no answer within 0.05 s; ask for less"


def test_more_questions_than_may_wait_are_refused_and_cancelled_ones_never_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    asked: list[str] = []

    def wait(name: str, *_: object) -> Told:
        asked.append(name)
        release.wait(30)
        return Told(ANSWER, "")

    async def scene() -> None:
        desk = desk_of(monkeypatch, wait, timeout_s=30.0)
        waiting = [
            asyncio.create_task(desk.answer(str(number), {})) for number in range(PENDING_MAX)
        ]
        while len(asked) < THREADS:
            await asyncio.sleep(0.001)
        with pytest.raises(DejalogError, match="16 questions wait already"):
            await desk.answer("one more", {})
        for task in waiting[THREADS:-1]:
            task.cancel()
        await asyncio.gather(*waiting[THREADS:-1], return_exceptions=True)
        release.set()
        await waiting[-1]
        assert await desk.answer("afterwards", {}) == Told(ANSWER, "")
        desk.close()

    asyncio.run(scene())
    assert sorted(asked) == sorted(["0", "1", str(PENDING_MAX - 1), "afterwards"])
