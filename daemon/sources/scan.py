"""Find the files to read under the given paths, and say of every other file why it is not read.

A file is found once, under its own name rather than a link's. Folders are walked in order of name,
links to folders too, each folder once. A path that is not there may be a pattern (`/var/log/*.log`,
`**` for any depth), which is looked up in each scan.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from dejalog.daemon.sources.identity import rotation_stem
from dejalog.daemon.sources.printable import printable
from dejalog.daemon.sources.source import Skipped
from dejalog.indexer.store.folders import SHARDS_NAME
from dejalog.indexer.store.manifest import MANIFEST_NAME

#: Compressed forms that cannot be read here; to be unpacked first.
COMPRESSED_SUFFIXES = (
    ".zip", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".7z", ".rar", ".br", ".tar", ".tgz",
)  # fmt: skip

#: Suffixes of files that hold no lines.
BINARY_SUFFIXES = (
    ".journal", ".db", ".mdb", ".sqlite", ".sqlite3", ".pcap", ".pcapng", ".parquet", ".avro",
    ".so", ".o", ".a", ".exe", ".dll", ".bin", ".class", ".jar", ".pyc", ".whl", ".onnx",
    ".npy", ".npz", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".pdf", ".mp4", ".wav",
    ".doc", ".docx", ".xls", ".xlsx", ".odt", ".ods", ".swp",
)  # fmt: skip

#: Login records, binary under names without a suffix, in every Linux log folder.
BINARY_NAMES = ("wtmp", "btmp", "lastlog", "faillog", "tallylog")

#: First bytes of the compressed forms, for files whose name does not tell.
COMPRESSED_MAGICS = (
    (b"PK\x03\x04", "zip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)

#: First bytes of files that hold no lines, for names without a suffix. A NUL byte alone says
#: nothing: a log that was cut while its writer went on begins with many.
BINARY_MAGICS = (
    b"\x7fELF", b"MZ\x90\0", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"!<arch>\n",
    b"SQLite format 3\0", b"LPKSHHRH", b"PAR1", b"Obj\x01", b"\xd4\xc3\xb2\xa1", b"\n\r\r\n",
    b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"%PDF-",
)  # fmt: skip


#: A folder with these holds an index: what it is made of are no logs, and reading it adds to it.
INDEX_NAMES = frozenset({MANIFEST_NAME, SHARDS_NAME})


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file to read. A sibling counts only if it is a rotated form of a known file."""

    path: str
    inode: str
    size_bytes: int
    modified_ns: int
    changed_ns: int
    is_sibling: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """What one scan found: by inode, in order of path."""

    found: dict[str, Found]
    skipped: list[Skipped]
    unreadable: list[Skipped]


@dataclass(frozen=True, slots=True)
class _Seen:
    path: str
    status: os.stat_result
    is_named: bool
    is_link: bool


def scan(
    paths: Sequence[str],
    *,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    has_siblings: bool = False,
) -> Listing:
    """Lists the files under `paths`.

    `include` and `exclude` are shell patterns for names (or, with a slash, for paths) of files in
    folders. With `has_siblings`, rotated forms of named files are found beside them.
    """
    listing = Listing({}, [], [])
    seen: list[_Seen] = []
    paths = [match for path in paths for match in _matching(path)]
    for path in paths:
        seen.extend(_walk(path, set(), listing, is_named=True))
    for item in sorted(seen, key=lambda item: (item.is_link, item.path)):
        reason = "" if item.is_named else _refusal_by_name(item.path, include, exclude)
        _add(listing, item, reason or _refusal_by_kind(item.status.st_mode))
    if has_siblings:
        for path in paths:
            _add_siblings(listing, path)
    in_order = sorted(listing.found.values(), key=lambda found: found.path)
    return Listing({found.inode: found for found in in_order}, listing.skipped, listing.unreadable)


def _matching(path: str) -> list[str]:
    """What a pattern stands for now; a path that is there, or that nothing matches, is itself."""
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    return sorted(glob.glob(path, recursive=True)) or [path]


def _walk(
    path: str, folders: set[tuple[int, int]], listing: Listing, *, is_named: bool = False
) -> Iterator[_Seen]:
    try:
        is_link, status = os.path.islink(path), os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            yield _Seen(path, status, is_named, is_link)
            return
        if (status.st_dev, status.st_ino) in folders:
            listing.skipped.append(_skip(path, "a link to a folder that is read already"))
            return
        folders.add((status.st_dev, status.st_ino))
        names = sorted(os.listdir(path))
    except OSError as error:
        _add_error(listing, path, error, is_named=is_named)
        return
    if set(names) >= INDEX_NAMES:
        listing.skipped.append(_skip(path, "an index of dejalog"))
        return
    for name in names:
        if name.startswith("."):
            listing.skipped.append(_skip(os.path.join(path, name), "hidden"))
        else:
            yield from _walk(os.path.join(path, name), folders, listing)


def _add_error(listing: Listing, path: str, error: OSError, *, is_named: bool) -> None:
    if isinstance(error, FileNotFoundError) and not is_named:
        if os.path.islink(path):
            listing.skipped.append(_skip(path, "a link to nothing"))
        return  # Gone between listing the folder and looking at it: as if never there.
    reason = (error.strerror or str(error)).lower()
    listing.unreadable.append(_skip(path, reason))


def _skip(path: str, reason: str) -> Skipped:
    return Skipped(printable(path), reason)


def _refusal_by_name(path: str, include: Sequence[str], exclude: Sequence[str]) -> str:
    name = os.path.basename(path)
    if not _matches(path, include):
        return "not included"
    if _matches(path, exclude):
        return "excluded"
    suffix = os.path.splitext(name)[1].lower()
    if suffix in COMPRESSED_SUFFIXES:
        return f"{suffix[1:]} cannot be read, unpack it first"
    if suffix in BINARY_SUFFIXES or name.split(".")[0] in BINARY_NAMES:
        return "binary"
    return ""


def _matches(path: str, patterns: Sequence[str]) -> bool:
    name = os.path.basename(path)
    return any(fnmatch(path if "/" in pattern else name, pattern) for pattern in patterns)


def _refusal_by_kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISFIFO(mode):
        return "a pipe, not a file"
    return "a socket, not a file" if stat.S_ISSOCK(mode) else "a device, not a file"


def compression_of(head: bytes) -> str:
    """Returns the name of a compressed form that cannot be read, by a file's first bytes."""
    return next((name for magic, name in COMPRESSED_MAGICS if head.startswith(magic)), "")


def refusal_by_head(head: bytes) -> str:
    """Returns why a file cannot be read, by its first bytes; "" if nothing speaks against it."""
    form = compression_of(head)
    if form:
        return f"{form} cannot be read, unpack it first"
    return "binary" if head.startswith(BINARY_MAGICS) else ""


def inode_of(status: os.stat_result) -> str:
    """Names a file by device and inode, as partitions do."""
    return f"{status.st_dev}:{status.st_ino}"


def _add(listing: Listing, item: _Seen, refusal: str, *, is_sibling: bool = False) -> None:
    if refusal:
        listing.skipped.append(_skip(item.path, refusal))
        return
    status, inode = item.status, inode_of(item.status)
    other = listing.found.get(inode)
    if other is not None:
        if other.path != item.path and not is_sibling:
            reason = f"the same file as {printable(other.path)}"
            listing.skipped.append(_skip(item.path, reason))
        return
    times = status.st_mtime_ns, status.st_ctime_ns
    listing.found[inode] = Found(item.path, inode, status.st_size, *times, is_sibling)


def _add_siblings(listing: Listing, path: str) -> None:
    folder, stem = os.path.dirname(path), rotation_stem(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return  # Reported for the named file itself.
    for name in sorted(names):
        sibling = os.path.join(folder, name)
        if sibling != path and rotation_stem(sibling) == stem:
            _add_sibling(listing, sibling)


def _add_sibling(listing: Listing, path: str) -> None:
    try:
        item = _Seen(path, os.stat(path), is_named=False, is_link=False)
    except OSError:
        return  # Rotated on meanwhile; the next scan sees it under its new name.
    if stat.S_ISREG(item.status.st_mode):
        _add(listing, item, "", is_sibling=True)
