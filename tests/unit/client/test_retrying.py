from __future__ import annotations

import time

import pytest

from dejalog.client.errors import RemoteError
from dejalog.client.retrying import NO_RETRIES, SPREAD, Retries


def refused(code: str = "UNAVAILABLE", retry_after_s: float | None = 1.0) -> RemoteError:
    return RemoteError("no", code=code, retry_after_s=retry_after_s)


def test_the_wait_is_what_the_daemon_said_and_a_little_more() -> None:
    waits = [Retries(1).wait_s(refused(), 0, None) for _ in range(50)]
    assert all(wait is not None and 1.0 <= wait <= 1.0 + SPREAD for wait in waits)
    assert len(set(waits)) > 1


@pytest.mark.parametrize("code", ["INTERNAL", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT", "NOT_FOUND"])
def test_other_errors_are_final(code: str) -> None:
    assert Retries(9).wait_s(refused(code), 0, None) is None


def test_it_gives_up_after_its_tries_without_a_time_and_before_the_deadline() -> None:
    assert Retries(2).wait_s(refused(), 1, None) is not None
    assert Retries(2).wait_s(refused(), 2, None) is None
    assert NO_RETRIES.wait_s(refused(), 0, None) is None
    assert Retries(2).wait_s(refused(retry_after_s=None), 0, None) is None
    assert Retries(2).wait_s(refused(), 0, time.monotonic() + 0.5) is None
    assert Retries(2).wait_s(refused(), 0, time.monotonic() + 60) is not None
