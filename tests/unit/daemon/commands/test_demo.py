from __future__ import annotations

import re
from pathlib import Path

import pytest

from dejalog.daemon.cli import main
from dejalog.daemon.commands.demo import MARKER_NAME, QUESTIONS, _check_own
from dejalog.indexer.store.directory import DataDirectory


@pytest.mark.timeout(300)
def test_the_demo_answers_its_questions_correctly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "demo"
    assert main(["demo", "--data", str(data)]) == 0
    out = capsys.readouterr().out
    events = int(re.search(r"([\d ]+) events and 0 dead letters", out)[1].replace(" ", ""))
    assert events >= 5_000
    answers = out.split("--- Has this happened before?")[1:]
    assert len(answers) == len(QUESTIONS) == 3
    for question, answer in zip(QUESTIONS, answers, strict=True):
        first_hit = answer.split("\n 2 ")[0].split("\n 1 ")[1]
        assert question.expected in first_hit
    (followed,) = out.split("--- And what was done then")[1:]
    assert "busted hydraulic hose" in followed
    assert "replace check valve seal kits" in followed.split("then, 5 days later")[1]
    assert f"search --data {data}" in out
    # A second time it begins anew; what is not its own it leaves alone.
    (data / "audit.jsonl").write_text("{}\n")
    (data / "alerts.sqlite-wal").write_text("")
    (data / "precious.txt").write_text("mine")
    assert main(["demo", "--data", str(data)]) == 3
    assert "holds something else" in capsys.readouterr().err
    (data / "precious.txt").unlink()
    _check_own(data)


def test_the_demo_does_not_touch_a_real_index(make_index, capsys) -> None:
    """`dejalog demo --data X` removed X if it held what every data directory holds."""
    maker = make_index()
    maker.add("pump on")
    maker.directory.close()
    before = sorted(maker.path.rglob("*"))
    assert main(["demo", "--data", str(maker.path)]) == 3
    assert "name another directory" in capsys.readouterr().err
    assert sorted(maker.path.rglob("*")) == before


def test_a_demo_that_still_runs_is_not_pulled_away(tmp_path: Path, capsys) -> None:
    """`dejalog demo` next to `dejalog demo --keep-running` removed the files under the daemon."""
    (tmp_path / MARKER_NAME).write_text("")
    with DataDirectory.open(tmp_path, is_writable=True):
        assert main(["demo", "--data", str(tmp_path)]) == 3
        assert "being written" in capsys.readouterr().err
        assert (tmp_path / "manifest.json").is_file()
