from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dejalog.daemon import config
from dejalog.daemon.sources.settings import FileGroup, SourcesSettings
from dejalog.indexer.errors import ConfigError

GROUPS = """
[sources]
files = ["/var/log/plant"]
[[sources.groups]]
files = ["/var/log/pump101.log", "/var/log/p101/*.log"]
labels = { asset = "P-101", site = "${SITE}" }
[[sources.groups]]
files = ["/var/log/p102"]
labels = { asset = "P-102" }
"""


def test_groups_are_read_from_tables_and_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "dejalog.toml"
    path.write_text(GROUPS)
    sources = config.load(path, environment={"SITE": "north"}).settings.sources
    first = FileGroup(
        ("/var/log/pump101.log", "/var/log/p101/*.log"), {"asset": "P-101", "site": "north"}
    )
    second = FileGroup(("/var/log/p102",), {"asset": "P-102"})
    assert sources == SourcesSettings(("/var/log/plant",), (first, second))
    given = '[{"files": ["/var/log/p102"], "labels": {"asset": "P-102"}}]'
    loaded = config.load(environment={"DEJALOG_SOURCES__GROUPS": given})
    assert loaded.settings.sources.groups == (second,)


def test_groups_are_shown_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "dejalog.toml"
    path.write_text(GROUPS)
    sources = config.load(path, environment={"SITE": "north"}).settings.sources
    path.write_text(f"[sources]\ngroups = {config.to_toml(sources.groups)}\n")
    assert tomllib.loads(path.read_text())["sources"]["groups"]
    assert config.load(path, environment={}).settings.sources.groups == sources.groups


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("labels = { asset = 'P-101' }", "each group names its files"),
        ("files = ['']\nlabels = { asset = 'P-101' }", "each group names its files"),
        ("files = ['/a.log']", "each group has labels"),
        ("files = ['/a.log']\nlabels = { asset = '' }", "a label's value is"),
        ("files = ['/a.log']\nlabels = { machine = 'x' }", "machine=x: this label is called asset"),
        ("files = ['/a.log']\nlabels = { asset = 101 }", "Expected `str`"),
        ("file = '/a.log'", "unknown key; did you mean files"),
    ],
)
def test_a_group_that_is_none_is_refused_with_the_reason(
    table: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "dejalog.toml"
    path.write_text(f"[[sources.groups]]\n{table}\n")
    with pytest.raises(ConfigError, match="sources"):
        config.load(path, environment={})
    with pytest.raises(ConfigError) as caught:
        config.load(path, environment={})
    assert "groups: " in str(caught.value)
    assert message in str(caught.value)


def test_the_example_of_the_configuration_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[4] / "deploy" / "dejalog.toml").read_text(encoding="utf-8")
    section = text.split("[sources]")[0].rsplit("\n\n", 1)[1]
    lines = [line[3:] for line in section.splitlines() if line.startswith("#  ")]
    path = tmp_path / "dejalog.toml"
    path.write_text("\n".join(["[sources]", *lines]))
    groups = config.load(path, environment={}).settings.sources.groups
    assert [group.labels["asset"] for group in groups] == ["P-101", "P-102"]
