from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.decoding import Undecodable, decoded, lenient
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.proto.v1.search_pb2 import SearchRequest

READ = lenient(SearchRequest.FromString)
assert READ is not None


def test_what_can_be_decoded_stays_as_it_is() -> None:
    request = SearchRequest(query="pump")
    assert decoded(READ(request.SerializeToString())) == request
    assert lenient(None) is None
    assert decoded(b"bytes that a handler decodes itself") == b"bytes that a handler decodes itself"


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_the_clients_fault(data: bytes) -> None:
    read = READ(data)
    if isinstance(read, SearchRequest):
        assert decoded(read) is read
        return
    with pytest.raises(ServiceError) as caught:
        decoded(read)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.reason == "BAD_MESSAGE"


def test_a_text_that_is_not_utf8_is_refused() -> None:
    assert isinstance(READ(b"\x0a\x02\xff\xfe"), Undecodable)
    with pytest.raises(ServiceError, match="cannot be read"):
        decoded(READ(b"\x0a\x02\xff\xfe"))


def test_in_a_stream_the_messages_before_it_arrive() -> None:
    async def requests() -> AsyncIterator[Any]:
        yield READ(SearchRequest(query="one").SerializeToString())
        yield READ(b"\xff")

    async def read() -> None:
        arriving = decoded(requests())
        assert (await anext(arriving)).query == "one"
        with pytest.raises(ServiceError):
            await anext(arriving)

    asyncio.run(read())
