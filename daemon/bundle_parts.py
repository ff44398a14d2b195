"""The parts of the support bundle; none of them holds events, patterns or dead letters' bytes."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

import msgspec

from dejalog.daemon.audit import AuditLog
from dejalog.daemon.bundle import Part
from dejalog.daemon.config import Loaded, Settings
from dejalog.daemon.config_text import to_text
from dejalog.daemon.engine import data_path, index_status
from dejalog.daemon.hit_json import Json, status_to_json, to_line
from dejalog.indexer.compaction.describe import describe_shards
from dejalog.indexer.compaction.plan import ShardInfo
from dejalog.indexer.dead_letters import select_letters
from dejalog.indexer.letters import LetterFilter
from dejalog.indexer.store.directory import DataDirectory

AUDIT_LINES_MAX = 500
JOURNAL_LINES_MAX = 500
JOURNAL_TIME_MAX_S = 20
UNITS = ("dejalog.service", "dejalog-worker.service")
#: What the daemon's behaviour depends on.
PACKAGES = (
    "dejalog",
    "faust-streaming",
    "grpcio",
    "hnswlib",
    "kafka-python",
    "lmdb",
    "msgspec",
    "numpy",
    "onnxruntime",
    "protobuf",
    "rich",
    "tantivy",
    "tokenizers",
)


def bundle_parts(
    load: Callable[[], Loaded],
    report: Callable[[Settings], str],
    shard_to_json: Callable[[ShardInfo], dict[str, Json]],
) -> Mapping[str, Part]:
    """Returns what makes each part; `load` may raise, and the other two are the commands'."""

    def of_settings(part: Callable[[Settings], bytes]) -> Part:
        return lambda: part(load().settings)

    return {
        "doctor.txt": of_settings(lambda settings: report(settings).encode()),
        "config.toml": lambda: to_text(load(), with_origin=True).encode(),
        "status.json": of_settings(_status),
        "shards.jsonl": of_settings(lambda settings: _shards(settings, shard_to_json)),
        "dead_letters.json": of_settings(_dead_letters),
        "audit.jsonl": of_settings(_audit),
        "versions.json": _versions,
        "journal.txt": _journal,
    }


def _status(settings: Settings) -> bytes:
    with DataDirectory.open(data_path(settings), is_writable=False) as directory:
        return (to_line(status_to_json(index_status(directory), is_daemon=False)) + "\n").encode()


def _shards(settings: Settings, shard_to_json: Callable[[ShardInfo], dict[str, Json]]) -> bytes:
    expire_before_ns = settings.retain.expire_before_ns(time.time_ns())
    with DataDirectory.open(data_path(settings), is_writable=False) as directory:
        infos = describe_shards(directory, expire_before_ns=expire_before_ns)
    return "".join(to_line(shard_to_json(info)) + "\n" for info in infos).encode()


def _dead_letters(settings: Settings) -> bytes:
    """How many there are of each reason and source: the last errors of what is read."""
    with DataDirectory.open(data_path(settings), is_writable=False) as directory:
        letters = select_letters(directory, LetterFilter())
        counts = Counter((letter.source, letter.reason) for _, letter in letters)
    rows = [
        {"source": source, "reason": str(reason), "count": count}
        for (source, reason), count in counts.most_common()
    ]
    return msgspec.json.encode(rows) + b"\n"


def _audit(settings: Settings) -> bytes:
    lines = AuditLog(data_path(settings)).tail(AUDIT_LINES_MAX)
    return b"".join(line + b"\n" for line in lines)


def _versions() -> bytes:
    found = {"python": sys.version, "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return msgspec.json.format(msgspec.json.encode(found)) + b"\n"


def _journal() -> bytes:
    """What the services said last, which are their errors; empty without systemd."""
    program = shutil.which("journalctl")
    if program is None:
        return b"there is no journalctl on this machine\n"
    units = [flag for unit in UNITS for flag in ("--unit", unit)]
    done = subprocess.run(
        [program, "--no-pager", "--lines", str(JOURNAL_LINES_MAX), *units],
        capture_output=True,
        check=True,
        timeout=JOURNAL_TIME_MAX_S,
    )
    return done.stdout
