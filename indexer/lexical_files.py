"""What lies around the lexical index: its stamp, its files' checksums, and its library's faults.

The stamp tells by which rules an index was made, and one made later in the same place from the one
before. It is written last and deleted first: a folder without it counts as having no index.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4
from zlib import crc32

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.store.manifest import sync_folder
from dejalog.indexer.terms import index_terms

STAMP_NAME = "format.json"

#: What tantivy replaces as a whole, beside its segments, which never change.
_LIST_NAMES = ("meta.json", ".managed.json")

#: Counts changes of what lexical.py stores: the fields, the mark of texts that were cut.
_LAYOUT = 2
#: Its terms change when the rules or the stemmer do; an older index then no longer fits a query.
_PROBE = "E-1034 10.0.0.7:443 BadUserAccessDenied leaking pumps generously SRVE0255E"
_FOOTER_MAGIC = 1337
#: A segment of millions of events has files of over 100 MB, and the daemon checks them at start.
_CHUNK_BYTES = 1 << 20


def write_stamp(path: Path) -> None:
    """Declare the index at `path` complete and made by today's rules."""
    draft = path / (STAMP_NAME + ".new")
    stamp = {"layout": _LAYOUT, "terms": _terms_fingerprint(), "made": uuid4().hex}
    draft.write_text(json.dumps(stamp))
    draft.replace(path / STAMP_NAME)


def read_stamp(path: Path) -> str:
    """Return the stamp of the index at `path`, empty if there is no index.

    Raises CorruptShardError if the index was made by other rules.
    """
    try:
        # Bytes that are no text are no stamp of ours either.
        text = (path / STAMP_NAME).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    try:
        stamp = json.loads(text)
        fits = (stamp["layout"], stamp["terms"]) == (_LAYOUT, _terms_fingerprint())
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptShardError(path, f"{STAMP_NAME} cannot be read") from error
    if not fits:
        raise CorruptShardError(path, "its terms were made by other rules; it must be made anew")
    return text


def segment_files(path: Path) -> list[str]:
    """Return the names of the files that a tantivy index's last commit consists of.

    Every segment has the same kinds of file, so one that is missing is named, too. Raises
    CorruptShardError if the list of segments cannot be read.
    """
    try:
        meta = json.loads((path / "meta.json").read_bytes())
        segments = {segment["segment_id"].replace("-", "") for segment in meta["segments"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptShardError(path, f"meta.json cannot be read ({error})") from error
    names = [name for name in os.listdir(path) if name.partition(".")[0] in segments]
    kinds = {name.partition(".")[2] for name in names}
    return sorted(f"{segment}.{kind}" for segment in segments for kind in kinds)


def copy_index(
    source: Path,
    target: Path,
    copy: Callable[[Path, Path], object],
    *,
    copy_segment: Callable[[Path, Path], object] | None = None,
) -> None:
    """Copy an index that nobody writes, file by file, into a folder that has none.

    `copy_segment` copies the files of segments, which never change. Raises OSError, or
    CorruptShardError if the list of segments cannot be read.
    """
    for part in sorted(path.parent for path in source.glob("*/meta.json")):
        folder = target / part.name
        folder.mkdir(parents=True)
        for name in segment_files(part):
            (copy_segment or copy)(part / name, folder / name)
        for name in _LIST_NAMES:
            if (part / name).exists():
                copy(part / name, folder / name)
        sync_folder(folder)
    # Last, as where it is made: a folder without it counts as having no index.
    copy(source / STAMP_NAME, target / STAMP_NAME)
    sync_folder(target)


def file_problem(path: Path) -> str:
    """Check the CRC-32 that tantivy appends to each file; return what is wrong, or nothing.

    Its binding has no call for that. A file ends with a JSON object of version and crc, the
    object's length and the number 1337 (both u32, little-endian; tantivy, directory/footer.rs).
    """
    try:
        with path.open("rb") as file:
            body = file.seek(0, os.SEEK_END) - 8
            file.seek(body)
            length, magic = struct.unpack("<II", file.read(8))
            body -= length
            if magic != _FOOTER_MAGIC or body < 0:
                return f"{path}: cut off"
            file.seek(body)
            expected = json.loads(file.read(length))["crc"]
            file.seek(0)
            found = 0
            for start in range(0, body, _CHUNK_BYTES):
                found = crc32(file.read(min(_CHUNK_BYTES, body - start)), found)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        return f"{path}: {error}"
    return "" if found == expected else f"{path}: checksum differs"


@contextmanager
def damage_as_error(path: Path) -> Iterator[None]:
    """Turn whatever tantivy raises on reading, panics included, into CorruptShardError."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, ValueError | OSError) or _is_panic(error):
            raise CorruptShardError(path, f"the lexical index cannot be read ({error})") from error
        raise


@contextmanager
def failure_as_os_error(path: Path) -> Iterator[None]:
    """Turn whatever tantivy raises on writing (a full disk, a held lock) into OSError."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, ValueError) or _is_panic(error):
            raise OSError(f"cannot write the lexical index {path}: {error}") from error
        raise


@cache
def _terms_fingerprint() -> int:
    return crc32(" ".join(index_terms(_PROBE)).encode())


def _is_panic(error: BaseException) -> bool:
    """Whether a Rust panic was carried over; its class cannot be imported and is no Exception."""
    return type(error).__name__ == "PanicException"
