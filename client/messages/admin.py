"""What an index holds and which dead letters are meant, as messages and back."""

from __future__ import annotations

from dataclasses import asdict

from dejalog.indexer.letters import LetterFilter, NumberRanges, RetryReport
from dejalog.indexer.status import IndexStatus, PartitionLag
from dejalog.proto.v1 import admin_pb2


def status_request(_: None) -> admin_pb2.StatusRequest:
    """Returns the message that asks for the state."""
    return admin_pb2.StatusRequest()


def status_to_message(status: IndexStatus) -> admin_pb2.StatusResponse:
    """Returns the message for an index's state."""
    return admin_pb2.StatusResponse(
        data_directory=status.data_directory,
        events=status.events,
        patterns=status.patterns,
        tokens=status.tokens,
        dead_letters=status.dead_letters,
        shards=status.shards,
        bytes_on_disk=status.bytes_on_disk,
        oldest_unix_nano=status.oldest_ns,
        newest_unix_nano=status.newest_ns,
        encoder_fingerprint=status.encoder_fingerprint,
        version=status.version,
        lexical_lag_events=status.lexical_lag_events,
        ingest_rate=status.ingest_rate,
        pattern_hit_ratio=status.pattern_hit_ratio,
        partitions=[admin_pb2.PartitionLag(**asdict(each)) for each in status.partitions],
    )


def status_from_message(message: admin_pb2.StatusResponse) -> IndexStatus:
    """Returns the state that a message carries."""
    return IndexStatus(
        data_directory=message.data_directory,
        version=message.version,
        encoder_fingerprint=message.encoder_fingerprint,
        events=message.events,
        patterns=message.patterns,
        tokens=message.tokens,
        dead_letters=message.dead_letters,
        shards=message.shards,
        bytes_on_disk=message.bytes_on_disk,
        oldest_ns=message.oldest_unix_nano if message.HasField("oldest_unix_nano") else None,
        newest_ns=message.newest_unix_nano if message.HasField("newest_unix_nano") else None,
        lexical_lag_events=message.lexical_lag_events,
        ingest_rate=message.ingest_rate,
        pattern_hit_ratio=message.pattern_hit_ratio,
        partitions=tuple(
            PartitionLag(
                source=each.source,
                partition=each.partition,
                position=each.position,
                end=each.end,
                lag=each.lag,
                lost=each.lost,
            )
            for each in message.partitions
        ),
    )


def letter_filter_to_message(wanted: LetterFilter) -> admin_pb2.RetryDeadLettersRequest:
    """Returns the request that `letter_filter_from_message` turns back into the filter."""
    ranges = () if wanted.numbers is None else wanted.numbers.ranges
    return admin_pb2.RetryDeadLettersRequest(
        numbers=[admin_pb2.NumberRange(first=first, last=last) for first, last in ranges],
        reason=wanted.reason,
        source=wanted.source,
        since_unix_nano=wanted.since_ns,
        until_unix_nano=wanted.until_ns,
        all=wanted.is_empty,
    )


def letter_filter_from_message(message: admin_pb2.RetryDeadLettersRequest) -> LetterFilter:
    """Returns which dead letters a request means."""
    numbers = NumberRanges.of((each.first, each.last) for each in message.numbers)
    return LetterFilter(
        numbers=numbers if message.numbers else None,
        reason=message.reason,
        source=message.source,
        since_ns=message.since_unix_nano if message.HasField("since_unix_nano") else None,
        until_ns=message.until_unix_nano if message.HasField("until_unix_nano") else None,
    )


def retry_report_to_message(report: RetryReport) -> admin_pb2.RetryDeadLettersResponse:
    """Returns the response for what a whole retry did."""
    return admin_pb2.RetryDeadLettersResponse(
        retried=report.retried,
        events=report.events,
        new_dead_letters=report.new_dead_letters,
        still_dead=report.still_dead,
        cut=report.cut,
        resolved=report.resolved,
    )


def retry_report_from_message(message: admin_pb2.RetryDeadLettersResponse) -> RetryReport:
    """Returns what a response says was done."""
    return RetryReport(
        retried=message.retried,
        events=message.events,
        new_dead_letters=message.new_dead_letters,
        still_dead=message.still_dead,
        cut=message.cut,
        resolved=message.resolved,
    )
