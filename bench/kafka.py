"""Kafka through Faust into the index: throughput with a profile; JSON lines.

    python -m bench.kafka fill --topic bench --records 300000 FILE...
    python -m bench.kafka throughput --topic bench
    python -m bench.kafka agent --topic bench

All need a broker (`--bootstrap`, by default 127.0.0.1:9092). `throughput` reads the topic from its
beginning into a fresh index in this process, and tells where processor time went: by thread, and
within the pipeline's threads by stage. `agent` reads it with a plain Faust agent that stores
nothing, for comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from dejalog.daemon import pipeline as pipeline_module
from dejalog.daemon.config import DataSettings, Settings
from dejalog.daemon.engine import open_decoder, open_writable
from dejalog.daemon.kafka.settings import KafkaSettings, TopicRule
from dejalog.daemon.kafka.source import KafkaSource
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.daemon.pipeline import Pipeline, Totals


def main() -> None:
    """Runs one measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fill", "throughput", "agent"))
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="bench")
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--records", type=int, default=300_000)
    given = parser.parse_intermixed_args()
    measurements: dict[str, Callable[[argparse.Namespace], None]] = {
        "fill": fill,
        "throughput": throughput,
        "agent": agent,
    }
    measurements[given.what](given)


def fill(given: argparse.Namespace) -> None:
    """Makes the topic and produces the files' lines, again from the first if need be."""
    make_topic(given)
    producer = new_producer(given)
    started = time.perf_counter()
    for line in lines(given.files, given.records):
        producer.send(given.topic, line)
    producer.flush()
    report("fill", records=given.records, seconds=round(time.perf_counter() - started, 2))


def throughput(given: argparse.Namespace) -> None:
    """Reads the topic to its end as `dejalog worker` does."""
    total = log_size(given)
    spent: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, timed_stages(spent):
        settings = replace(
            Settings(), data=DataSettings(directory=folder), kafka=kafka_settings(given)
        )
        source = KafkaSource(settings.kafka, say=lambda text: print(text, file=sys.stderr))
        with open_writable(settings) as index:
            failures: list[BaseException] = []
            lexical = LexicalWorker(index.directory, failures.append)
            first_at: list[float] = []

            def committed(totals: Totals) -> None:
                first_at.append(time.perf_counter())
                lexical.notify()
                if totals.records >= total:
                    pipeline.stop()

            pipeline = Pipeline(
                source,
                open_decoder(settings),
                index.appender,
                settings=settings.ingest,
                on_commit=committed,
            )
            timed(spent, "append (encode included)", index.appender, "append")
            timed(spent, "encode", index.encoder, "encode_patterns")
            lexical.start()
            started, cpu_started = time.perf_counter(), time.process_time()
            totals = pipeline.run()
            seconds = first_at[-1] - started
            threads = thread_seconds()
            source.close()
            lexical.finish()
            cpu = time.process_time() - cpu_started
    # Joining a group and finding the positions takes a second or two, once.
    steady = (totals.events * (len(first_at) - 1) / len(first_at)) / (first_at[-1] - first_at[0])
    report(
        "throughput",
        events=totals.events,
        new_patterns=totals.new_patterns,
        seconds=round(seconds, 2),
        events_per_s=round(totals.events / seconds),
        events_per_s_once_joined=round(steady),
        cpu_s=round(cpu, 2),
        threads_cpu_s=threads,
        stages_cpu_s={name: round(value, 2) for name, value in spent.items()},
    )


def agent(given: argparse.Namespace) -> None:
    """Reads the topic to its end with Faust's own agent, which does nothing with what it takes."""
    import faust

    total = log_size(given)
    seen: list[float] = []

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            app = faust.App(
                f"bench-{uuid.uuid4().hex[:8]}",
                broker=f"kafka://{given.bootstrap}",
                value_serializer="raw",
                web_enabled=False,
                topic_disable_leader=True,
                stream_wait_empty=False,
                consumer_auto_offset_reset="earliest",
                datadir=folder,
            )
            count = 0

            @app.agent(app.topic(given.topic, value_serializer="raw", key_serializer="raw"))
            async def take(stream: Any) -> None:
                nonlocal count
                async for events in stream.noack_take(1_000, within=0.1):
                    count += len(events)
                    seen.append(time.perf_counter())
                    for event in events:
                        event.ack()

            app.finalize()
            await app.start()
            while count < total:
                await asyncio.sleep(0.05)
            await app.stop()

    cpu = time.process_time()
    asyncio.run(run())
    seconds = seen[-1] - seen[0]
    report(
        "agent",
        events=total,
        events_per_s_once_joined=round(total / seconds),
        cpu_s=round(time.process_time() - cpu, 2),
    )


def kafka_settings(given: argparse.Namespace) -> KafkaSettings:
    """Settings of a group that has read nothing yet."""
    return KafkaSettings(
        bootstrap_servers=(given.bootstrap,),
        topics=(TopicRule(name=given.topic),),
        group=f"bench-{uuid.uuid4().hex[:8]}",
    )


def make_topic(given: argparse.Namespace) -> None:
    """Makes the topic unless there is one."""
    admin = KafkaAdminClient(bootstrap_servers=given.bootstrap)
    if given.topic not in admin.list_topics():
        admin.create_topics(
            [NewTopic(given.topic, num_partitions=given.partitions, replication_factor=1)]
        )
    admin.close()


def new_producer(given: argparse.Namespace, *, linger_ms: int = 50) -> KafkaProducer:
    """A producer that waits for the broker's acknowledgement."""
    return KafkaProducer(
        bootstrap_servers=given.bootstrap, acks="all", linger_ms=linger_ms, batch_size=1 << 17
    )


def log_size(given: argparse.Namespace) -> int:
    """How many records the topic holds."""
    consumer = KafkaConsumer(bootstrap_servers=given.bootstrap)
    numbers = consumer.partitions_for_topic(given.topic) or ()
    partitions = [TopicPartition(given.topic, number) for number in numbers]
    beginnings, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    consumer.close()
    return sum(ends[p] - beginnings[p] for p in partitions)


def lines(files: Sequence[Path], count: int) -> Iterator[bytes]:
    """Yields so many lines of the files, from the first again after the last."""
    while files:
        for path in files:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
                for line in stream:
                    if count == 0:
                        return
                    count -= 1
                    yield line.rstrip(b"\r\n")


class timed_stages:  # noqa: N801 - used as a with statement's verb
    """Adds up the processor time of decoding and masking while the block runs."""

    def __init__(self, spent: dict[str, float]) -> None:
        self._spent = spent
        self._mask = pipeline_module.mask_pattern
        self._decode = pipeline_module.Decoder.decode

    def __enter__(self) -> None:
        timed(self._spent, "mask", pipeline_module, "mask_pattern")
        timed(self._spent, "decode", pipeline_module.Decoder, "decode")

    def __exit__(self, *_: object) -> None:
        pipeline_module.mask_pattern = self._mask
        pipeline_module.Decoder.decode = self._decode  # type: ignore[method-assign]


def timed(spent: dict[str, float], stage: str, owner: Any, name: str) -> None:
    """Replaces a function by one that adds its thread's processor time to `spent`.

    Encoding runs on threads of its own, too: their time is that of the threads' table.
    """
    inner = getattr(owner, name)

    def wrapper(*arguments: Any, **options: Any) -> Any:
        started = time.thread_time()
        try:
            return inner(*arguments, **options)
        finally:
            spent[stage] = spent.get(stage, 0.0) + time.thread_time() - started

    setattr(owner, name, wrapper)


def thread_seconds() -> dict[str, float]:
    """Processor seconds of every thread that runs, by name; native threads count as one."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    tick = os.sysconf("SC_CLK_TCK")
    seconds: dict[str, float] = {}
    for folder in Path("/proc/self/task").iterdir():
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        name = names.get(int(folder.name), "native (encoder, word index)")
        seconds[name] = seconds.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / tick
    return {name: round(value, 2) for name, value in sorted(seconds.items()) if value >= 0.05}


def report(what: str, **figures: object) -> None:
    """Prints one JSON object."""
    print(json.dumps({"what": what, **figures}), flush=True)


if __name__ == "__main__":
    main()
