"""Which asset an event belongs to, by its labels: numbers that hold over all shards of a search.

The first label that may name an asset, and that the event has, names it. Events without any belong
together if they come from the same file, and otherwise all together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.event import Labels
from dejalog.indexer.store.view import ShardArrays

#: The label that every file source puts on its events.
FILE_LABEL = "file"


@dataclass(frozen=True, slots=True)
class Asset:
    """A label that names an asset and its value, both empty for events that name none.

    `file` is where such events were read, empty where they come from no file.
    """

    label: str = ""
    value: str = ""
    file: str = ""

    @property
    def is_named(self) -> bool:
        """Whether its events say what it is."""
        return bool(self.label)


class AssetNumbers:
    """Numbers the assets of one search; labels compare without regard to the case of values."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._assets: list[Asset] = []

    def __len__(self) -> int:
        return len(self._assets)

    def asset(self, number: int) -> Asset:
        """The asset of this number, as it was first written."""
        return self._assets[number]

    def number(self, labels: Labels) -> int:
        """The number of the asset that these labels name."""
        asset = self._named(dict(labels))
        key = (asset.label, asset.value.casefold(), asset.file)
        number = self._numbers.setdefault(key, len(self._assets))
        if number == len(self._assets):
            self._assets.append(asset)
        return number

    def of_labelsets(self, arrays: ShardArrays) -> NDArray[np.int64]:
        """Returns int64[labelsets], the asset of each label set of a shard."""
        return np.array([self.number(labels) for labels in list(arrays.labelsets)], np.int64)

    def _named(self, labels: dict[str, str]) -> Asset:
        for name in self._names:
            if value := labels.get(name):
                return Asset(name, value)
        return Asset(file=labels.get(FILE_LABEL, ""))
