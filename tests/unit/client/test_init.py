"""The client is light: it loads nothing of the index itself, and nothing of the daemon."""

from __future__ import annotations

import subprocess
import sys

import dejalog.client

HEAVY = (
    "numpy",
    "onnxruntime",
    "tokenizers",
    "lmdb",
    "tantivy",
    "snowballstemmer",
    "rich",
    "msgspec",
    "faust",
    "aiokafka",
    "kafka",
    "dejalog.daemon",
    "dejalog.indexer.store",
    "dejalog.indexer.kernel",
    "dejalog.indexer.search",
)


def test_importing_the_client_loads_nothing_heavy() -> None:
    program = f"import sys, dejalog.client; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_everything_that_is_offered_is_there() -> None:
    assert sorted(dejalog.client.__all__) == dejalog.client.__all__
    assert all(hasattr(dejalog.client, name) for name in dejalog.client.__all__)
