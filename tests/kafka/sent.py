"""What a test has sent to a topic, record by record, and whether all of it was indexed once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .endpoint import Endpoint, wait_for
from .worker import Worker, place_of


class Sent:
    """Numbered lines of one topic, and where each of them lies."""

    def __init__(self, endpoint: Endpoint, topic: str) -> None:
        self._places: dict[tuple[int, int], bytes] = {}
        self._endpoint = endpoint
        self.topic = topic

    def more(self, count: int, partition: int | None = None) -> None:
        first = len(self._places)
        values = [b"line %d of the press" % (first + number) for number in range(count)]
        placed = self._endpoint.produce(self.topic, values, partition=partition)
        self._places |= dict(zip(placed, values, strict=True))

    @contextmanager
    def flowing(self, batch: int = 40) -> Iterator[None]:
        """Sends batch after batch while the block runs."""
        is_over = threading.Event()
        failures: list[BaseException] = []

        def flow() -> None:
            try:
                while not is_over.wait(0.02):
                    self.more(batch)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
        if failures:
            raise failures[0]

    def wait_for_more(self, count: int) -> None:
        """Waits until so many more have been sent by `flowing`."""
        before = len(self._places)
        wait_for(lambda: len(self._places) >= before + count, f"{count} more are sent")

    def ends(self) -> dict[tuple[str, int], int]:
        """The offset behind the last record of each partition that has any."""
        return {(self.topic, number): offset + 1 for number, offset in sorted(self._places)}

    def wait_until_stored(self, *workers: Worker) -> None:
        """Waits until each partition's last record is in one of the indexes."""
        ends = self.ends()

        def is_stored() -> bool:
            found: Counter[tuple[str, int]] = Counter()
            for worker in workers:
                found |= Counter(worker.positions())
            return all(found[place] >= end for place, end in ends.items())

        workers[0].wait_until(is_stored, f"everything up to {ends} is stored")

    def assert_exactly_once(self, *workers: Worker) -> None:
        """Every record is one event of one of the indexes, its own text at its own place."""
        found = self.assert_none_missing(*workers)
        twice = sorted(place for place, count in found.items() if count > 1)
        assert not twice, f"{len(twice)} records are there more than once: {twice[:5]} ..."

    def assert_none_missing(self, *workers: Worker) -> Counter[tuple[int, int]]:
        """Every record is an event of one of the indexes; returns how often each is there."""
        found: Counter[tuple[int, int]] = Counter()
        for worker in workers:
            own: Counter[tuple[int, int]] = Counter()
            for event in worker.events():
                topic, partition, offset = place_of(event)
                if topic == self.topic:
                    own[partition, offset] += 1
                    assert event.text == self._places[partition, offset].decode()
            twice = [place for place, count in own.items() if count > 1]
            assert not twice, f"one index has {len(twice)} records more than once: {twice[:5]} ..."
            found += own
        missing = sorted(self._places.keys() - found.keys())
        assert not missing, f"{len(missing)} records are in no index: {missing[:5]} ..."
        return found
