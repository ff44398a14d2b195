"""The whole daemon in one process: sources, writer, word index, gRPC servers, scheduler.

The event loop serves gRPC only; every source has a pipeline of two threads, and searches run in
a pool. The first fault of storage, encoder or word index ends the process with its message: the
positions are stored, so a restart goes on where this process ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dejalog.daemon.alerts.worker import AlertWorker, forget_rules
from dejalog.daemon.answers import IndexAnswers
from dejalog.daemon.audit import AuditLog
from dejalog.daemon.config import Settings
from dejalog.daemon.engine import (
    RateMeter,
    WritableIndex,
    data_path,
    disk_gate,
    index_status,
    open_decoder,
    open_reranker,
    open_writable,
)
from dejalog.daemon.following import Following
from dejalog.daemon.kafka.dead_letter_topic import DeadLetterTopic
from dejalog.daemon.kafka.peers import peer_positions
from dejalog.daemon.kafka.source import KafkaSource
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.daemon.pipeline import Pipeline, Totals
from dejalog.daemon.retrying import DeadLetterRetry
from dejalog.daemon.rpc_errors import AnswerFault
from dejalog.daemon.schedule import Scheduler, print_line
from dejalog.daemon.server import Server
from dejalog.daemon.sources.files import FileSource
from dejalog.daemon.sources.push import PushSource
from dejalog.daemon.sources.source import Skipped, Source
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.search import Searcher
from dejalog.indexer.status import IndexStatus

#: What the daemon can take events from.
SOURCES = ("push", "files", "kafka")


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts run; `sources` are names of SOURCES, and empty means all that are configured.

    Without `is_searched` it is the worker alone: it takes events and stores them.
    """

    sources: frozenset[str] = frozenset()
    is_searched: bool = True

    def has(self, source: str) -> bool:
        """Whether a source was asked for, or none in particular was."""
        return not self.sources or source in self.sources


def run_daemon(
    settings: Settings,
    parts: Parts = Parts(),
    *,
    on_ready: Callable[[Server], None] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM; raises what ended it otherwise."""
    check_sources(settings, parts)
    with open_writable(settings) as index:
        asyncio.run(_Daemon(settings, parts, index).run(on_ready))


def check_sources(settings: Settings, parts: Parts) -> None:
    """Raises ConfigError where a source that was asked for is not configured."""
    kafka = settings.kafka
    if "kafka" in parts.sources and not kafka.bootstrap_servers:
        raise ConfigError("kafka", "bootstrap_servers", "must be set to read from Kafka")
    if kafka.bootstrap_servers and parts.has("kafka") and not kafka.topics:
        raise ConfigError("kafka", "topics", "must name a topic, or give a pattern, to be read")
    # Unlike Path.resolve, this bears links in a circle, which are complained of when it is opened.
    here = os.path.realpath(data_path(settings))
    if any(os.path.realpath(Path(peer).expanduser()) == here for peer in kafka.peers):
        raise ConfigError(
            "kafka", "peers", f"{here} is this worker's own directory; name the others"
        )
    if "files" in parts.sources and not (settings.sources.files or settings.sources.groups):
        raise ConfigError("sources", "files", "must be set, or sources.groups, to follow files")


class _Daemon:
    def __init__(self, settings: Settings, parts: Parts, index: WritableIndex) -> None:
        self._settings = settings
        self._parts = parts
        self._index = index
        reranker = open_reranker(settings)
        self._searcher = Searcher(index.directory, index.encoder, reranker=reranker)
        self._lexical = LexicalWorker(index.directory, self._fail)
        self._following = Following(self._searcher, self._fail)
        self._alerts = self._new_alerts()
        self._retry = DeadLetterRetry(
            settings, index.directory, index.appender, on_commit=self._notify
        )
        self._dead_letter_topic = self._new_dead_letter_topic()
        self._scheduler = Scheduler(settings, index, self._lexical, on_failure=self._fail)
        self._push = PushSource() if parts.has("push") else None
        self._files = _file_source(settings) if parts.has("files") else None
        self._kafka = _kafka_source(settings) if parts.has("kafka") else None
        given: tuple[Source | None, ...] = (self._push, self._files, self._kafka)
        sources = [source for source in given if source is not None]
        self._sources = sources
        self._stored = [0] * len(sources)
        self._pipelines = [self._pipeline(number) for number in range(len(sources))]
        self._rate = RateMeter()
        self._reported: set[Skipped] = set()
        self._failures: list[BaseException] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = asyncio.Event()

    async def run(self, on_ready: Callable[[Server], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._is_over.set)
        server = Server(
            self._settings.server,
            answers=IndexAnswers(self._searcher) if self._parts.is_searched else None,
            push_source=self._push,
            status=self._status,
            on_fault=self._hear_fault,
            retry=self._retry,
            audit=AuditLog(self._index.directory.path),
            follower=self._following,
        )
        self._lexical.start()
        self._following.start()
        threads = [
            threading.Thread(target=self._drive, args=(pipeline,), name="read")
            for pipeline in self._pipelines
        ]
        for thread in threads:
            thread.start()
        try:
            await server.start()
            self._scheduler.start()
            if self._dead_letter_topic is not None:
                self._dead_letter_topic.start()
            if self._alerts is not None:
                self._alerts.start()
            if on_ready is not None:
                on_ready(server)
            await self._is_over.wait()
        finally:
            # A long retry would use up the time that other calls have to end.
            await asyncio.to_thread(self._retry.finish)
            await server.stop()
            await asyncio.to_thread(self._end, threads)
        if self._failures:
            raise self._failures[0]

    def _pipeline(self, number: int) -> Pipeline:
        return Pipeline(
            self._sources[number],
            open_decoder(self._settings),
            self._index.appender,
            settings=self._settings.ingest,
            on_commit=lambda totals: self._committed(number, totals),
            on_dead_letters=self._push.observe if self._push is self._sources[number] else None,
            gate=self._gate(self._sources[number]),
        )

    def _gate(self, source: Source) -> Callable[[], bool]:
        has_room, kafka = disk_gate(self._settings, is_fatal=False), self._kafka
        if kafka is None or source is not kafka:
            return has_room

        def is_open() -> bool:
            # What went to another worker while the disk was full must not be stored here, too.
            kafka.check()
            return has_room()

        return is_open

    def _new_dead_letter_topic(self) -> DeadLetterTopic | None:
        kafka, index = self._settings.kafka, self._index
        if not (kafka.bootstrap_servers and kafka.dead_letter_suffix):
            return None
        return DeadLetterTopic(kafka, index.directory, index.appender, self._fail)

    def _new_alerts(self) -> AlertWorker | None:
        settings, directory = self._settings, self._index.directory
        if not settings.alerts.queries:
            forget_rules(directory)
            return None
        return AlertWorker(settings.alerts, settings.kafka, directory, self._searcher, self._fail)

    def _drive(self, pipeline: Pipeline) -> None:
        try:
            pipeline.run()
        except BaseException as error:
            if self._push is not None:
                self._push.fail(str(error))
            self._fail(error)

    def _committed(self, number: int, totals: Totals) -> None:
        self._stored[number] = totals.events
        self._rate.add(sum(self._stored))
        self._notify()
        if self._dead_letter_topic is not None:
            self._dead_letter_topic.notify()
        self._report()

    def _notify(self) -> None:
        """Tells those that follow the events that some were committed."""
        self._lexical.notify()
        self._following.notify()
        if self._alerts is not None:
            self._alerts.notify()

    def _report(self) -> None:
        """Says once of each path that it is not read, and why."""
        files = self._files
        for item in [*files.skipped(), *files.problems()] if files is not None else []:
            if item not in self._reported:
                self._reported.add(item)
                sys.stderr.write(f"dejalog: not read: {item.path}: {item.reason}\n")

    def _hear_fault(self, error: BaseException) -> None:
        if isinstance(error, AnswerFault):
            print_line(str(error))
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failures.append(error)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._is_over.set)

    def _end(self, threads: list[threading.Thread]) -> None:
        """Stores what has been read, lets the word index catch up, and closes."""
        if self._dead_letter_topic is not None:
            self._dead_letter_topic.finish()
        self._scheduler.finish()
        for pipeline in self._pipelines:
            pipeline.stop()
        for thread in threads:
            thread.join()
        for source in self._sources:
            source.close()
        self._following.finish()
        if self._alerts is not None:
            self._alerts.finish()
        self._lexical.finish()
        self._searcher.close()

    def _status(self) -> IndexStatus:
        status = index_status(self._index.directory, self._lexical, self._rate.rate())
        return status if self._kafka is None else replace(status, partitions=self._kafka.lags())


def _file_source(settings: Settings) -> FileSource | None:
    groups = [
        (Path(path).expanduser(), tuple(group.labels.items()))
        for group in settings.sources.groups
        for path in group.files
    ]
    files = [Path(path).expanduser() for path in settings.sources.files]
    paths = list(dict.fromkeys([*files, *(path for path, _ in groups)]))
    if not paths:
        return None
    return FileSource(
        paths,
        follow=True,
        path_labels=groups,
        record_bytes_max=settings.decode.record_bytes_max,
    )


def _kafka_source(settings: Settings) -> KafkaSource | None:
    if not settings.kafka.bootstrap_servers:
        return None
    return KafkaSource(
        settings.kafka,
        say=print_line,
        peer_positions=lambda: peer_positions(settings.kafka.peers),
    )
