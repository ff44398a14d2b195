from __future__ import annotations

from pathlib import Path

import pytest

from dejalog.indexer import errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.ConfigError("x.toml", "data.dir", "unknown"), "x.toml: data.dir: unknown"),
        (errors.ModelError(Path("/m"), "missing"), "model bundle /m: missing"),
        (errors.FormatError(Path("/f"), "version 2", "version 1"), "/f: found version 2"),
        (errors.CorruptShardError(Path("/s"), "torn"), "shard /s is damaged: torn; run"),
    ],
)
def test_a_message_says_where_and_what(error: errors.DejalogError, message: str) -> None:
    assert str(error).startswith(message)
    assert not str(error).endswith(".")
