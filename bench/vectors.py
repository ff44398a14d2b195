"""Token vectors of many texts, in the file that bench.corpus wrote; needs nothing of dejalog."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rows:
    """Token vectors of consecutive texts: `vectors` float32[tokens, dim], `lengths` uint32[n]."""

    vectors: NDArray[np.float32]
    lengths: NDArray[np.uint32]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Text i has the rows offsets[i] to offsets[i + 1]."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def each(self) -> list[NDArray[np.float32]]:
        """One view for each text."""
        offsets = self.offsets
        return [self.vectors[start:end] for start, end in pairwise(offsets)]


class Corpus:
    """What `python -m bench.corpus` wrote; each part is read when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def texts(self) -> Rows:
        """The token vectors of all texts, 0.4 GB."""
        return self._rows("")

    def queries(self, kind: str) -> list[NDArray[np.float32]]:
        """One array for each query; kind is `task` or `line`."""
        return self._rows(f"{kind}_query_").each()

    @cached_property
    def about(self) -> dict[str, object]:
        """How the corpus was made."""
        return self._json("about")

    def text_list(self) -> list[str]:
        """The texts themselves, as they were encoded."""
        return self._json("texts")

    def _rows(self, prefix: str) -> Rows:
        with np.load(self.path) as file:
            return Rows(file[f"{prefix}vectors"], file[f"{prefix}lengths"])

    def _json(self, name: str):
        with np.load(self.path) as file:
            return json.loads(file[name].tobytes())
