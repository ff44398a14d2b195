"""The tools over the Model Context Protocol: one client, on standard input and output.

Questions are answered by a few threads; what waits is bounded, and what the client cancels before
its turn is dropped. An answer that cannot be given is a tool's error in words. Standard output has
nothing but the protocol on it. The server ends with its input.

This is the only module that imports the protocol's SDK, which is an optional dependency.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import msgspec
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from dejalog.daemon.excerpt import visible
from dejalog.daemon.mcp.answers import DATA_WARNING, Told
from dejalog.daemon.mcp.tools import TOOLS, Asking, Tool, call
from dejalog.daemon.mcp.views import cut
from dejalog.indexer.errors import DejalogError

#: One model seldom asks more at a time, and each question takes a core.
THREADS = 2
#: Questions that are answered or wait; with more, whoever asks does not read the answers.
PENDING_MAX = 16
#: How much longer than its own timeout an answer may take, where the disk hangs for example.
_GRACE_S = 5.0
#: An error may quote what was asked.
_REASON_BYTES = 1_000

INSTRUCTIONS = (
    "Search over what machines logged and technicians wrote at one site, offline and read-only. "
    "Begin with search or precedents; then read the context of a hit. Quote event_id with what "
    f"you conclude, so that a person can open the event. {DATA_WARNING}"
)


async def serve(asking: Asking) -> None:
    """Serves until standard input ends, then waits for what is still being answered."""
    desk = Desk(asking)
    server = make_server(desk)
    try:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        desk.close()


def make_server(desk: Desk) -> Server[Any]:
    """Returns the protocol's side of the tools."""

    async def list_tools(_: object, __: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS])

    async def call_tool(_: object, given: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            told = await desk.answer(given.name, given.arguments or {})
        except (DejalogError, TimeoutError) as error:
            return _failed(str(error))
        except Exception as error:
            # Whoever asks is told; the other tools go on answering.
            fault = f"{type(error).__name__}: {error}"
            return _failed(f"dejalog has a fault in {given.name} ({fault}); please report it")
        content = msgspec.to_builtins(told.answer)
        return types.CallToolResult(content=[_text(told.text)], structured_content=content)

    return Server(
        "dejalog",
        version=version("dejalog"),
        title="dejalog: has this happened before, and what fixed it?",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


class Desk:
    """Takes questions and has them answered by threads."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._pool = ThreadPoolExecutor(THREADS, "ask")
        self._room = threading.BoundedSemaphore(PENDING_MAX)

    async def answer(self, name: str, arguments: dict[str, Any]) -> Told:
        """Returns an answer; raises DejalogError, and TimeoutError if none came in time."""
        if not self._room.acquire(blocking=False):
            raise DejalogError(f"{PENDING_MAX} questions wait already; ask again later")
        question = self._pool.submit(call, name, arguments, self._asking)
        question.add_done_callback(lambda _: self._room.release())
        limit_s = self._asking.timeout_s + _GRACE_S
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.wrap_future(question)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {limit_s:g} s; ask for less") from error

    def close(self) -> None:
        """Drops what waits, and waits for what is being answered: it reads the index."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema(),
        output_schema=tool.output_schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


def _failed(reason: str) -> types.CallToolResult:
    reason = cut(visible(reason), _REASON_BYTES)
    return types.CallToolResult(content=[_text(reason)], is_error=True)


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)
