"""The list of shards that make up an index; replaced as a whole, in one step.

`manifest.json` names every shard folder that counts. A folder that it does not name is what an
interrupted step left behind and is removed when the writer opens the directory.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from dejalog.indexer.errors import FormatError
from dejalog.indexer.store.layout import FORMAT_VERSION

MANIFEST_NAME = "manifest.json"


class Manifest(msgspec.Struct, frozen=True):
    """Numbers of the shards, oldest first; the last one is being appended to."""

    format_version: int
    shards: tuple[int, ...]


def read_manifest(directory: Path) -> Manifest | None:
    """Returns the manifest, or None if the directory has none; raises FormatError."""
    path = directory / MANIFEST_NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise FormatError(path, f"unreadable JSON ({error})", "a manifest") from error
    if manifest.format_version != FORMAT_VERSION:
        raise FormatError(
            path,
            f"format version {manifest.format_version}",
            f"version {FORMAT_VERSION}; open it with the dejalog that wrote it",
        )
    return manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replaces the manifest: after a crash the old or the new one is there, whole."""
    path = directory / MANIFEST_NAME
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(directory)


def sync_folder(folder: Path) -> None:
    """Makes the folder's entries durable (a rename or a new file is not, until then)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
