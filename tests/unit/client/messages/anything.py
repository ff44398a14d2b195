"""Any value of any dataclass that goes over the wire, made from its annotations.

A field that is added to a dataclass is filled too, so that forgetting it in a message shows.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any

from hypothesis import strategies as st

TIMES = st.integers(-(2**63), 2**63 - 1)
IDS = st.integers(0, 2**63 - 1)
COUNTS = st.integers(0, 2**31 - 1)
TEXTS = st.text(max_size=20)
NUMBERS = st.floats(allow_nan=False)
LABELS = st.dictionaries(st.text(max_size=5), TEXTS, max_size=3).map(
    lambda labels: tuple(sorted(labels.items()))
)
#: Longer lists would show nothing more.
LIST_MAX = 2


def any_of(kind: type[Any], **own: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of a dataclass; `own` are fields with bounds of their own."""
    hints = typing.get_type_hints(kind)
    filled = {
        field.name: own[field.name] if field.name in own else _filled(field.name, hints[field.name])
        for field in dataclasses.fields(kind)
    }
    return st.builds(kind, **filled)


def _filled(name: str, hint: Any) -> st.SearchStrategy[Any]:
    arguments = typing.get_args(hint)
    if name in {"labels", "attributes"}:
        return LABELS
    if isinstance(hint, types.UnionType):
        (kind,) = set(arguments) - {types.NoneType}
        return st.none() | _filled(name, kind)
    if typing.get_origin(hint) is tuple:
        return st.lists(_filled(name, arguments[0]), max_size=LIST_MAX).map(tuple)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return any_of(hint)
    return _plain(name, hint)


def _plain(name: str, hint: type[Any]) -> st.SearchStrategy[Any]:
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    if hint is int and name.endswith("_ns"):
        return TIMES
    if hint is int:
        return IDS if name.endswith(("event_id", "offset")) else COUNTS
    return {bool: st.booleans(), float: NUMBERS, str: TEXTS}[hint]
