"""What a worker makes of everything that can lie in a topic: one run over many topics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from dejalog.indexer.event import DeadLetter, Event, Kind, TimeOrigin

from .endpoint import Endpoint, wait_for
from .worker import Worker, place_of

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
#: A fetch of a partition, a record that a worker takes, and one that it refuses.
FETCH_BYTES, LARGE_BYTES, OVERSIZED_BYTES = 1 << 16, 300_000, 500_000
RECORD_BYTES_MAX = 400_000
#: 2024-03-05 10:00:00 UTC.
TIME_MS = 1_709_632_800_000


@dataclass(frozen=True, slots=True)
class Read:
    """A worker that has read everything; `prefix` begins the names of its topics."""

    broker: Endpoint
    worker: Worker
    prefix: str

    def events(self, topic: str) -> list[Event]:
        found = [e for e in self.worker.events() if e.source == f"kafka:{self.prefix}-{topic}"]
        return sorted(found, key=place_of)

    def dead_letters(self, topic: str) -> list[DeadLetter]:
        source = f"kafka:{self.prefix}-{topic}"
        return [each for each in self.worker.dead_letters() if each.source == source]

    def is_at_end(self, topic: str) -> bool:
        ends = self.broker.end_offsets(f"{self.prefix}-{topic}")
        positions = self.worker.positions()
        return all(positions.get((f"{self.prefix}-{topic}", n)) == end for n, end in ends.items())


@pytest.fixture(scope="module")
def read(broker: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    prefix = f"read-{uuid4().hex[:8]}"
    names = [_fill(broker, prefix, topic) for topic in CONTENTS]
    topics: list[str | dict[str, object]] = [name for name in names if "notes" not in name]
    labels = {"site": "plant-7", "line": "{group:line}", "asset": "{key}", "shift": "{header:sh}"}
    pattern = prefix + r"-line(?P<line>\d)-notes"
    topics.append({"pattern": pattern, "kind": "note", "labels": labels})
    worker = Worker(
        tmp_path_factory.mktemp("read"),
        broker,
        topics,
        prefix,
        sections={"decode": {"record_bytes_max": RECORD_BYTES_MAX}},
        fetch_bytes_max=FETCH_BYTES,
    )
    try:
        worker.run_to_end(broker, *names)
        yield Read(broker, worker, prefix)
    finally:
        worker.kill()


def _fill(broker: Endpoint, prefix: str, topic: str) -> str:
    name, settings = f"{prefix}-{topic}", TOPIC_SETTINGS.get(topic, {})
    broker.create_topic(name, **{"max_message_bytes": 2_000_000, **settings})
    CONTENTS[topic](broker, name)
    return name


def _codecs(broker: Endpoint, topic: str) -> None:
    for codec in CODECS:
        lines = [f"{codec} {number} of the packed lines".encode() for number in range(50)]
        broker.produce(topic, lines, compression_type=codec)


def test_every_compression_is_read(read: Read) -> None:
    expected = [f"{codec} {n} of the packed lines" for codec in CODECS for n in range(50)]
    assert [event.text for event in read.events("codecs")] == expected


def _tombstones(broker: Endpoint, topic: str) -> None:
    broker.produce(topic, [b"pump 1 is hot", None, b"pump 2 is hot", None], key=b"pump")


def test_a_tombstone_is_no_event_but_counts_as_read(read: Read) -> None:
    assert [event.text for event in read.events("tombstones")] == ["pump 1 is hot", "pump 2 is hot"]
    assert read.dead_letters("tombstones") == []
    assert read.is_at_end("tombstones")


def _transactions(broker: Endpoint, topic: str) -> None:
    broker.produce(topic, [b"before"])
    broker.produce_transaction(topic, [b"withdrawn"] * 3, commit=False)
    broker.produce_transaction(topic, [b"committed"] * 2, commit=True)
    broker.produce_transaction(topic, [b"withdrawn too"], commit=False)


def test_records_of_an_aborted_transaction_are_no_events(read: Read) -> None:
    texts = [event.text for event in read.events("transactions")]
    assert texts == ["before", "committed", "committed"]
    # Six records besides, and a marker behind each of three transactions.
    assert read.worker.positions()[f"{read.prefix}-transactions", 0] == 10
    assert read.dead_letters("transactions") == []


def _compacted(broker: Endpoint, topic: str) -> None:
    values = [f"state {number} of the press".encode() for number in range(20)]
    broker.produce(topic, values, key=lambda n: b"%d" % (n % 3), timestamp_ms=TIME_MS)
    # The active segment is not compacted; a record with a later time begins another.
    broker.produce(topic, [b"the end"], key=b"end", timestamp_ms=TIME_MS + 3_600_000)
    wait_for(lambda: len(broker.read(topic)) == 4, "the topic is compacted")


def test_the_holes_of_a_compacted_topic_are_not_taken_for_a_loss(read: Read) -> None:
    numbers = [place_of(event)[2] for event in read.events("compacted")]
    assert numbers == [17, 18, 19, 20]
    assert read.dead_letters("compacted") == []
    assert read.is_at_end("compacted")


def _sizes(broker: Endpoint, topic: str) -> None:
    large, oversized = b"large " * (LARGE_BYTES // 6), b"x" * OVERSIZED_BYTES
    broker.produce(topic, [b"before", large, b"between"])
    broker.produce(topic, [oversized], key=b"k", headers=[("site", b"plant-7")])
    broker.produce(topic, [b"after"])


def test_an_oversized_record_is_a_dead_letter_and_a_large_one_an_event(read: Read) -> None:
    events = read.events("sizes")
    assert [place_of(event)[2] for event in events] == [0, 1, 2, 4]
    assert events[1].text == "large " * (LARGE_BYTES // 6)
    [letter] = read.dead_letters("sizes")
    assert (letter.reason, letter.offset, letter.size_bytes) == ("oversized", 3, OVERSIZED_BYTES)
    assert letter.data
    assert set(letter.data) == set(b"x")
    assert letter.key == b"k"
    assert letter.headers == (("site", b"plant-7"),)


def _refused(broker: Endpoint, topic: str) -> None:
    broker.produce(topic, [b"good", b"\xff\xfe\x00 not text", b"", b"good again"])


def test_a_record_that_is_no_text_is_a_dead_letter_and_reading_goes_on(read: Read) -> None:
    assert [event.text for event in read.events("refused")] == ["good", "good again"]
    letters = read.dead_letters("refused")
    assert [letter.offset for letter in letters] == [1, 2]
    assert [letter.reason for letter in letters] == ["not-utf8", "empty"]


def _notes(broker: Endpoint, topic: str) -> None:
    headers = [("sh", b"early"), ("sh", b"late")]
    broker.produce(topic, [b"replaced the seal"], key=b"P-101", headers=headers)
    broker.produce(topic, [b"greased the bearing"], timestamp_ms=TIME_MS)


def test_notes_of_a_pattern_have_the_labels_of_their_rule(read: Read) -> None:
    first, second = read.events("line4-notes")
    assert first.kind == second.kind == Kind.NOTE
    labels = {"asset": "P-101", "line": "4", "shift": "late", "site": "plant-7"}
    assert dict(first.labels) == labels
    # A label without its key or header is left out.
    assert dict(second.labels) == {"line": "4", "site": "plant-7"}


def test_an_event_without_a_time_has_the_time_of_its_record(read: Read) -> None:
    _, second = read.events("line4-notes")
    assert second.time_ns == TIME_MS * 10**6
    assert second.time_origin is TimeOrigin.RECEIVED


def _json(broker: Endpoint, topic: str) -> None:
    line = {"@timestamp": "2024-03-05T09:59:58Z", "message": "axis 3 stalled", "level": "error"}
    broker.produce(topic, [json.dumps(line).encode()], timestamp_ms=TIME_MS)


def test_a_records_own_time_and_severity_count_more_than_kafkas(read: Read) -> None:
    [event] = read.events("json")
    assert event.text == "axis 3 stalled"
    assert event.time_ns == (TIME_MS - 2000) * 10**6
    assert dict(event.labels)["severity"] == "error"


def _nothing(broker: Endpoint, topic: str) -> None:
    """An empty topic."""


def test_the_group_has_committed_what_is_stored(read: Read) -> None:
    stored = read.worker.positions()
    committed = read.broker.committed(read.prefix)
    assert {place: offset for place, offset in committed.items() if offset} == stored


def test_status_counts_what_is_there(read: Read) -> None:
    status = read.worker.status()
    assert status["events"] == len(read.worker.events())
    assert status["dead_letters"] == 3


CONTENTS = {
    "codecs": _codecs,
    "tombstones": _tombstones,
    "transactions": _transactions,
    "compacted": _compacted,
    "sizes": _sizes,
    "refused": _refused,
    "line4-notes": _notes,
    "json": _json,
    "nothing": _nothing,
}
TOPIC_SETTINGS: dict[str, dict[str, object]] = {
    "compacted": {
        "cleanup_policy": "compact",
        "segment_ms": 1000,
        "min_cleanable_dirty_ratio": 0.001,
    },
}
