"""When a refused call is made again: where the daemon said when to come back, and not too often."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from dejalog.client.errors import RemoteError

#: Codes that mean "not now"; both come with a RetryInfo where coming back helps.
RETRIED_CODES = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})
#: Clients that were refused together must not come back together.
SPREAD = 0.5


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a question is asked again: at most `times`, within the call's own time limit.

    Only questions are: they change nothing. A daemon that is not there names no time to come back,
    so that is reported at once.
    """

    times: int = 2

    def wait_s(self, error: RemoteError, done: int, deadline: float | None) -> float | None:
        """Returns how long to wait before the next try, or None to give up.

        `done` counts the tries that failed before; `deadline` is a time.monotonic() or None.
        """
        if error.code not in RETRIED_CODES or error.retry_after_s is None or done >= self.times:
            return None
        wait_s = error.retry_after_s * (1 + SPREAD * random.random())
        is_in_time = deadline is None or time.monotonic() + wait_s < deadline
        return wait_s if is_in_time else None


#: Every refusal is reported at once.
NO_RETRIES = Retries(0)
