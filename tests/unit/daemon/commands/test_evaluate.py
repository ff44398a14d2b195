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
            "bits": None,
            "ndcg@10": 1.0,
            "mrr@10": 1.0,
            "recall@100": 1.0,
            "queries": 3,
            "docs": 3,
        }


def test_a_table_for_people(task: Path, capsys) -> None:
    assert main(["eval", str(task)]) == 0
    headings, row = capsys.readouterr().out.splitlines()
    assert headings.split()[:5] == ["task", "mode", "tier", "bits", "nDCG@10"]
    assert row.split()[:5] == ["codes", "hybrid", "fresh", "-", "1.0000"]


def test_both_tiers_are_measured_on_one_index(task: Path, capsys) -> None:
    arguments = ["eval", str(task), "--tier", "compacted", "--tier", "fresh", "--bits", "2"]
    assert main([*arguments, "-o", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["tier"], line["bits"]) for line in lines] == [("fresh", None), ("compacted", 2)]
    assert [line["ndcg@10"] for line in lines] == [1.0, 1.0]
    assert main(arguments) == 0
    _, fresh, compacted = capsys.readouterr().out.splitlines()
    assert fresh.split()[:5] == ["codes", "hybrid", "fresh", "-", "1.0000"]
    assert compacted.split()[:5] == ["codes", "hybrid", "compacted", "2", "1.0000"]


def test_a_model_that_is_missing_is_an_error(task: Path, capsys) -> None:
    assert main(["eval", str(task), "--model", "/nowhere"]) == 3
    assert "/nowhere" in capsys.readouterr().err
