"""Page tokens: where the next page of an answer begins, bound to the question it belongs to.

A token holds a version, how many results come before the page, and a digest of both, of the method
and of every other field of the request. It holds no state of the daemon, so it outlives a restart:
each page is computed anew, and events that came meanwhile may move results from one page to
another. The digest is no secret; it is there to catch a token that was sent with another question.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from google.protobuf.message import Message

from dejalog.client.limits import LIMIT_MAX
from dejalog.daemon.rpc_errors import ServiceError, invalid

#: Changed with the meaning of a token; older tokens are refused then.
VERSION: Final = 1
DIGEST_BYTES: Final = 16
#: A token has 28 characters; longer ones are not even decoded.
TOKEN_LENGTH_MAX: Final = 64
_HEAD = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `limit` results behind the first `skip`, of `LIMIT_MAX` on all pages together."""

    skip: int
    limit: int
    question: bytes

    @property
    def end(self) -> int:
        """How many results there are up to the end of this page."""
        return self.skip + self.limit

    def next_token(self, *, has_more: bool) -> str:
        """Returns the token of the next page; empty where there is none."""
        if not has_more or self.end >= LIMIT_MAX:
            return ""
        head = _HEAD.pack(VERSION, self.end)
        return base64.urlsafe_b64encode(head + _digest(head, self.question)).decode()


def page_of(message: Any, limit: int) -> Page:
    """Returns the page that a request asks for; raises ServiceError on a token not made for it."""
    question = _question(message)
    skip = _skip(message.page_token, question) if message.page_token else 0
    return Page(skip, min(limit, LIMIT_MAX - skip), question)


def _skip(token: str, question: bytes) -> int:
    if len(token) > TOKEN_LENGTH_MAX:
        raise _bad_token()
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        version, skip = _HEAD.unpack_from(raw)
    except (ValueError, binascii.Error, struct.error) as error:
        raise _bad_token() from error
    head, digest = raw[: _HEAD.size], raw[_HEAD.size :]
    is_ours = version == VERSION and 0 < skip < LIMIT_MAX
    if not is_ours or digest != _digest(head, question):
        raise _bad_token()
    return int(skip)


def _bad_token() -> ServiceError:
    return invalid(
        "page_token",
        "it does not belong to this request; leave all other fields as they were on the page"
        " before, or ask for the first page without a token",
        reason="BAD_PAGE_TOKEN",
    )


def _question(message: Message) -> bytes:
    """The request's type and all of its fields but the token."""
    bare = type(message)()
    bare.CopyFrom(message)
    bare.ClearField("page_token")
    name = message.DESCRIPTOR.full_name.encode()
    return name + b"\0" + bare.SerializeToString(deterministic=True)


def _digest(head: bytes, question: bytes) -> bytes:
    return blake2b(head + question, digest_size=DIGEST_BYTES, person=b"dejalog page").digest()
