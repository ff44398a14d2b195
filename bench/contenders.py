"""Which engines take part in a command: dejalog at each number of bits, and the peers."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench.peers import peers
from bench.trial import Engine

NAMES = ("dejalog", "numpy", "maxsim-cpu", "fast-plaid", "xtr-warp")


def arguments(description: str) -> argparse.ArgumentParser:
    """Returns a parser of what build and search have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("corpus", type=Path, help="what bench.corpus wrote")
    parser.add_argument(
        "--engine", action="append", choices=NAMES, help="repeatable; all that are installed"
    )
    parser.add_argument(
        "--bits", action="append", type=int, choices=(1, 2, 4), help="of dejalog; repeatable; 4"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the peers")
    parser.add_argument("--cache", type=Path, help="keeps built indexes between runs")
    return parser


def contenders(options: argparse.Namespace) -> list[Engine]:
    """Returns the engines asked for, or all that are installed; exits if one asked for is not."""
    wanted = options.engine or NAMES
    found: list[Engine] = []
    if "dejalog" in wanted:
        # Not before it is asked for: the peers can be measured while dejalog is being rebuilt.
        from bench.engine import Dejalog

        for bits in options.bits or (4,):
            found += [Dejalog(bits, has_originals=has) for has in (True, False)]
    found += [engine for engine in peers(options.threads) if engine.name in wanted]
    missing = set(options.engine or ()) - {engine.name for engine in found}
    if missing:
        raise SystemExit(f"not installed: {', '.join(sorted(missing))}; see bench/README.md")
    return found
