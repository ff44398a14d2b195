"""Results as messages and back.

To a message gives everything but the lists that may have to be cut to fit into one message: the
daemon adds those, item by item. From a message gives all of it.
"""

from __future__ import annotations

from dejalog.client.messages.events import (
    coverage_from_message,
    coverage_to_message,
    hit_from_message,
    hit_to_message,
    occurrence_from_message,
    occurrence_to_message,
)
from dejalog.indexer.answer import (
    Change,
    Context,
    CourseStep,
    DiffResult,
    FollowingNote,
    HistogramResult,
    PatternChange,
    PatternsResult,
    PatternSummary,
    Precedent,
    PrecedentsResult,
    Series,
    SimilarResult,
)
from dejalog.indexer.hit import Misspelling, SearchResult
from dejalog.proto.v1 import search_pb2

_CHANGES = {
    Change.APPEARED: search_pb2.CHANGE_APPEARED,
    Change.VANISHED: search_pb2.CHANGE_VANISHED,
    Change.MORE: search_pb2.CHANGE_MORE,
    Change.LESS: search_pb2.CHANGE_LESS,
}
_CHANGES_BY_NUMBER = {number: change for change, number in _CHANGES.items()}


def search_to_message(result: SearchResult) -> search_pb2.SearchResponse:
    """Returns the response without its hits."""
    return search_pb2.SearchResponse(
        events_total=result.events_total,
        events_matched=result.events_matched,
        patterns_scored=result.patterns_scored,
        shards_searched=result.shards_searched,
        elapsed_s=result.elapsed_s,
        is_partial=result.is_partial,
        damaged_shards=result.damaged_shards,
        misspellings=[
            search_pb2.Misspelling(typed=each.typed, read=each.read) for each in result.misspellings
        ],
    )


def search_from_message(message: search_pb2.SearchResponse) -> SearchResult:
    """Returns the result."""
    return SearchResult(
        hits=tuple(map(hit_from_message, message.hits)),
        events_total=message.events_total,
        events_matched=message.events_matched,
        patterns_scored=message.patterns_scored,
        shards_searched=message.shards_searched,
        elapsed_s=message.elapsed_s,
        is_partial=message.is_partial,
        damaged_shards=tuple(message.damaged_shards),
        misspellings=tuple(Misspelling(each.typed, each.read) for each in message.misspellings),
    )


def similar_from_message(message: search_pb2.SimilarResponse) -> SimilarResult:
    """Returns the result."""
    return SimilarResult(
        event=occurrence_from_message(message.event), result=search_from_message(message.result)
    )


def precedents_to_message(result: PrecedentsResult) -> search_pb2.PrecedentsResponse:
    """Returns the response without its incidents and without the event."""
    return search_pb2.PrecedentsResponse(
        incidents_total=result.incidents_total, coverage=coverage_to_message(result.coverage)
    )


def precedents_from_message(message: search_pb2.PrecedentsResponse) -> PrecedentsResult:
    """Returns the result."""
    return PrecedentsResult(
        event=occurrence_from_message(message.event) if message.HasField("event") else None,
        precedents=tuple(map(precedent_from_message, message.precedents)),
        incidents_total=message.incidents_total,
        coverage=coverage_from_message(message.coverage),
    )


def precedent_to_message(precedent: Precedent) -> search_pb2.Precedent:
    """Returns the message of an incident."""
    return search_pb2.Precedent(
        asset_label=precedent.asset_label,
        asset=precedent.asset,
        source=precedent.source,
        start_unix_nano=precedent.start_ns,
        end_unix_nano=precedent.end_ns,
        score=precedent.score,
        events=precedent.events,
        hits=map(hit_to_message, precedent.hits),
        course=map(_step_to_message, precedent.course),
        notes=map(_note_to_message, precedent.notes),
    )


def precedent_from_message(message: search_pb2.Precedent) -> Precedent:
    """Returns the incident that a message carries."""
    return Precedent(
        asset_label=message.asset_label,
        asset=message.asset,
        source=message.source,
        start_ns=message.start_unix_nano,
        end_ns=message.end_unix_nano,
        score=message.score,
        events=message.events,
        hits=tuple(map(hit_from_message, message.hits)),
        course=tuple(map(_step_from_message, message.course)),
        notes=tuple(map(_note_from_message, message.notes)),
    )


def patterns_to_message(result: PatternsResult) -> search_pb2.PatternsResponse:
    """Returns the response without its patterns."""
    return search_pb2.PatternsResponse(
        patterns_total=result.patterns_total,
        start_unix_nano=result.start_ns,
        width_nano=result.width_ns,
        coverage=coverage_to_message(result.coverage),
    )


def patterns_from_message(message: search_pb2.PatternsResponse) -> PatternsResult:
    """Returns the result."""
    return PatternsResult(
        patterns=tuple(map(_summary_from_message, message.patterns)),
        patterns_total=message.patterns_total,
        start_ns=message.start_unix_nano,
        width_ns=message.width_nano,
        coverage=coverage_from_message(message.coverage),
    )


def summary_to_message(summary: PatternSummary) -> search_pb2.PatternSummary:
    """Returns the message of a pattern with its counts."""
    return search_pb2.PatternSummary(
        pattern_id=summary.pattern_id,
        pattern=summary.pattern,
        count=summary.count,
        first_seen_unix_nano=summary.first_seen_ns,
        last_seen_unix_nano=summary.last_seen_ns,
        first_ever_unix_nano=summary.first_ever_ns,
        counts=summary.counts,
        example=occurrence_to_message(summary.example),
    )


def diff_to_message(result: DiffResult) -> search_pb2.DiffResponse:
    """Returns the response without its changes."""
    return search_pb2.DiffResponse(
        changes_total=result.changes_total,
        patterns_compared=result.patterns_compared,
        events_before=result.events_before,
        events_after=result.events_after,
        coverage=coverage_to_message(result.coverage),
    )


def diff_from_message(message: search_pb2.DiffResponse) -> DiffResult:
    """Returns the result; raises KeyError on a change that this version does not know."""
    return DiffResult(
        changes=tuple(map(_change_from_message, message.changes)),
        changes_total=message.changes_total,
        patterns_compared=message.patterns_compared,
        events_before=message.events_before,
        events_after=message.events_after,
        coverage=coverage_from_message(message.coverage),
    )


def change_to_message(change: PatternChange) -> search_pb2.PatternChange:
    """Returns the message of what became of a pattern."""
    return search_pb2.PatternChange(
        pattern_id=change.pattern_id,
        pattern=change.pattern,
        change=_CHANGES[change.change],
        count_before=change.count_before,
        count_after=change.count_after,
        rate_ratio=change.rate_ratio,
        p_value=change.p_value,
        first_ever_unix_nano=change.first_ever_ns,
        example=occurrence_to_message(change.example),
    )


def histogram_to_message(result: HistogramResult) -> search_pb2.HistogramResponse:
    """Returns the whole response."""
    return search_pb2.HistogramResponse(
        series=[
            search_pb2.Series(value=each.value, counts=each.counts, is_rest=each.is_rest)
            for each in result.series
        ],
        start_unix_nano=result.start_ns,
        width_nano=result.width_ns,
        coverage=coverage_to_message(result.coverage),
    )


def histogram_from_message(message: search_pb2.HistogramResponse) -> HistogramResult:
    """Returns the result."""
    return HistogramResult(
        series=tuple(
            Series(each.value, tuple(each.counts), each.is_rest) for each in message.series
        ),
        start_ns=message.start_unix_nano,
        width_ns=message.width_nano,
        coverage=coverage_from_message(message.coverage),
    )


def context_from_message(message: search_pb2.ContextResponse) -> Context:
    """Returns the event with its neighbours."""
    return Context(
        event=occurrence_from_message(message.event),
        before=tuple(map(occurrence_from_message, message.before)),
        after=tuple(map(occurrence_from_message, message.after)),
        is_complete=message.is_complete,
    )


def _step_to_message(step: CourseStep) -> search_pb2.CourseStep:
    return search_pb2.CourseStep(
        pattern_id=step.pattern_id,
        pattern=step.pattern,
        count=step.count,
        first_seen_unix_nano=step.first_seen_ns,
        unusual=step.unusual,
        example=occurrence_to_message(step.example),
    )


def _step_from_message(message: search_pb2.CourseStep) -> CourseStep:
    return CourseStep(
        pattern_id=message.pattern_id,
        pattern=message.pattern,
        count=message.count,
        first_seen_ns=message.first_seen_unix_nano,
        unusual=message.unusual,
        example=occurrence_from_message(message.example),
    )


def _note_to_message(note: FollowingNote) -> search_pb2.FollowingNote:
    return search_pb2.FollowingNote(
        note=occurrence_to_message(note.note), after_s=note.after_s, score=note.score
    )


def _note_from_message(message: search_pb2.FollowingNote) -> FollowingNote:
    return FollowingNote(
        note=occurrence_from_message(message.note), after_s=message.after_s, score=message.score
    )


def _summary_from_message(message: search_pb2.PatternSummary) -> PatternSummary:
    return PatternSummary(
        pattern_id=message.pattern_id,
        pattern=message.pattern,
        count=message.count,
        first_seen_ns=message.first_seen_unix_nano,
        last_seen_ns=message.last_seen_unix_nano,
        first_ever_ns=message.first_ever_unix_nano,
        counts=tuple(message.counts),
        example=occurrence_from_message(message.example),
    )


def _change_from_message(message: search_pb2.PatternChange) -> PatternChange:
    return PatternChange(
        pattern_id=message.pattern_id,
        pattern=message.pattern,
        change=_CHANGES_BY_NUMBER[message.change],
        count_before=message.count_before,
        count_after=message.count_after,
        rate_ratio=message.rate_ratio,
        p_value=message.p_value,
        first_ever_ns=message.first_ever_unix_nano,
        example=occurrence_from_message(message.example),
    )
