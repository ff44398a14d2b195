"""Asks a running daemon, and sends it records: `Client` waits for answers, `AsyncClient` awaits.

Questions and answers are the dataclasses of `dejalog.indexer.request`, `.answer` and `.hit`;
nothing of the index itself is loaded. docs/API.md says what each method does.
"""

from dejalog.client.answer import Answer, FollowUpdate
from dejalog.client.asynchronous import AsyncClient
from dejalog.client.blocking import Client
from dejalog.client.connection import ClientTls
from dejalog.client.errors import (
    LateError,
    NotFoundError,
    RefusedError,
    RemoteError,
    UnknownEventError,
)
from dejalog.client.pushed import Pushed, Receipt

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "ClientTls",
    "FollowUpdate",
    "LateError",
    "NotFoundError",
    "Pushed",
    "Receipt",
    "RefusedError",
    "RemoteError",
    "UnknownEventError",
]
