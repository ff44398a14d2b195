"""Kill -9 a worker at random moments over a large topic, and compare the index with the topic.

    python -m bench.kafka_kills --kills 20 --records 300000 FILE...

Needs a broker (`--bootstrap`). `dejalog kafka replay` fills a topic of 8 partitions with the files'
records (again from the first, until there are enough). Then `dejalog worker` is started and killed
again and again, and at last left to read to the end. Every record of the topic must be in the index
once, by its place and by its content, and nothing else. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from dejalog.daemon.kafka.rules import TopicRules
from dejalog.daemon.kafka.settings import TopicRule
from dejalog.indexer.decode import Decoder
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.view import ShardView

PARTITIONS = 8
#: A worker reads its first record after about 3 s, and the whole topic in a minute or two.
KILL_AFTER_S = (2.0, 9.0)
DEJALOG = (sys.executable, "-m", "dejalog.daemon")


def main() -> None:
    """Fills, kills, compares, and fails if anything is missing or twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_intermixed_args()
    topic = f"kills-{uuid.uuid4().hex[:8]}"
    make_topic(given.bootstrap, topic)
    filled_s = fill(given, topic)
    with tempfile.TemporaryDirectory() as folder:
        rng = random.Random(given.seed)
        flags = worker_flags(given.bootstrap, topic, folder)
        moments = [kill_once(flags, rng) for _ in range(given.kills)]
        lag = run_to_end(flags)
        found = compare(given.bootstrap, topic, Path(folder))
        command = [*DEJALOG, "verify", "--data", folder]
        verified = subprocess.run(command, capture_output=True, check=False)
    report = {
        "what": "kafka_kills",
        "seed": given.seed,
        "kills": len(moments),
        "killed_after_s": [round(moment, 1) for moment in moments],
        "replay_records_per_s": round(given.records / filled_s),
        **found,
        "lag": lag,
        "verify": verified.returncode,
    }
    print(json.dumps(report), flush=True)
    sound = not (found["missing"] or found["twice"] or found["other_content"] or found["foreign"])
    sys.exit(0 if sound and lag == 0 and verified.returncode == 0 else 1)


def make_topic(bootstrap: str, topic: str) -> None:
    """Makes the topic."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])
    admin.close()


def fill(given: argparse.Namespace, topic: str) -> float:
    """Sends the files' records with `dejalog kafka replay`; returns the seconds it took."""
    started = time.monotonic()
    while (left := given.records - topic_size(given.bootstrap, topic)) > 0:
        flags = ["--topic", topic, "--limit", str(left)]
        server = ["--set", f"kafka.bootstrap_servers={given.bootstrap}"]
        subprocess.run(
            [*DEJALOG, "kafka", "replay", *map(str, given.files), *flags, *server], check=True
        )
    return time.monotonic() - started


def worker_flags(bootstrap: str, topic: str, folder: str) -> list[str]:
    """The worker's settings, as flags."""
    options = {
        "kafka.bootstrap_servers": bootstrap,
        "kafka.topics": json.dumps([{"name": topic}]),
        "kafka.group": topic,
        "kafka.instance": "worker-1",
        "server.listen": "",
        "server.otlp_listen": "",
    }
    flags = [part for item in options.items() for part in ("--set", "=".join(item))]
    return [*flags, "--data", folder]


def kill_once(flags: list[str], rng: random.Random) -> float:
    """Runs a worker for a moment; returns how long, in seconds."""
    process = subprocess.Popen([*DEJALOG, "worker", *flags], stderr=subprocess.DEVNULL)
    moment = rng.uniform(*KILL_AFTER_S)
    time.sleep(moment)
    process.kill()
    process.wait()
    return moment


def run_to_end(flags: list[str]) -> int:
    """Runs a worker until it has read everything, and stops it; returns the lag that is left."""
    process = subprocess.Popen([*DEJALOG, "worker", *flags], stderr=subprocess.DEVNULL)
    try:
        give_up_at = time.monotonic() + 900
        while (lag := read_lag(flags)) and time.monotonic() < give_up_at:
            time.sleep(2)
            if process.poll() is not None:
                raise SystemExit(f"the worker ended by itself with {process.returncode}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    return lag


def read_lag(flags: list[str]) -> int:
    """What `dejalog kafka lag` counts."""
    ran = subprocess.run(
        [*DEJALOG, "kafka", "lag", "-o", "json", *flags], capture_output=True, check=True
    )
    return sum(int(json.loads(line)["lag"]) for line in ran.stdout.splitlines())


def compare(bootstrap: str, topic: str, data: Path) -> dict[str, int]:
    """Compares the index with the topic, by place and by what decoding makes of each record."""
    found: Counter[tuple[str, int, int]] = Counter()
    texts: dict[tuple[str, int, int], int] = {}
    for source, partition, offset, sub, text in indexed(data):
        assert source == f"kafka:{topic}"
        found[partition, offset, sub] += 1
        texts[partition, offset, sub] = hash(text)
    figures = {"records": 0, "events": sum(found.values()), "missing": 0, "other_content": 0}
    rules, decoder = TopicRules([TopicRule(name=topic)]), Decoder()
    for record in records(bootstrap, topic):
        figures["records"] += 1
        expected = decoder.decode(
            rules.record(
                topic=topic,
                partition=record.partition,
                offset=record.offset,
                key=record.key,
                value=record.value,
                headers=record.headers,
                received_at_ns=1,
            )
        )
        for event in expected.events:
            place = (event.partition, event.offset, event.sub)
            figures["missing"] += place not in texts
            figures["other_content"] += texts.pop(place, hash(event.text)) != hash(event.text)
    twice = sum(count - 1 for count in found.values())
    return {**figures, "twice": twice, "foreign": len(texts)}


def indexed(data: Path) -> Iterator[tuple[str, str, int, int, str]]:
    """Yields every event of an index: source, partition, offset, sub and text."""
    with DataDirectory.open(data, is_writable=False) as directory:
        for shard in directory.shards:
            arrays = ShardView(shard).refresh()
            with shard.snapshot() as snapshot:
                reader = EventReader(snapshot, arrays)
                first = shard.header.first_event
                for row in range(len(arrays.columns.times)):
                    event = reader.event(first + row)
                    yield event.source, event.partition, event.offset, event.sub, event.text


def records(bootstrap: str, topic: str) -> Iterator[object]:
    """Yields every record of the topic."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    left = sum(consumer.end_offsets(places).values())
    while left:
        for given in consumer.poll(timeout_ms=1000).values():
            left -= len(given)
            yield from given
    consumer.close()


def topic_size(bootstrap: str, topic: str) -> int:
    """How many records the topic holds."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    size = sum(consumer.end_offsets(places).values())
    consumer.close()
    return int(size)


if __name__ == "__main__":
    main()
