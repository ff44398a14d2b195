"""Kill -9 at random moments while a worker reads: every record is indexed exactly once.

The number of kills is DEJALOG_TEST_KILLS (3 by default); the seed is printed, and DEJALOG_SEED sets
it. More kills read more records.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from .endpoint import Endpoint
from .sent import Sent
from .worker import Worker

KILLS = int(os.environ.get("DEJALOG_TEST_KILLS", "3"))
SEED = int(os.environ.get("DEJALOG_SEED", str(random.SystemRandom().randrange(2**32))))
RECORDS_A_KILL = 1000
PARTITIONS = 4
#: Small batches and shards, so that kills fall into every stage of many transactions, and fetches
#: of a few records, so that they fall between many fetches.
SECTIONS = {
    "ingest": {"batch_events": 40, "flush_interval_s": 0.01},
    "shard": {"events_max": 900},
}


@pytest.mark.timeout(120 + 30 * KILLS)
def test_no_kill_loses_a_record_or_indexes_one_twice(
    broker: Endpoint, topic: str, make_worker: Callable[..., Worker]
) -> None:
    print(f"DEJALOG_SEED={SEED}")
    rng = random.Random(SEED)
    broker.create_topic(topic, PARTITIONS)
    sent = Sent(broker, topic)
    worker = make_worker(broker, sections=SECTIONS, fetch_bytes_max=2048, session_timeout_s=1.0)
    for _ in range(KILLS):
        sent.more(RECORDS_A_KILL)
        before = worker.positions()
        worker.start()
        if rng.random() < 0.8:
            worker.wait_until(lambda: worker.positions() != before, "it reads")  # noqa: B023
        # Otherwise into its start, or into its joining of the group.
        time.sleep(rng.uniform(0, 0.6))
        worker.kill()
    worker.run_to_end(broker, topic)
    sent.assert_exactly_once(worker)
    assert broker.committed(topic) == worker.positions()
