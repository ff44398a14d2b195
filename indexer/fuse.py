"""One score out of several channels.

Scores are fused, not ranks: reciprocal rank fusion throws away how much better the first hit is
than the second, and on the maintenance tasks it ends below the better channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.request import Mode


@dataclass(frozen=True, slots=True)
class Weights:
    """What each channel counts for; every channel lies between 0 and 1 or close to it.

    One set for everything, chosen on seven retrieval tasks together (docs/EVALUATION.md).
    """

    semantic: float = 1.0
    pooled: float = 1.3
    lexical: float = 0.4
    exact: float = 0.5


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of n patterns, each float32[n].

    `semantic`: MaxSim divided by the number of query rows. `pooled`: cosine. `lexical`: BM25 as a
    share (candidates.py). `exact`: how much of the query is rare codes that are found.
    """

    semantic: NDArray[np.float32]
    pooled: NDArray[np.float32]
    lexical: NDArray[np.float32]
    exact: NDArray[np.float32]


def fuse(channels: Channels, mode: Mode, weights: Weights) -> NDArray[np.float32]:
    """Returns float32[n], the totals by which patterns are ordered."""
    lexical: NDArray[np.float32] = weights.lexical * channels.lexical
    if mode is Mode.LEXICAL:
        return lexical
    total = weights.semantic * channels.semantic + weights.pooled * channels.pooled
    if mode is Mode.HYBRID:
        total = total + lexical + weights.exact * channels.exact
    return total
