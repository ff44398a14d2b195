from __future__ import annotations

import json
from pathlib import Path

import pytest

from dejalog.daemon import evaluate as evaluate_module
from dejalog.daemon.config import Settings
from dejalog.daemon.evaluate import EvaluationError, evaluate, read_task
from dejalog.indexer.request import Mode
from dejalog.indexer.store.manifest import Tier

DOCUMENTS = [
    {"_id": "d0", "title": "", "text": "pump bearing replaced, unit 8123456"},
    {"_id": "d1", "text": "pump bearing replaced, unit 9123456"},
    {"_id": "d2", "title": "Fire", "text": "extinguisher checked"},
    {"_id": "d3", "text": "P0420 catalyst efficiency below threshold"},
]
QUERIES = [
    {"_id": "q0", "text": "8123456 pump"},
    {"_id": "q_d2", "text": "extinguisher"},
    {"_id": "q2", "text": "P0420"},
    {"_id": "unjudged", "text": "nothing"},
]
QRELS = "query-id\tcorpus-id\tscore\nq0\td0\t1\nq_d2\td3\t1\nq2\td3\t2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "little_task"
    path.mkdir()
    for name, rows in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "qrels.tsv").write_text(QRELS)
    return path


def test_a_task_is_measured_through_the_real_index(folder: Path, encoder) -> None:
    task = read_task(folder)
    hybrid, lexical = evaluate(task, [Mode.HYBRID, Mode.LEXICAL], encoder, Settings())
    assert (hybrid.task, hybrid.queries, hybrid.docs) == ("little_task", 3, 4)
    # q0 and q2 have their document first, although d0 and d1 share a pattern; q_d2 may not find
    # itself, and the judged document is somewhere behind.
    assert hybrid.recall_at_100 == 1.0
    assert 2 / 3 < hybrid.ndcg_at_10 < 1.0
    # By words alone, q_d2 shares nothing with its judged document.
    assert lexical.ndcg_at_10 == pytest.approx(2 / 3)
    assert lexical.mrr_at_10 == pytest.approx(2 / 3)


def test_a_task_is_measured_in_each_tier(folder: Path, encoder, monkeypatch) -> None:
    task = read_task(folder)
    tiers = [Tier.COMPACTED, Tier.FRESH]
    fresh, compacted = evaluate(task, [Mode.SEMANTIC], encoder, Settings(), tiers)
    assert (fresh.tier, fresh.bits, compacted.tier, compacted.bits) == ("fresh", 0, "compacted", 4)
    assert compacted.ndcg_at_10 == pytest.approx(fresh.ndcg_at_10, abs=0.1)
    assert compacted.docs == 4
    monkeypatch.setattr(evaluate_module, "compact_directory", lambda *_: [])
    with pytest.raises(EvaluationError, match="not compacted"):
        list(evaluate(task, [Mode.SEMANTIC], encoder, Settings(), tiers))


@pytest.mark.parametrize("broken", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_folder_that_is_no_task_is_named(folder: Path, broken: str) -> None:
    (folder / broken).write_text("header\nnot\tthis\n")
    with pytest.raises(EvaluationError, match="little_task"):
        read_task(folder)
    (folder / broken).unlink()
    with pytest.raises(EvaluationError, match="little_task"):
        read_task(folder)
