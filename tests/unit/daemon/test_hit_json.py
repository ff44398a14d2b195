from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dejalog.daemon.hit_json import hit_to_json, scores_to_json, status_to_json, to_line
from dejalog.indexer.answer import Context
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores
from dejalog.indexer.status import IndexStatus, PartitionLag

TEXT = "\x1b[31mpump\x1b[0m \u202e trips \x9b \ud83d\udd25 \udc80 \u2028 end"


def occurrence(event_id: int, text: str = TEXT) -> Occurrence:
    event = Event(
        kind=Kind.NOTE,
        time_ns=1_661_145_496_154_660_034,
        time_origin=TimeOrigin.RECEIVED,
        text=text,
        source="file",
        partition="1:2",
        offset=7,
        sub=1,
        labels=(("asset", "P-101"), ("severity", "error")),
        attributes=(("pid", "42"),),
    )
    return Occurrence(event_id, event)


HIT = Hit(
    pattern_id="00ff",
    pattern="<time> pump trips",
    scores=Scores(1.5, 0.75, 0.6000000238418579, 0.5, 0.0, marks=0.25),
    count=12,
    first_seen_ns=1,
    last_seen_ns=1_661_145_496_154_660_034,
    occurrences=(occurrence(2**60 + 1), occurrence(5)),
    evidence=(Evidence(0, 4, 5, 9, 0.8300000429153442, 0.5),),
)


def test_a_hit_has_the_documented_fields() -> None:
    assert hit_to_json(3, HIT, "pump failing") == {
        "rank": 3,
        "pattern_id": "00ff",
        "pattern": "<time> pump trips",
        "scores": {
            "total": 1.5,
            "semantic": 0.75,
            "pooled": 0.6,
            "lexical": 0.5,
            "exact": 0.0,
            "marks": 0.25,
            "reranked": None,
        },
        "count": 12,
        "first_seen": "1970-01-01T00:00:00.000000001Z",
        "first_seen_unix_nano": "1",
        "last_seen": "2022-08-22T05:18:16.154660034Z",
        "last_seen_unix_nano": "1661145496154660034",
        "occurrences": [
            {
                "event_id": str(event_id),
                "time": "2022-08-22T05:18:16.154660034Z",
                "time_unix_nano": "1661145496154660034",
                "time_origin": "received",
                "kind": "note",
                "text": TEXT,
                "source": "file",
                "partition": "1:2",
                "offset": 7,
                "sub": 1,
                "labels": {"asset": "P-101", "severity": "error"},
                "attributes": {"pid": "42"},
            }
            for event_id in (2**60 + 1, 5)
        ],
        "evidence": [
            {
                "query": "pump",
                "text": "pump",
                "similarity": 0.83,
                "share": 0.5,
                "query_start": 0,
                "query_end": 4,
                "text_start": 5,
                "text_end": 9,
            }
        ],
    }


def test_what_a_reranking_model_gave_is_a_number() -> None:
    scores = replace(HIT.scores, reranked=-2.5)
    assert scores_to_json(scores)["reranked"] == -2.5


def test_context_is_there_only_if_asked_for() -> None:
    assert "context" not in hit_to_json(1, HIT, "pump")
    context = Context(occurrence(2), (occurrence(1, "before"),), (), is_complete=False)
    value = hit_to_json(1, HIT, "pump", context)["context"]
    assert isinstance(value, dict)
    assert value["is_complete"] is False
    assert value["after"] == []
    assert [o["text"] for o in value["before"]] == ["before"]


def test_text_survives_whole_and_steers_no_terminal() -> None:
    line = to_line(hit_to_json(1, HIT, "pump"))
    assert json.loads(line)["occurrences"][0]["text"] == TEXT.encode(
        "utf-16", "surrogatepass"
    ).decode("utf-16", "surrogatepass")
    assert not any(c in line for c in "\x1b\x9b\u202e\u2028\udc80\n")
    line.encode()  # Can be written as UTF-8 in spite of the lone surrogate.


def test_text_in_other_scripts_stays_readable() -> None:
    assert to_line({"text": "\u6cb9\u6f0f\u308c"}) == '{"text":"\u6cb9\u6f0f\u308c"}'


def test_a_hit_without_occurrences_has_no_texts_to_quote() -> None:
    bare = Hit("00", "p", HIT.scores, 1, 1, 1, (), HIT.evidence)
    value = hit_to_json(1, bare, "pump")
    assert value["occurrences"] == []
    line = json.loads(to_line(value))
    assert [each["text"] for each in line["evidence"]] == [""]


STATUS = IndexStatus("/data", "1.2.3", "f00d", 7, 3, 40, 1, 2, 4096, 1, None, 6, 0.5, 0.25)


def test_a_status_has_the_documented_fields() -> None:
    assert status_to_json(STATUS, is_daemon=True) == {
        "data_directory": "/data",
        "version": "1.2.3",
        "encoder_fingerprint": "f00d",
        "events": 7,
        "patterns": 3,
        "tokens": 40,
        "dead_letters": 1,
        "shards": 2,
        "bytes_on_disk": 4096,
        "lexical_lag_events": 6,
        "ingest_rate": 0.5,
        "pattern_hit_ratio": 0.25,
        "oldest": "1970-01-01T00:00:00.000000001Z",
        "oldest_unix_nano": "1",
        "newest": None,
        "newest_unix_nano": None,
        "partitions": [],
    }


def test_partitions_of_a_broker_are_listed_by_the_daemon_that_reads_them() -> None:
    status = replace(STATUS, partitions=(PartitionLag("kafka:logs", "3", 40, 100, 60, lost=5),))
    assert status_to_json(status, is_daemon=True)["partitions"] == [
        {
            "source": "kafka:logs",
            "partition": "3",
            "position": 40,
            "end": 100,
            "lag": 60,
            "lost": 5,
        }
    ]
    assert status_to_json(status, is_daemon=False)["partitions"] is None


def test_without_a_daemon_the_ingest_rate_is_unknown_and_not_zero() -> None:
    assert status_to_json(STATUS, is_daemon=False)["ingest_rate"] is None


def test_numbers_that_json_does_not_have_are_an_error() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_line({"x": float("nan")})
