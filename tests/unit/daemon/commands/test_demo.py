from __future__ import annotations

import re
from pathlib import Path

import pytest

from dejalog.daemon.cli import main
from dejalog.daemon.commands.demo import QUESTIONS


@pytest.mark.timeout(300)
def test_the_demo_answers_its_three_questions_correctly(
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
    assert f"search --data {data}" in out
    # A second time it begins anew; what is not its own it leaves alone.
    (data / "precious.txt").write_text("mine")
    assert main(["demo", "--data", str(data)]) == 3
    assert "holds something else" in capsys.readouterr().err
