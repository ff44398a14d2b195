"""`dejalog eval`: measures retrieval quality on tasks in BEIR's layout."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from dejalog.daemon.engine import open_encoder
from dejalog.daemon.evaluate import Outcome, evaluate, read_task
from dejalog.daemon.flags import load_settings
from dejalog.indexer.request import Mode
from dejalog.indexer.store.manifest import Tier

NAME = "eval"
HELP = "measure retrieval quality on folders in BEIR's layout, through the real index and search"
EXAMPLE = """dejalog eval tasks/scifact tasks/fmc_failure_mode --mode hybrid --mode lexical -o json
         dejalog eval tasks/scifact --tier fresh --tier compacted --bits 2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument("tasks", nargs="+", type=Path, metavar="TASK_DIR")
    parser.add_argument(
        "--mode",
        action="append",
        choices=[mode.value for mode in Mode],
        help="may be repeated (default: hybrid)",
    )
    parser.add_argument(
        "--tier",
        action="append",
        choices=[tier.value for tier in Tier],
        help="may be repeated (default: fresh)",
    )
    parser.add_argument(
        "--bits", type=int, choices=(1, 2, 4), help="of compacted shards (compact.bits)"
    )
    parser.add_argument("--model", metavar="BUNDLE", help="model bundle (encoder.bundle)")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")


def run(parsed: argparse.Namespace) -> int:
    """Measures every task in every tier and mode."""
    settings = load_settings(parsed).settings
    if parsed.bits is not None:
        settings = replace(settings, compact=replace(settings.compact, bits=parsed.bits))
    if parsed.model:
        settings = replace(settings, encoder=replace(settings.encoder, bundle=parsed.model))
    tasks = [read_task(folder) for folder in parsed.tasks]
    encoder = open_encoder(settings)
    modes = [Mode(mode) for mode in parsed.mode or [Mode.HYBRID.value]]
    tiers = [Tier(tier) for tier in parsed.tier or [Tier.FRESH.value]]
    if parsed.output == "text":
        sys.stdout.write(_HEADINGS)
    for task in tasks:
        for outcome in evaluate(task, modes, encoder, settings, tiers):
            sys.stdout.write(_json(outcome) if parsed.output == "json" else _row(outcome))
            sys.stdout.flush()
    return 0


_HEADINGS = (
    f"{'task':24} {'mode':9} {'tier':9} {'bits':>4} {'nDCG@10':>8} {'MRR@10':>8} {'R@100':>8} "
    f"{'queries':>8} {'docs':>8} {'seconds':>8}\n"
)


def _row(outcome: Outcome) -> str:
    return (
        f"{outcome.task:24} {outcome.mode:9} {outcome.tier:9} {outcome.bits or '-':>4} "
        f"{outcome.ndcg_at_10:8.4f} {outcome.mrr_at_10:8.4f} "
        f"{outcome.recall_at_100:8.4f} {outcome.queries:8,} {outcome.docs:8,} "
        f"{outcome.seconds:8.1f}\n"
    )


def _json(outcome: Outcome) -> str:
    line = {
        "task": outcome.task,
        "mode": outcome.mode,
        "tier": outcome.tier,
        "bits": outcome.bits or None,
        "ndcg@10": round(outcome.ndcg_at_10, 4),
        "mrr@10": round(outcome.mrr_at_10, 4),
        "recall@100": round(outcome.recall_at_100, 4),
        "queries": outcome.queries,
        "docs": outcome.docs,
        "seconds": round(outcome.seconds, 3),
    }
    return msgspec.json.encode(line).decode() + "\n"
