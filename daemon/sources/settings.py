"""The [sources] section, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dejalog.daemon.sources.labels import problem_of
from dejalog.indexer.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files, directories and globs, and the labels of what is read from them; raises ConfigError.

    `labels` are constant: `{asset = "P-101"}`.
    """

    files: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.files or not all(self.files):
            raise _bad("each group names its files, for example files = ['/var/log/pump101.log']")
        if not self.labels:
            raise _bad("each group has labels; files without any go into sources.files")
        problem = problem_of(self.labels)
        if problem:
            raise _bad(": ".join(problem))


@dataclass(frozen=True, slots=True)
class SourcesSettings:
    """What the daemon reads: files, directories and globs, followed as they grow.

    A file that lies in several groups has the labels of the first one.
    """

    files: tuple[str, ...] = ()
    groups: tuple[FileGroup, ...] = ()


def _bad(reason: str) -> ConfigError:
    return ConfigError("sources", "groups", reason)
