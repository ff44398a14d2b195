"""Where each partition is read from after an assignment: a pure plan.

1. What is durable wins: the stored position of this index, or of a peer on this machine.
2. But if the group is further (another worker had the partition meanwhile), the group wins.
3. With neither, the configured start.
4. Before the log's beginning: the gap is lost to the broker's retention, and said to be.
   Beyond its end: the topic was made anew or the broker lost data, and reading would skip what
   comes; only a person can tell what is right.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one partition when it is assigned.

    `stored` is how far this index and its peers have it, `committed` how far the group has;
    `beginning` and `end` are the log's.
    """

    stored: int | None
    committed: int | None
    beginning: int
    end: int


@dataclass(frozen=True, slots=True)
class Start:
    """`expected` is where reading should go on, `offset` where it can: the gap lies between.

    With a `fault` there is no start, and it says why.
    """

    expected: int
    offset: int
    fault: str = ""


def plan_start(known: Known, start: str) -> Start:
    """Returns where a partition is read from; `start` is earliest or latest."""
    reached = [each for each in (known.stored, known.committed) if each is not None]
    if not reached:
        first = known.beginning if start == "earliest" else known.end
        return Start(first, first)
    expected = max(reached)
    if expected > known.end:
        whose = "this index" if expected == known.stored else "the consumer group"
        return Start(
            expected, expected, f"{whose} is at {expected}, but the log ends at {known.end}"
        )
    return Start(expected, max(expected, known.beginning))
