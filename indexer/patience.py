"""When an answer ends with what it has: at a deadline, or when nobody waits for it any more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event


@dataclass(frozen=True, slots=True)
class Patience:
    """`deadline` is a time.monotonic() value; `stop` is set to end at once."""

    deadline: float | None = None
    stop: Event | None = None

    @property
    def is_over(self) -> bool:
        """Whether to end now."""
        is_late = self.deadline is not None and time.monotonic() > self.deadline
        return is_late or (self.stop is not None and self.stop.is_set())

    def check(self) -> None:
        """Raises TimeoutError if it ends now."""
        if self.is_over:
            raise TimeoutError("the deadline passed before the first shard was searched")


#: Waits for as long as it takes.
ENDLESS = Patience()
