from __future__ import annotations

from pathlib import Path

import pytest

from dejalog.daemon import config
from dejalog.daemon.alerts.settings import AlertRule, AlertSettings
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.request import FollowRequest, Mode

HOOK = "http://127.0.0.1:9/hook"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": ""}, "is not 1 to 64"),
        ({"name": "a b"}, "is not 1 to 64"),
        ({"query": ""}, "would match every event"),
        ({"where": ("nonsense",)}, "cannot read the filter"),
        ({"mode": "best"}, "none of hybrid"),
        ({"score_min": 1.1}, "not within 0 to 1"),
        ({"score_min": float("nan")}, "not within 0 to 1"),
        ({"alerts_max": 0}, "at least 1"),
        ({"per_s": 0.0}, "above 0"),
        ({"quiet_s": -1.0}, "0 or more"),
        ({"quiet_s": float("inf")}, "0 or more"),
        ({"deliver": ""}, "either deliver or command"),
        ({"command": ("x",)}, "either deliver or command"),
        ({"deliver": "", "command": ("",)}, "begins with the program"),
        ({"deliver": "ftp://host/x"}, "neither http"),
        ({"deliver": "file:///etc/passwd"}, "neither http"),
        ({"deliver": "http:///x"}, "neither http"),
        ({"deliver": "http://host:99999/"}, "not a URL"),
        ({"deliver": "http://user:pw@host/"}, "must not have a user"),
        ({"deliver": "http://host/a b"}, "must escape"),
        ({"deliver": "http://host/\r\nX: y"}, "must escape|not a URL"),
        ({"deliver": "kafka:a/b"}, "name of a topic"),
        ({"deliver": "kafka:"}, "name of a topic"),
        ({"deliver": "kafka:alerts", "secret": "s"}, "webhook only"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_the_reason(changes, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        AlertRule(**{"name": "a", "query": "pump", "deliver": HOOK, **changes})


def test_a_url_that_is_refused_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        AlertRule(name="a", query="pump", deliver="https://user:hidden@host/")
    assert "hidden" not in str(caught.value)


def test_two_rules_have_two_names() -> None:
    rule = AlertRule(name="a", query="pump", deliver=HOOK)
    with pytest.raises(ConfigError, match="two queries are named a"):
        AlertSettings(queries=(rule, rule))


def test_a_rule_asks_what_it_says() -> None:
    rule = AlertRule(name="a", query="pump", where=("x=y",), mode="lexical", deliver=HOOK)
    assert rule.request() == FollowRequest("pump", ("x=y",), Mode.LEXICAL)
    rule = AlertRule(name="a", query="pump", score_min=0.6, deliver=HOOK)
    assert rule.request().score_min == 0.6
    assert AlertRule(name="a", is_new=True, command=("a", "b")).target == "command:a\0b"


def test_rules_are_read_from_tables_and_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "dejalog.toml"
    path.write_text(
        "[alerts]\ntimeout_s = 3.0\n[[alerts.queries]]\nname = 'a'\nquery = 'pump'\n"
        "where = ['line=3']\ncommand = ['page', '${LEVEL}']\nquiet_s = 0.0\n"
    )
    settings = config.load(path, environment={"LEVEL": "2"}).settings.alerts
    (rule,) = settings.queries
    assert (settings.timeout_s, rule.where, rule.command) == (3.0, ("line=3",), ("page", "2"))
    assert "quiet_s = 0.0" in config.to_toml(settings.queries)
    given = '[{"name": "b", "query": "fan", "deliver": "kafka:alerts"}]'
    loaded = config.load(environment={"DEJALOG_ALERTS__QUERIES": given})
    assert loaded.settings.alerts.queries == (
        AlertRule(name="b", query="fan", deliver="kafka:alerts"),
    )


def test_an_unknown_key_in_a_rule_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dejalog.toml"
    path.write_text("[[alerts.queries]]\nname = 'a'\nquerry = 'pump'\n")
    with pytest.raises(ConfigError, match=r"alerts\.queries: unknown key; did you mean query"):
        config.load(path, environment={})


def test_the_examples_of_the_configuration_and_of_the_manual_are_ones(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    text = (root / "deploy" / "dejalog.toml").read_text(encoding="utf-8")
    lines = text[text.index("#  queries = [") :].split("\n# or,")[0].splitlines()
    example = tmp_path / "dejalog.toml"
    example.write_text("\n".join(["[alerts]", *(line[1:] for line in lines)]))
    rules = config.load(example, environment={}).settings.alerts.queries
    assert [rule.name for rule in rules] == ["overload", "new-error"]
    manual = (root / "docs" / "ALERTS.md").read_text(encoding="utf-8")
    example.write_text(manual.split("```toml\n")[1].split("```")[0])
    rules = config.load(example, environment={"ALERT_SECRET": "s"}).settings.alerts.queries
    assert [rule.name for rule in rules] == ["overload", "new-error", "hydraulics"]
