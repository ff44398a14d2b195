"""A match of a standing query as JSON, the same for `dejalog tail` and for alerts."""

from __future__ import annotations

from dejalog.daemon.hit_json import Json, evidence_to_json, occurrence_to_json, scores_to_json
from dejalog.indexer.answer import Match


def match_to_json(match: Match, query_text: str) -> dict[str, Json]:
    """Returns one match; evidence points into `query_text` and into the event's text."""
    text = match.occurrence.event.text
    return {
        "event": occurrence_to_json(match.occurrence),
        "pattern_id": match.pattern_id,
        "pattern": match.pattern,
        "is_new_pattern": match.is_new_pattern,
        "scores": scores_to_json(match.scores),
        "evidence": [evidence_to_json(each, query_text, text) for each in match.evidence],
    }
