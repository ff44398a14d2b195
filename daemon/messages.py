"""Between the index's dataclasses and the messages of `dejalog.v1`, both ways.

A response must fit into one gRPC message, whose default limit on the client's side is 4 MiB. So a
result that is larger is cut, hit by hit, and says so; it never fails:

1. Every hit in full, if they fit together.
2. Otherwise each hit, best first, gets an equal share of the space that is left, and the fullest
   of the cuts below that fits its share. What a hit does not use, the ones after it may.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores, SearchResult
from dejalog.indexer.letters import LetterFilter, NumberRanges, RetryReport
from dejalog.indexer.query import Mode, SearchRequest
from dejalog.indexer.status import IndexStatus, PartitionLag
from dejalog.proto.v1 import admin_pb2, search_pb2

#: Leaves room below the 4 MiB default for the other fields and for gRPC's own framing.
RESPONSE_BYTES_MAX = 3_500_000

_MODES = {
    search_pb2.SEARCH_MODE_UNSPECIFIED: Mode.HYBRID,
    search_pb2.SEARCH_MODE_HYBRID: Mode.HYBRID,
    search_pb2.SEARCH_MODE_SEMANTIC: Mode.SEMANTIC,
    search_pb2.SEARCH_MODE_LEXICAL: Mode.LEXICAL,
}
_KINDS = {Kind.LOG: search_pb2.KIND_LOG, Kind.NOTE: search_pb2.KIND_NOTE}
_TIME_ORIGINS = {
    TimeOrigin.EVENT: search_pb2.TIME_ORIGIN_EVENT,
    TimeOrigin.RECEIVED: search_pb2.TIME_ORIGIN_RECEIVED,
}
_MODE_NUMBERS = {mode: number for number, mode in _MODES.items() if number}


@dataclass(frozen=True, slots=True)
class _Cut:
    """How much of a hit is sent; lengths are code points."""

    text_length_max: int
    occurrences_max: int
    has_attributes: bool = False
    has_evidence: bool = True


_FULL = _Cut(2**31, 2**31, has_attributes=True)
#: From the mildest to the hardest. The last one bounds a hit at about 1.1 kB (256 code points of up
#: to four bytes), so that even 1,000 hits fit.
_CUTS = (
    _Cut(16_384, 2**31, has_attributes=True),
    _Cut(4_096, 2**31),
    _Cut(1_024, 10),
    _Cut(512, 3),
    _Cut(512, 1),
    _Cut(256, 0, has_evidence=False),
)


def request_from_message(message: search_pb2.SearchRequest) -> SearchRequest:
    """Returns the request with defaults filled in; raises KeyError on a mode it does not know."""
    return SearchRequest(
        text=message.query,
        limit=message.limit or 10,
        occurrences=message.occurrences if message.HasField("occurrences") else 3,
        since_ns=message.since_unix_nano if message.HasField("since_unix_nano") else None,
        until_ns=message.until_unix_nano if message.HasField("until_unix_nano") else None,
        where=tuple(message.where),
        mode=_MODES[message.mode],
    )


def request_to_message(request: SearchRequest) -> search_pb2.SearchRequest:
    """Returns the message that `request_from_message` turns back into the request."""
    return search_pb2.SearchRequest(
        query=request.text,
        limit=request.limit,
        occurrences=request.occurrences,
        since_unix_nano=request.since_ns,
        until_unix_nano=request.until_ns,
        where=request.where,
        mode=_MODE_NUMBERS[request.mode],
    )


def result_to_message(
    result: SearchResult, *, bytes_max: int = RESPONSE_BYTES_MAX
) -> search_pb2.SearchResponse:
    """Returns the response, cut so that its hits take at most `bytes_max` bytes."""
    response = search_pb2.SearchResponse(
        events_total=result.events_total,
        events_matched=result.events_matched,
        patterns_scored=result.patterns_scored,
        shards_searched=result.shards_searched,
        elapsed_s=result.elapsed_s,
        is_partial=result.is_partial,
        damaged_shards=result.damaged_shards,
    )
    if sum(_least_bytes(hit, _FULL) for hit in result.hits) <= bytes_max:
        messages = [_hit_to_message(hit, _FULL) for hit in result.hits]
        if sum(map(_framed_bytes, messages)) <= bytes_max:
            response.hits.extend(messages)
            return response
    response.is_cut = True
    for index, hit in enumerate(result.hits):
        message = _fitting(hit, bytes_max // (len(result.hits) - index))
        bytes_max -= _framed_bytes(message)
        response.hits.append(message)
    return response


def result_from_message(message: search_pb2.SearchResponse) -> SearchResult:
    """Returns the result that a response carries."""
    return SearchResult(
        hits=tuple(_hit_from_message(hit) for hit in message.hits),
        events_total=message.events_total,
        events_matched=message.events_matched,
        patterns_scored=message.patterns_scored,
        shards_searched=message.shards_searched,
        elapsed_s=message.elapsed_s,
        is_partial=message.is_partial,
        damaged_shards=tuple(message.damaged_shards),
    )


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


def _framed_bytes(message: search_pb2.Hit) -> int:
    # A field tag and a length of up to four bytes stand before each hit.
    return message.ByteSize() + 5


def _least_bytes(hit: Hit, cut: _Cut) -> int:
    # A code point takes at least one byte: tells what cannot fit without building it.
    length_max = cut.text_length_max
    size = min(len(hit.pattern), length_max)
    for occurrence in hit.occurrences[: cut.occurrences_max]:
        size += min(len(occurrence.event.text), length_max)
    return size


def _fitting(hit: Hit, bytes_max: int) -> search_pb2.Hit:
    for cut in (_FULL, *_CUTS[:-1]):
        if _least_bytes(hit, cut) <= bytes_max:
            message = _hit_to_message(hit, cut)
            message.is_cut = cut is not _FULL
            if _framed_bytes(message) <= bytes_max:
                return message
    message = _hit_to_message(hit, _CUTS[-1])
    message.is_cut = True
    return message


def _hit_to_message(hit: Hit, cut: _Cut) -> search_pb2.Hit:
    evidence: tuple[Evidence, ...] = ()
    if cut.has_evidence and cut.occurrences_max:
        evidence = tuple(each for each in hit.evidence if each.text_end <= cut.text_length_max)
    return search_pb2.Hit(
        pattern_id=hit.pattern_id,
        pattern=hit.pattern[: cut.text_length_max],
        scores=search_pb2.Scores(
            total=hit.scores.total,
            semantic=hit.scores.semantic,
            pooled=hit.scores.pooled,
            lexical=hit.scores.lexical,
            exact=hit.scores.exact,
        ),
        count=hit.count,
        first_seen_unix_nano=hit.first_seen_ns,
        last_seen_unix_nano=hit.last_seen_ns,
        occurrences=[
            _occurrence_to_message(each, cut) for each in hit.occurrences[: cut.occurrences_max]
        ],
        evidence=[
            search_pb2.Evidence(
                query_start=each.query_start,
                query_end=each.query_end,
                text_start=each.text_start,
                text_end=each.text_end,
                similarity=each.similarity,
            )
            for each in evidence
        ],
    )


def _occurrence_to_message(occurrence: Occurrence, cut: _Cut) -> search_pb2.Occurrence:
    event = occurrence.event
    return search_pb2.Occurrence(
        event_id=occurrence.event_id,
        time_unix_nano=event.time_ns,
        time_origin=_TIME_ORIGINS[event.time_origin],
        kind=_KINDS[event.kind],
        text=event.text[: cut.text_length_max],
        source=event.source,
        partition=event.partition,
        offset=event.offset,
        sub=event.sub,
        labels=dict(event.labels),
        attributes=dict(event.attributes) if cut.has_attributes else {},
    )


def _hit_from_message(message: search_pb2.Hit) -> Hit:
    scores = message.scores
    return Hit(
        pattern_id=message.pattern_id,
        pattern=message.pattern,
        scores=Scores(scores.total, scores.semantic, scores.pooled, scores.lexical, scores.exact),
        count=message.count,
        first_seen_ns=message.first_seen_unix_nano,
        last_seen_ns=message.last_seen_unix_nano,
        occurrences=tuple(_occurrence_from_message(each) for each in message.occurrences),
        evidence=tuple(
            Evidence(
                each.query_start, each.query_end, each.text_start, each.text_end, each.similarity
            )
            for each in message.evidence
        ),
    )


def _occurrence_from_message(message: search_pb2.Occurrence) -> Occurrence:
    event = Event(
        kind=Kind(message.kind),
        time_ns=message.time_unix_nano,
        time_origin=TimeOrigin(message.time_origin),
        text=message.text,
        source=message.source,
        partition=message.partition,
        offset=message.offset,
        sub=message.sub,
        labels=tuple(sorted(message.labels.items())),
        attributes=tuple(sorted(message.attributes.items())),
    )
    return Occurrence(message.event_id, event)
