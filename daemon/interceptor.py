"""What every call of every service goes through, whether it has one response or a stream of them.

1. The guard says whose call it is and whether it may be made, and finds room for it.
2. The handler answers; a ServiceError becomes its status, anything else INTERNAL and a fault.
3. Streams end where their client leaves, where the daemon stops (UNAVAILABLE), and where their
   credential is taken away or expires (UNAUTHENTICATED).

Methods that nobody handles are UNIMPLEMENTED, which gRPC answers by itself.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import grpc

from dejalog.daemon.auth import Role
from dejalog.daemon.decoding import decoded, lenient
from dejalog.daemon.guard import Call, Guard, counted
from dejalog.daemon.rpc_errors import AnswerFault, ServiceError, abort, unavailable
from dejalog.indexer.store.layout import DamagedValueError

if TYPE_CHECKING:
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Interceptor = grpc.aio.ServerInterceptor

#: How often a stream's credential is looked at again.
RECHECK_S = 5.0
#: A daemon that is restarted is back after about this long.
STOPPED_RETRY_S = 2.0
#: What a process without a guard of its own takes on.
CALLS_MAX = 256

#: What code raises that does not know how to go on. Faults of the disk and the model are others.
_OF_ONE_ANSWER = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

Behaviour = Callable[[Any, Any], Any]


class CallInterceptor(Interceptor):
    """Wraps the handlers of one server.

    `on_fault` is told of every exception that a client cannot be blamed for: it means that
    storage, encoder or code is broken, and that the process should end rather than go on
    answering; an AnswerFault concerns one question only. `idle` is set while no handler with one
    response runs.
    """

    def __init__(
        self, on_fault: Callable[[BaseException], None], guard: Guard | None = None
    ) -> None:
        self._on_fault = on_fault
        self._guard = Guard(CALLS_MAX) if guard is None else guard
        self._running = 0
        self._is_stopping = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def end_streams(self) -> None:
        """Ends the streams of our services; health watches are told otherwise."""
        self._is_stopping.set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the method's handler with everything around it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        wrap = self._streaming if handler.response_streaming else self._single
        kind = _KINDS[bool(handler.request_streaming), bool(handler.response_streaming)]
        behaviour = getattr(handler, kind)
        return getattr(grpc, f"{kind}_rpc_method_handler")(
            wrap(behaviour, handler_call_details.method),
            request_deserializer=lenient(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _single(self, behaviour: Behaviour, method: str) -> Behaviour:
        async def answer(request: Any, context: Any) -> Any:
            self._running += 1
            self.idle.clear()
            try:
                return await self._answered(self._one, behaviour, method, request, context)
            finally:
                self._running -= 1
                if self._running == 0:
                    self.idle.set()

        return answer

    def _streaming(self, behaviour: Behaviour, method: str) -> Behaviour:
        async def answer(request: Any, context: Any) -> None:
            await self._answered(self._many, behaviour, method, request, context)

        return answer

    async def _answered(
        self, work: Any, behaviour: Behaviour, method: str, request: Any, context: Any
    ) -> Any:
        try:
            return await self._tried(work, behaviour, method, request, context)
        except grpc.aio.InternalError as error:
            # So gRPC says that the call ended while its answer, or refusal, was on the way.
            raise asyncio.CancelledError("the client has left") from error

    async def _tried(
        self, work: Any, behaviour: Behaviour, method: str, request: Any, context: Any
    ) -> Any:
        call: Call | None = None
        try:
            call = await self._guard.identify(method, context)
            request = decoded(request)
            with self._guard.admitted(call):
                self._guard.check_request(call, request)
                async with self._guard.audited(call):
                    return await self._noted(work(call, behaviour, request, context), call)
        except ServiceError as error:
            await abort(context, error)
        except (asyncio.CancelledError, grpc.aio.AbortError, grpc.aio.InternalError):
            raise
        except Exception as error:
            is_reading = call is not None and call.role is Role.READ
            self._on_fault(_answer_fault(method, error) if is_reading else error)
            message = f"{type(error).__name__}: {error}"
            fault = ServiceError(grpc.StatusCode.INTERNAL, "SERVER_FAULT", message)
            await abort(context, fault)

    async def _noted(self, work: Awaitable[Any], call: Call) -> Any:
        """Notes in the call what its work came to."""
        call.code = "INTERNAL"
        try:
            response = await work
        except ServiceError as error:
            call.code = error.code.name
            raise
        except (asyncio.CancelledError, grpc.aio.InternalError):
            call.code = "CANCELLED"
            raise
        call.code, call.changed = "OK", counted(response)
        return response

    async def _one(self, call: Call, behaviour: Behaviour, request: Any, context: Any) -> Any:
        timeout_s = self._guard.timeout_s(call)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await _begun(behaviour, request, context)
        except TimeoutError as error:
            if not limit.expired():
                raise
            message = f"the call took longer than {timeout_s:g} s, the most for this credential"
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            raise ServiceError(code, "DEADLINE_EXCEEDED", message) from error

    async def _many(self, call: Call, behaviour: Behaviour, request: Any, context: Any) -> None:
        if call.role is None:
            await _sent(behaviour, request, context)
            return
        sending = asyncio.create_task(_sent(behaviour, request, context))
        stopping = asyncio.create_task(self._is_stopping.wait())
        try:
            while not sending.done():
                either = {sending, stopping}
                await asyncio.wait(either, timeout=RECHECK_S, return_when=asyncio.FIRST_COMPLETED)
                if self._is_stopping.is_set() and not sending.done():
                    raise unavailable("the daemon is stopping", STOPPED_RETRY_S, reason="STOPPING")
                self._guard.check(call, context)
            await sending
        finally:
            stopping.cancel()
            sending.cancel()
            # Its own end, whatever that is, was looked at above or does not matter any more.
            with suppress(BaseException):
                await sending


_KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def _answer_fault(method: str, error: Exception) -> Exception:
    """What a failed question means: damage is damage, what code tripped over is its own."""
    if isinstance(error, _OF_ONE_ANSWER) and not isinstance(error, DamagedValueError):
        return AnswerFault(method, error)
    return error


def _begun(behaviour: Behaviour, request: Any, context: Any) -> Any:
    try:
        return behaviour(request, context)
    except NotImplementedError as error:
        # A generated servicer's method, which this process only has in its contract. Those that
        # are written have not run a line yet.
        code = grpc.StatusCode.UNIMPLEMENTED
        raise ServiceError(code, "UNIMPLEMENTED", "this process does not offer that") from error


async def _sent(behaviour: Behaviour, request: Any, context: Any) -> None:
    """Runs a streaming handler, which either yields its responses or writes them itself."""
    produced = _begun(behaviour, request, context)
    if not inspect.isasyncgen(produced):
        await produced
        return
    async with aclosing(produced) as responses:
        async for response in responses:
            await context.write(response)
