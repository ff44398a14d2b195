"""Starting the Model Context Protocol server; tests/integration/test_mcp.py speaks to it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from dejalog.daemon import cli
from dejalog.daemon.commands import mcp


def test_without_the_sdk_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mcp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "dejalog.daemon.mcp.server", raising=False)
    # What Python keeps for a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert cli.main(["mcp", "--data", str(tmp_path)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "pip install 'dejalog[mcp]'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("given", ["0", "-1", "nan", "3601", "soon"])
def test_a_timeout_is_a_number_of_seconds(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    mcp.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--timeout={given}"])
    assert "seconds up to 3600" in capsys.readouterr().err


def test_an_unknown_zone_is_refused_before_anything_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["mcp", "--data", str(tmp_path / "none"), "--timezone", "Mars/Base"]) == 2
    assert "unknown time zone 'Mars/Base'" in capsys.readouterr().err
