"""The few errors that callers tell apart; builtins serve for everything else.

A message says what happened, where, and what to do next, in lower case and without a full stop.
"""

from __future__ import annotations

from pathlib import Path


class DejalogError(Exception):
    """Base of every error that is shown to a person without a traceback."""


class ConfigError(DejalogError):
    """A setting is unknown, of the wrong type or out of range."""

    def __init__(self, origin: str, key: str, reason: str) -> None:
        super().__init__(f"{origin}: {key}: {reason}")
        self.origin, self.key, self.reason = origin, key, reason


class ModelError(DejalogError):
    """A model bundle is missing, incomplete or not of the expected layout."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"model bundle {path}: {reason}")
        self.path, self.reason = path, reason


class FormatError(DejalogError):
    """Stored bytes were written by another version or are not ours."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(f"{path}: found {found}, expected {expected}")
        self.path, self.found, self.expected = path, found, expected


class CorruptShardError(DejalogError):
    """A shard's bytes are not the bytes that were written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"shard {path} is damaged: {reason}; run 'dejalog verify' for the extent, "
            "and 'dejalog verify --repair' to set it aside"
        )
        self.path, self.reason = path, reason


class DataDirectoryError(DejalogError):
    """The data directory is in use, missing, or cannot be written."""


class QueryError(DejalogError):
    """A query cannot be understood."""


class SourceError(DejalogError):
    """A source cannot be read."""


class StorageError(DejalogError):
    """The disk refused a write; nothing of the transaction was kept, and the writer must end."""
