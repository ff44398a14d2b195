"""What the documents say is what the program does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import dejalog.indexer
from dejalog.daemon import config
from dejalog.daemon.commands import COMMANDS

ROOT = Path(__file__).parents[2]
FLOW = "event -> decode -> mask -> encode -> quantize -> append -> compact -> search"


def test_the_flow_is_told_in_the_same_words_everywhere() -> None:
    assert FLOW in (dejalog.indexer.__doc__ or "")
    for name in ("README.md", "docs/ARCHITECTURE.md"):
        assert FLOW in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_shipped_configuration_lists_every_key_with_its_default() -> None:
    document = tomllib.loads((ROOT / "deploy" / "dejalog.toml").read_text(encoding="utf-8"))
    listed = {
        (section, key): value for section, table in document.items() for key, value in table.items()
    }
    assert set(listed) == set(config.all_keys())
    for (section, key), value in listed.items():
        default = config.default_of(section, key)
        # The file is for a system service, whose data does not belong into a home folder.
        expected = "/var/lib/dejalog" if (section, key) == ("data", "directory") else default
        assert value == (list(expected) if isinstance(expected, tuple) else expected), key


def test_architecture_has_a_heading_for_every_folder() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = ("indexer", "client", "daemon")
    tops = (*packages, "proto", "tests", "bench", "deploy", "docs", "training")
    folders = [
        p.relative_to(ROOT).as_posix() + "/"
        for top in tops
        for p in [ROOT / top, *(ROOT / top).iterdir()]
        if (p.is_dir() and p.name not in {"__pycache__", "v1"} and top in packages)
        or p == ROOT / top
    ]
    for folder in folders:
        assert re.search(rf"^#+ .*`{re.escape(folder)}`", text, re.MULTILINE), folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.NAME)
def test_every_command_has_help_and_an_example_and_is_in_the_readme(command) -> None:
    assert command.HELP[0].islower()
    assert command.EXAMPLE.startswith(f"dejalog {command.NAME}")
    assert f"dejalog {command.NAME}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
