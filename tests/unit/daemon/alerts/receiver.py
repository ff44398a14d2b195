"""A webhook's receiver on loopback: answers as it is told, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """`answers` are statuses, with headers if need be; after the last one it is always 200."""

    def __init__(self) -> None:
        self.answers: list[int | tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.arrived: list[dict[str, Any]] = []
        self.news = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait(self, count: int, timeout_s: float = 30.0) -> list[dict[str, Any]]:
        """Waits until so many alerts were taken."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.arrived) >= count, timeout_s), self.arrived
            return list(self.arrived)

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        self.gate.wait(30)
        with self.news:
            self.requests.append((headers, body))
            given = self.answers.pop(0) if self.answers else 200
            status, extra = given if isinstance(given, tuple) else (given, {})
            if 200 <= status < 300:
                self.arrived.append(json.loads(body))
            self.news.notify_all()
        return status, extra


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Serves until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, extra = receiver.answer(dict(self.headers), body)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"as I was told\n")

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
