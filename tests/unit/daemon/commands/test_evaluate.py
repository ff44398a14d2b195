from __future__ import annotations

import json
from pathlib import Path

import pytest

from dejalog.daemon.cli import main


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "codes"
    folder.mkdir()
    texts = ["P0420 catalyst efficiency", "P0171 system too lean", "P0172 system too rich"]
    documents = [{"_id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    queries = [{"_id": f"q{n}", "text": text.split()[0]} for n, text in enumerate(texts)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    grades = "".join(f"q{n}\td{n}\t1\n" for n in range(3))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + grades)
    return folder


def test_one_line_per_task_and_mode(task: Path, capsys) -> None:
    arguments = ["eval", str(task), "--mode", "hybrid", "--mode", "lexical", "-o", "json"]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["mode"] for line in lines] == ["hybrid", "lexical"]
    for line in lines:
        seconds = line.pop("seconds")
        assert seconds >= 0
        line.pop("mode")
        assert line == {
            "task": "codes",
            "tier": "fresh",
            "ndcg@10": 1.0,
            "mrr@10": 1.0,
            "recall@100": 1.0,
            "queries": 3,
            "docs": 3,
        }


def test_a_table_for_people(task: Path, capsys) -> None:
    assert main(["eval", str(task)]) == 0
    headings, row = capsys.readouterr().out.splitlines()
    assert headings.split()[:3] == ["task", "mode", "nDCG@10"]
    assert row.split()[:3] == ["codes", "hybrid", "1.0000"]


def test_the_tier_that_is_not_there_yet_is_refused(task: Path, capsys) -> None:
    assert main(["eval", str(task), "--tier", "compacted"]) == 3
    assert "fresh" in capsys.readouterr().err


def test_a_model_that_is_missing_is_an_error(task: Path, capsys) -> None:
    assert main(["eval", str(task), "--model", "/nowhere"]) == 3
    assert "/nowhere" in capsys.readouterr().err
