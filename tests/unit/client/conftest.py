from __future__ import annotations

from collections.abc import Iterator

import pytest

from .daemon import FakeDaemon, serving


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    """A server that answers as it is told."""
    with serving() as served:
        yield served
