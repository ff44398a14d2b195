"""How much one client may ask for: calls a second, calls at once, hits and time of one call.

All of it is counted in memory, for each credential and role apart, and forgotten at a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dejalog.daemon.rpc_errors import exhausted, invalid

#: What is counted for credentials that are idle is forgotten beyond this many; a file of tokens
#: and certificates has at most half as many.
QUOTAS_MAX = 4096
#: Calls at once end after some time that nobody knows; asking more often is of no use.
BUSY_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What one credential may do in one role; 0 is no limit.

    `calls_per_s` may be saved up for one second. `hits_max` bounds a request's `limit`;
    `timeout_s` bounds a call with one response, and not streams.
    """

    calls_per_s: float = 0.0
    concurrent_calls: int = 0
    hits_max: int = 0
    timeout_s: float = 0.0

    def over(self, other: Limits) -> Limits:
        """Returns these limits with the other's in place of those that are not given."""
        return Limits(
            self.calls_per_s or other.calls_per_s,
            self.concurrent_calls or other.concurrent_calls,
            self.hits_max or other.hits_max,
            self.timeout_s or other.timeout_s,
        )


NO_LIMITS = Limits()


class Bucket:
    """A token bucket: `rate_per_s` drop in, at most `size` are kept, each call takes one."""

    def __init__(self, rate_per_s: float, size: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._size = size
        self._kept = size
        self._filled_at = now

    def take(self, now: float) -> float:
        """Takes one and returns 0, or returns in how many seconds there will be one."""
        elapsed_s = max(0.0, now - self._filled_at)
        self._filled_at = now
        self._kept = min(self._size, self._kept + elapsed_s * self._rate_per_s)
        if self._kept >= 1:
            self._kept -= 1
            return 0.0
        return (1 - self._kept) / self._rate_per_s


class _Quota:
    def __init__(self, limits: Limits, now: float) -> None:
        self.running = 0
        rate = limits.calls_per_s
        self.bucket = Bucket(rate, max(1.0, rate), now) if rate else None


class Quotas:
    """Who runs how much now; used from one thread."""

    def __init__(self) -> None:
        self._quotas: dict[tuple[str, str, Limits], _Quota] = {}

    @contextmanager
    def taken(self, name: str, role: str, limits: Limits, now: float) -> Iterator[None]:
        """Counts a call in; raises ServiceError (RESOURCE_EXHAUSTED) beyond the limits."""
        if limits == NO_LIMITS:
            yield
            return
        quota = self._quota((name, role, limits), now)
        most = limits.concurrent_calls
        if most and quota.running >= most:
            message = f"{name} has {quota.running} {role} calls running, which is its limit"
            raise exhausted("TOO_MANY_CALLS", message, BUSY_RETRY_S)
        wait_s = quota.bucket.take(now) if quota.bucket is not None else 0.0
        if wait_s:
            message = f"{name} may make {limits.calls_per_s:g} {role} calls a second"
            raise exhausted("RATE_LIMITED", message, wait_s)
        quota.running += 1
        try:
            yield
        finally:
            quota.running -= 1

    def _quota(self, key: tuple[str, str, Limits], now: float) -> _Quota:
        quota = self._quotas.get(key)
        if quota is None:
            if len(self._quotas) >= QUOTAS_MAX:
                self._quotas = {k: q for k, q in self._quotas.items() if q.running}
            quota = self._quotas[key] = _Quota(limits=key[2], now=now)
        return quota


def check_hits(limits: Limits, limit: int) -> None:
    """Raises ServiceError where a request's `limit` is beyond what its sender may ask for."""
    if limits.hits_max and limit > limits.hits_max:
        message = f"{limit} is over {limits.hits_max}, the most for this credential"
        raise invalid("limit", message)
