"""Events, hits and what explains them, as messages and back.

From a message raises ValueError where it names a kind of event that this version does not know.
"""

from __future__ import annotations

from dejalog.indexer.answer import Coverage, Match
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores
from dejalog.proto.v1 import search_pb2

_KINDS = {Kind.LOG: search_pb2.KIND_LOG, Kind.NOTE: search_pb2.KIND_NOTE}
_TIME_ORIGINS = {
    TimeOrigin.EVENT: search_pb2.TIME_ORIGIN_EVENT,
    TimeOrigin.RECEIVED: search_pb2.TIME_ORIGIN_RECEIVED,
}


def occurrence_to_message(occurrence: Occurrence) -> search_pb2.Occurrence:
    """Returns the message of one event."""
    event = occurrence.event
    return search_pb2.Occurrence(
        event_id=occurrence.event_id,
        time_unix_nano=event.time_ns,
        time_origin=_TIME_ORIGINS[event.time_origin],
        kind=_KINDS[event.kind],
        text=event.text,
        source=event.source,
        partition=event.partition,
        offset=event.offset,
        sub=event.sub,
        labels=dict(event.labels),
        attributes=dict(event.attributes),
    )


def occurrence_from_message(message: search_pb2.Occurrence) -> Occurrence:
    """Returns the event that a message carries."""
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


def evidence_to_message(evidence: Evidence) -> search_pb2.Evidence:
    """Returns the message of one pair of words."""
    return search_pb2.Evidence(
        query_start=evidence.query_start,
        query_end=evidence.query_end,
        text_start=evidence.text_start,
        text_end=evidence.text_end,
        similarity=evidence.similarity,
        share=evidence.share,
    )


def evidence_from_message(message: search_pb2.Evidence) -> Evidence:
    """Returns the pair of words that a message carries."""
    return Evidence(
        query_start=message.query_start,
        query_end=message.query_end,
        text_start=message.text_start,
        text_end=message.text_end,
        similarity=message.similarity,
        share=message.share,
    )


def scores_to_message(scores: Scores) -> search_pb2.Scores:
    """Returns the message of how a score came about."""
    return search_pb2.Scores(
        total=scores.total,
        semantic=scores.semantic,
        pooled=scores.pooled,
        lexical=scores.lexical,
        exact=scores.exact,
        marks=scores.marks,
        reranked=scores.reranked,
    )


def scores_from_message(message: search_pb2.Scores) -> Scores:
    """Returns how a score came about."""
    return Scores(
        total=message.total,
        semantic=message.semantic,
        pooled=message.pooled,
        lexical=message.lexical,
        exact=message.exact,
        marks=message.marks,
        reranked=message.reranked if message.HasField("reranked") else None,
    )


def hit_to_message(hit: Hit) -> search_pb2.Hit:
    """Returns the message of a hit."""
    return search_pb2.Hit(
        pattern_id=hit.pattern_id,
        pattern=hit.pattern,
        scores=scores_to_message(hit.scores),
        count=hit.count,
        first_seen_unix_nano=hit.first_seen_ns,
        last_seen_unix_nano=hit.last_seen_ns,
        occurrences=map(occurrence_to_message, hit.occurrences),
        evidence=map(evidence_to_message, hit.evidence),
    )


def hit_from_message(message: search_pb2.Hit) -> Hit:
    """Returns the hit that a message carries."""
    return Hit(
        pattern_id=message.pattern_id,
        pattern=message.pattern,
        scores=scores_from_message(message.scores),
        count=message.count,
        first_seen_ns=message.first_seen_unix_nano,
        last_seen_ns=message.last_seen_unix_nano,
        occurrences=tuple(map(occurrence_from_message, message.occurrences)),
        evidence=tuple(map(evidence_from_message, message.evidence)),
    )


def match_to_message(match: Match) -> search_pb2.Match:
    """Returns the message of a new event that meets a query."""
    return search_pb2.Match(
        occurrence=occurrence_to_message(match.occurrence),
        pattern_id=match.pattern_id,
        pattern=match.pattern,
        scores=scores_to_message(match.scores),
        evidence=map(evidence_to_message, match.evidence),
        is_new_pattern=match.is_new_pattern,
    )


def match_from_message(message: search_pb2.Match) -> Match:
    """Returns the new event that a message carries."""
    return Match(
        occurrence=occurrence_from_message(message.occurrence),
        pattern_id=message.pattern_id,
        pattern=message.pattern,
        scores=scores_from_message(message.scores),
        evidence=tuple(map(evidence_from_message, message.evidence)),
        is_new_pattern=message.is_new_pattern,
    )


def coverage_to_message(coverage: Coverage) -> search_pb2.Coverage:
    """Returns the message of what was looked at."""
    return search_pb2.Coverage(
        events_total=coverage.events_total,
        events_matched=coverage.events_matched,
        shards_searched=coverage.shards_searched,
        elapsed_s=coverage.elapsed_s,
        is_partial=coverage.is_partial,
        damaged_shards=coverage.damaged_shards,
    )


def coverage_from_message(message: search_pb2.Coverage) -> Coverage:
    """Returns what was looked at."""
    return Coverage(
        events_total=message.events_total,
        events_matched=message.events_matched,
        shards_searched=message.shards_searched,
        elapsed_s=message.elapsed_s,
        is_partial=message.is_partial,
        damaged_shards=tuple(message.damaged_shards),
    )
