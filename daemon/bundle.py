"""The support bundle: what somebody who helps has to know, and nothing that they must not.

A .tar.gz of small files and `manifest.json`, which lists them. A part that cannot be made is named
in the manifest with its reason, and the others are there all the same. Every part is scrubbed of
the settings' secrets once more before it is written; no part holds events.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dejalog.daemon.secret_settings import scrub, shown
from dejalog.indexer.errors import ConfigError

#: A part is cut to its last bytes: the newest lines of a log.
PART_BYTES_MAX = 1 << 20

Part = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a bundle: the sizes of its parts, and why others are missing."""

    sizes: Mapping[str, int]
    missing: Mapping[str, str]


def write_bundle(path: Path, parts: Mapping[str, Part], *, secrets: list[bytes]) -> Report:
    """Writes the bundle, readable by its owner alone; raises ConfigError where it cannot."""
    contents: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, part in parts.items():
        try:
            contents[name] = scrub(part(), secrets)[-PART_BYTES_MAX:]
        except Exception as error:  # Whatever is broken is what the bundle is made for.
            # Of settings that cannot be read no secret is known; URLs can be told by themselves.
            reason = str(shown("reason", f"{type(error).__name__}: {error}"))
            missing[name] = scrub(reason.encode("utf-8", "replace"), secrets).decode()
    manifest = {
        "format": 1,
        "made_unix_nano": str(time.time_ns()),
        "parts": [
            {"name": name, "bytes": len(each), "sha256": hashlib.sha256(each).hexdigest()}
            for name, each in contents.items()
        ],
        "missing": [{"name": name, "reason": reason} for name, reason in missing.items()],
    }
    listed = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    try:
        _write(path, {"manifest.json": listed, **contents})
    except OSError as error:
        raise ConfigError("--bundle", str(path), f"cannot be written: {error.strerror}") from error
    return Report({name: len(each) for name, each in contents.items()}, missing)


def _write(path: Path, contents: Mapping[str, bytes]) -> None:
    archive = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=archive, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in contents.items():
            item = tarfile.TarInfo(f"dejalog-bundle/{name}")
            item.size, item.mode, item.mtime = len(content), 0o600, int(time.time())
            tar.addfile(item, io.BytesIO(content))
    # Never over another file.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(archive.getvalue())
