from __future__ import annotations

from dejalog.daemon.match_json import match_to_json
from dejalog.indexer.answer import Match
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Evidence, Occurrence, Scores


def test_a_match_is_an_event_with_its_pattern_and_why() -> None:
    event = Event(Kind.NOTE, 5, TimeOrigin.EVENT, "pump \U0001f6a8 dry", "cmms", "0", 1)
    scores = Scores(0.75, 1.0, 0.5, 1.0, 0.0)
    evidence = (Evidence(5, 8, 7, 10, 0.9, 0.25),)
    match = Match(Occurrence(2**60, event), "ab12", "pump dry", scores, evidence, False)
    value = match_to_json(match, "pump dry")
    assert set(value) == {
        "event", "pattern_id", "pattern", "is_new_pattern", "scores", "evidence",
    }  # fmt: skip
    assert value["event"]["event_id"] == str(2**60)
    assert value["event"]["kind"] == "note"
    assert value["scores"]["total"] == 0.75
    (pair,) = value["evidence"]
    assert (pair["query"], pair["text"]) == ("dry", "dry")
