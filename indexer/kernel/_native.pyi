import numpy as np
from numpy.typing import NDArray

PLACEHOLDERS: tuple[str, ...]
MASK_VERSION: int

def mask_pattern(text: str) -> tuple[str, tuple[int, ...]]: ...
def runnable() -> tuple[str, ...]: ...
def is_within(
    bounds: NDArray[np.int64] | NDArray[np.uint32],
    numbers: NDArray[np.uint32] | None,
    limit: int,
    /,
) -> bool: ...
def largest_norm(centroids: NDArray[np.int8], scales: NDArray[np.float32], /) -> float: ...
def best_centroids(
    table: NDArray[np.int16],
    centroids: int,
    numbers: NDArray[np.uint16],
    values: NDArray[np.int32],
    /,
) -> None: ...
def probe(
    centroids: NDArray[np.uint16],
    gains: NDArray[np.int32],
    starts: NDArray[np.uint32],
    patterns: NDArray[np.uint16],
    is_allowed: NDArray[np.uint8] | None,
    scores: NDArray[np.int32],
    /,
) -> None: ...
def top(
    scores: NDArray[np.int32] | NDArray[np.float32], count: int, least: float | None, /
) -> NDArray[np.uint32]: ...
def encode(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    centroid_ids: NDArray[np.uint16],
    centroids: NDArray[np.int8],
    centroid_scales: NDArray[np.float32],
    deviations: NDArray[np.float32],
    inverse_deviations: NDArray[np.float32],
    cutoffs: NDArray[np.float32],
    weight_values: NDArray[np.float32],
    bits: int,
    norm_low: float,
    norm_step: float,
    residuals: NDArray[np.uint8],
    norms: NDArray[np.uint8],
    /,
) -> None: ...

class Scan: ...

class Scorer:
    def __init__(self, name: str, /) -> None: ...
    def fresh(
        self,
        rows: NDArray[np.int8],
        row_scales: NDArray[np.float32],
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        offsets: NDArray[np.int64],
        /,
    ) -> Scan: ...
    def coded(
        self,
        rows: NDArray[np.int8],
        bias: NDArray[np.int32],
        table: NDArray[np.int16],
        weights: NDArray[np.uint8],
        norm_values: NDArray[np.float32],
        bits: int,
        shift: int,
        unit: float,
        offsets: NDArray[np.uint32],
        centroid_ids: NDArray[np.uint16],
        norms: NDArray[np.uint8],
        residuals: NDArray[np.uint8],
        /,
    ) -> Scan: ...
    def maxsim(
        self, scan: Scan, patterns: NDArray[np.uint32] | None, scores: NDArray[np.float32], /
    ) -> None: ...
    def centroid_maxsim(
        self, scan: Scan, patterns: NDArray[np.uint32] | None, scores: NDArray[np.int32], /
    ) -> None: ...
    def best_rows(
        self,
        scan: Scan,
        start: int,
        end: int,
        best: NDArray[np.int64],
        similarities: NDArray[np.float32],
        /,
    ) -> None: ...
    def nearest(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        centroids: NDArray[np.int8],
        centroid_scales: NDArray[np.float32],
        half_squares: NDArray[np.float32],
        found: NDArray[np.uint16],
        /,
    ) -> None: ...
    def fill_table(
        self,
        rows: NDArray[np.int16],
        factors: NDArray[np.float32],
        centroids: NDArray[np.int8],
        centroid_scales: NDArray[np.float32],
        table: NDArray[np.int16],
        /,
    ) -> None: ...
    def row_dots(
        self,
        query: NDArray[np.int16],
        query_scale: float,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        rows: NDArray[np.uint32] | None,
        dots: NDArray[np.float32],
        /,
    ) -> None: ...
