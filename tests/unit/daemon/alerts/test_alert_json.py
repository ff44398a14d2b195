from __future__ import annotations

import json

from dejalog.daemon.alerts.alert_json import alert_id, made_up_alert, new_alert
from dejalog.daemon.alerts.gate import Admitted
from dejalog.daemon.alerts.settings import AlertRule
from dejalog.indexer.answer import Match
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Evidence, Occurrence, Scores

RULE = AlertRule(name="dry", query="pump dry", where=("line=3",), deliver="https://h/secret-path")


def match(text: str = "pump P-1 dry", attributes=(), event_id: int = 2**60) -> Match:
    event = Event(
        Kind.LOG, 5, TimeOrigin.EVENT, text, "file", "0", 1, 0, (("line", "3"),), attributes
    )
    evidence = (Evidence(0, 4, 0, 4, 1.0, 0.5), Evidence(5, 8, len(text) - 3, len(text), 1.0, 0.5))
    scores = Scores(0.75, 1.0, 0.5, 1.0, 0.0)
    return Match(Occurrence(event_id, event), "ab12", text, scores, evidence, True)


def test_an_alert_has_the_documented_fields() -> None:
    alert = new_alert(RULE, match(), Admitted(1041, 2), 7)
    value = json.loads(alert.body)
    assert value["alert_id"] == alert.alert_id == alert_id("dry", 2**60)
    assert (value["rule"], value["query"], value["where"]) == ("dry", "pump dry", ["line=3"])
    assert value["summary"] == (
        "pump P-1 dry (and 1 041 more since the last alert) (2 other matches were held back)"
    )
    assert value["created_unix_nano"] == "7"
    assert value["event"]["event_id"] == str(2**60)
    assert value["event"]["labels"] == {"line": "3"}
    assert value["scores"]["total"] == 0.75
    assert [each["text"] for each in value["evidence"]] == ["pump", "dry"]
    assert (value["repeats"], value["held_back"]) == (1041, 2)
    assert (value["is_new_pattern"], value["is_cut"], value["is_test"]) == (True, False, False)
    assert b"secret-path" not in alert.body
    assert b"\n" not in alert.body


def test_the_id_is_of_the_rule_and_the_event_alone() -> None:
    first = new_alert(RULE, match(), Admitted(0, 0), 7)
    again = new_alert(RULE, match("other text"), Admitted(3, 3), 8)
    assert first.alert_id == again.alert_id
    assert alert_id("dry", 1) != alert_id("dry", 11)
    assert alert_id("a", 1) != alert_id("b", 1)


def test_a_huge_event_is_cut_and_says_so() -> None:
    attributes = tuple((f"field{n:03}", "v" * 1000) for n in range(100))
    alert = new_alert(RULE, match("x" * 10**6, attributes), Admitted(0, 0), 7)
    value = json.loads(alert.body)
    assert value["is_cut"]
    assert len(value["event"]["text"]) == 8192
    assert len(value["event"]["attributes"]) == 8
    assert all(each["text_end"] <= 8192 for each in value["evidence"])
    assert len(alert.body) < 40_000
    assert value["summary"].endswith("x...")


def test_a_made_up_alert_says_that_it_is_one() -> None:
    value = json.loads(made_up_alert(RULE, match(), 7).body)
    assert value["is_test"]
    assert value["alert_id"] != alert_id("dry", 2**60)
