"""Events, hits and matches survive the wire with every field."""

from __future__ import annotations

import pytest
from hypothesis import given

from dejalog.client.messages.events import (
    coverage_from_message,
    coverage_to_message,
    evidence_from_message,
    evidence_to_message,
    hit_from_message,
    hit_to_message,
    match_from_message,
    match_to_message,
    occurrence_from_message,
    occurrence_to_message,
    scores_from_message,
    scores_to_message,
)
from dejalog.indexer.answer import Coverage, Match
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores
from dejalog.proto.v1 import search_pb2

from .anything import any_of


@given(any_of(Occurrence))
def test_an_event_survives_the_wire(occurrence: Occurrence) -> None:
    data = occurrence_to_message(occurrence).SerializeToString()
    assert occurrence_from_message(search_pb2.Occurrence.FromString(data)) == occurrence


@given(any_of(Evidence))
def test_evidence_survives_the_wire(evidence: Evidence) -> None:
    assert evidence_from_message(evidence_to_message(evidence)) == evidence


@given(any_of(Scores))
def test_scores_survive_the_wire_and_no_reranking_is_not_zero(scores: Scores) -> None:
    assert scores_from_message(scores_to_message(scores)) == scores


@given(any_of(Hit))
def test_a_hit_survives_the_wire(hit: Hit) -> None:
    data = hit_to_message(hit).SerializeToString()
    assert hit_from_message(search_pb2.Hit.FromString(data)) == hit


@given(any_of(Match))
def test_a_match_survives_the_wire(match: Match) -> None:
    data = match_to_message(match).SerializeToString()
    assert match_from_message(search_pb2.Match.FromString(data)) == match


@given(any_of(Coverage))
def test_what_was_looked_at_survives_the_wire(coverage: Coverage) -> None:
    assert coverage_from_message(coverage_to_message(coverage)) == coverage


def test_a_kind_of_event_of_a_newer_contract_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="9"):
        occurrence_from_message(search_pb2.Occurrence(kind=9, time_origin=1))
