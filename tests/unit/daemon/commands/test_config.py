from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dejalog.daemon.cli import main

SHIPPED = Path(__file__).parents[4] / "deploy" / "dejalog.toml"


def test_the_shipped_configuration_is_good(capsys) -> None:
    assert main(["config", "check", str(SHIPPED)]) == 0
    assert "good" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nlisten = '0.0.0.0:7040'", "TLS is off"),
        ("[server]\ntls_cert = 'a.pem'", "tls_key"),
        ("[encoder]\nbundle = '/nowhere'", "not a folder"),
        ("[decode]\ntimezone = 'Mars/Olympus'", "Mars/Olympus"),
        ("[ingest]\nbatch_evens = 3", "did you mean batch_events"),
    ],
)
def test_what_would_fail_at_the_start_fails_the_check(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    assert main(["config", "check", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there_is_an_error(capsys) -> None:
    assert main(["config", "check", "/nowhere.toml"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_what_is_shown_is_toml_and_tells_its_origin(capsys, monkeypatch) -> None:
    monkeypatch.setenv("DEJALOG_SERVER__RPCS_MAX", "7")
    assert main(["config", "show", "--origin", "--data", "/d"]) == 0
    out = capsys.readouterr().out
    shown = tomllib.loads(out)
    assert shown["data"]["directory"] == "/d"
    assert shown["server"]["rpcs_max"] == 7
    assert 'directory = "/d"  # flag --data' in out
    assert "rpcs_max = 7  # environment DEJALOG_SERVER__RPCS_MAX" in out
    assert "batch_events = 8192  # default" in out
