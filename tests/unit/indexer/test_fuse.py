from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer.fuse import Channels, Weights, fuse
from dejalog.indexer.request import Mode

CHANNELS = Channels(
    semantic=np.array([0.5, 0.9], np.float32),
    pooled=np.array([0.4, 0.1], np.float32),
    lexical=np.array([1.0, 0.0], np.float32),
    exact=np.array([0.0, 1.0], np.float32),
)
WEIGHTS = Weights(semantic=1.0, pooled=2.0, lexical=0.5, exact=3.0)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.SEMANTIC, [1.3, 1.1]),
        (Mode.LEXICAL, [0.5, 0.0]),
        (Mode.HYBRID, [1.8, 4.1]),
    ],
)
def test_a_mode_adds_up_its_own_channels(mode: Mode, expected: list[float]) -> None:
    np.testing.assert_allclose(fuse(CHANNELS, mode, WEIGHTS), expected, rtol=1e-6)
