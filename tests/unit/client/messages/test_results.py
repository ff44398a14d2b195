"""Results survive the wire with every field; the daemon's own part is `daemon/responses.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dejalog.client.messages import results
from dejalog.daemon import responses
from dejalog.indexer.answer import (
    Change,
    Context,
    DiffResult,
    HistogramResult,
    PatternChange,
    PatternsResult,
    PrecedentsResult,
    SimilarResult,
)
from dejalog.indexer.hit import SearchResult
from dejalog.proto.v1 import search_pb2

from .anything import any_of

ROUND_TRIPS: dict[str, tuple[type[Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "search": (SearchResult, responses.search_response, results.search_from_message),
    "similar": (SimilarResult, responses.similar_response, results.similar_from_message),
    "precedents": (
        PrecedentsResult,
        responses.precedents_response,
        results.precedents_from_message,
    ),
    "patterns": (PatternsResult, responses.patterns_response, results.patterns_from_message),
    "diff": (DiffResult, responses.diff_response, results.diff_from_message),
    "histogram": (HistogramResult, responses.histogram_response, results.histogram_from_message),
    "context": (Context, responses.context_response, results.context_from_message),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
@given(data=st.data())
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_result_survives_the_wire(name: str, data: st.DataObject) -> None:
    kind, to_message, from_message = ROUND_TRIPS[name]
    result = data.draw(any_of(kind))
    message = to_message(result)
    assert from_message(type(message).FromString(message.SerializeToString())) == result


@given(any_of(PatternChange))
def test_a_pattern_that_appeared_has_an_infinite_rate_ratio_on_the_wire_too(
    change: PatternChange,
) -> None:
    message = results.change_to_message(change)
    assert message.rate_ratio == change.rate_ratio
    assert set(Change) == set(results._CHANGES)
    message.rate_ratio = math.inf
    sent = search_pb2.PatternChange.FromString(message.SerializeToString())
    assert sent.rate_ratio == math.inf


def test_a_change_of_a_newer_contract_is_a_key_error() -> None:
    example = search_pb2.Occurrence(kind=1, time_origin=1)
    message = search_pb2.DiffResponse(changes=[search_pb2.PatternChange(change=9, example=example)])
    with pytest.raises(KeyError):
        results.diff_from_message(message)
