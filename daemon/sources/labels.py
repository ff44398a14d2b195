"""Labels that whoever reads a source gives to its records, all or by path: `asset=P-101`.

They are what a record's own labels may be: short, and under the names that decoding gives. Where an
event has a label of that name itself, the event is right (docs/INGEST.md).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from dejalog.daemon.sources.printable import printable
from dejalog.indexer.decode import DecodeSettings
from dejalog.indexer.decode.fields import label_name
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.event import Labels

_BOUNDS = DecodeSettings()


@dataclass(frozen=True, slots=True)
class PathLabels:
    """Labels by path: of a file, of all that lies in a folder, or of what a pattern matches.

    Rules are pairs of an absolute path in printable form and its labels; the first one counts.
    """

    rules: tuple[tuple[str, Labels], ...] = ()

    @classmethod
    def given(cls, rules: Iterable[tuple[str | Path, Labels]]) -> PathLabels:
        """Returns the rules for paths as a person writes them."""
        return cls(tuple((printable(os.path.abspath(path)), labels) for path, labels in rules))

    def of(self, path: str) -> Labels:
        """Returns the labels of a file, by its absolute path in printable form."""
        return next((labels for rule, labels in self.rules if _is_under(path, rule)), ())


NO_PATH_LABELS = PathLabels()


def _is_under(path: str, rule: str) -> bool:
    folder = rule if rule.endswith("/") else f"{rule}/"
    if path == rule or path.startswith(folder):
        return True
    return glob.has_magic(rule) and _matches(path.split("/"), rule.split("/"))


def _matches(parts: Sequence[str], rule: Sequence[str]) -> bool:
    """Whether a pattern matches a path or a folder above it; `**` is any number of folders."""
    if not rule:
        return True
    if rule[0] == "**":
        return any(_matches(parts[at:], rule[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], rule[0]) and _matches(parts[1:], rule[1:])


def parse_labels(texts: Iterable[str]) -> Labels:
    """Returns the labels that were written as NAME=VALUE, sorted; raises ConfigError."""
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise _wrong(text, "is not NAME=VALUE, for example asset=P-101")
        if labels.setdefault(name, value) != value:
            raise _wrong(text, f"{name} has the value {labels[name]!a} already")
    problem = problem_of(labels)
    if problem:
        raise ConfigError("--label", *problem)
    return tuple(sorted(labels.items()))


def problem_of(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Returns the first label that cannot be one, and why; None where all can."""
    for name, value in labels.items():
        reason = _name_refusal(name) or _value_refusal(value)
        if reason:
            return ascii(f"{name}={value}")[1:-1], reason
    if len(labels) > _BOUNDS.labels_max:
        return "labels", f"{len(labels)} are given, and at most {_BOUNDS.labels_max} are taken"
    return None


def _name_refusal(name: str) -> str:
    chars_max = _BOUNDS.name_chars_max
    if not 0 < len(name) <= chars_max or not name.isprintable() or name != name.strip():
        return f"a label's name is 1 to {chars_max} printable characters"
    if name.lower() == "severity":
        return "severity is read from each record, and cannot be given"
    # A question for the usual name would not find it, and notes would not be tied to it.
    usual = label_name(name, "")
    return f"this label is called {usual}" if usual and usual != name else ""


def _value_refusal(value: str) -> str:
    chars_max = _BOUNDS.label_chars_max
    if not value.strip() or len(value) > chars_max:
        return f"a label's value is 1 to {chars_max} characters, and not only blanks"
    is_text = not any("\ud800" <= character <= "\udfff" for character in value)
    return "" if is_text else "the value is not UTF-8"


def _wrong(text: str, reason: str) -> ConfigError:
    return ConfigError("--label", ascii(text)[1:-1], reason)
