"""Checks of what callers hand over, before native code trusts it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dejalog.indexer.kernel.codes import WEIGHT_MAX, Codebook, CodedRows, PreparedQuery

#: A whole dot product of int16 and int8 then fits int32, one of int8 and int8 fits float32.
DIM_MAX = 512


def check_array(
    name: str, array: NDArray[Any], dtype: DTypeLike, *shape: int | None
) -> NDArray[Any]:
    """Returns the array; None stands for any length.

    Raises ValueError if dtype or shape differ or the array is not C-contiguous.
    """
    is_fit = (
        isinstance(array, np.ndarray)
        and array.dtype == dtype
        and array.ndim == len(shape)
        and all(b is None or a == b for a, b in zip(array.shape, shape, strict=True))
    )
    if not is_fit:
        found = (
            f"{array.dtype}{list(array.shape)}"
            if isinstance(array, np.ndarray)
            else type(array).__name__
        )
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} is {found}, but must be {np.dtype(dtype)}[{lengths}]")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} is not contiguous: pass np.ascontiguousarray({name})")
    return array


def check_query(query: NDArray[Any], dim: int | None = None) -> NDArray[Any]:
    """Returns float32[q, dim], q >= 1, contiguous; raises ValueError if it is not finite."""
    check_array("query", query, np.float32, None, dim)
    if not len(query):
        raise ValueError("query has no rows")
    if not np.isfinite(query).all():
        raise ValueError("query holds numbers that are not finite")
    check_dim(query.shape[1])
    return query


def check_dim(dim: int) -> None:
    """Raises ValueError unless kernels can score vectors of `dim` dimensions."""
    if not 8 <= dim <= DIM_MAX or dim % 8:
        raise ValueError(f"vectors have {dim} dimensions, but kernels take 8, 16, ... {DIM_MAX}")


def check_codebook(codebook: Codebook) -> None:
    """Raises ValueError if a codebook is not as codes.Codebook says."""
    check_array("codebook.centroids", codebook.centroids, np.int8, None, None)
    count, dim = codebook.centroids.shape
    check_dim(dim)
    if not 1 <= count <= 1 << 16:
        raise ValueError(f"a codebook of {count} centroids: 1 to 65536 are possible")
    if codebook.bits not in (1, 2, 4):
        raise ValueError(f"a bucket of {codebook.bits} bits: 1, 2 and 4 are known")
    check_array("codebook.centroid_scales", codebook.centroid_scales, np.float32, count)
    check_array("codebook.deviations", codebook.deviations, np.float32, dim)
    check_array("codebook.cutoffs", codebook.cutoffs, np.float32, (1 << codebook.bits) - 1)
    check_weights("codebook", codebook.weights, codebook.bits)
    if not 0 <= codebook.zero <= WEIGHT_MAX:
        raise ValueError(f"codebook.zero is {codebook.zero}, not one of 0 to {WEIGHT_MAX}")
    numbers = (codebook.weight_step, codebook.norm_low, codebook.norm_step)
    is_finite = (
        np.isfinite(codebook.centroid_scales).all()
        and np.isfinite(codebook.deviations).all()
        and np.isfinite(numbers).all()
    )
    if not is_finite:
        raise ValueError("codebook holds numbers that are not finite")


def check_weights(name: str, weights: NDArray[Any], bits: int) -> None:
    """Raises ValueError if a weight is missing or does not fit 7 bits."""
    check_array(f"{name}.weights", weights, np.uint8, 1 << bits)
    if int(weights.max()) > WEIGHT_MAX:
        raise ValueError(f"{name}.weights go up to {weights.max()}, beyond {WEIGHT_MAX}")


def check_coded(rows: CodedRows, prepared: PreparedQuery | None = None) -> None:
    """Raises ValueError if the arrays of `rows` do not belong together or to the query."""
    check_array("rows.offsets", rows.offsets, np.uint32, None)
    if not len(rows.offsets):
        raise ValueError("rows.offsets is empty: it has one more number than there are patterns")
    check_array("rows.centroid_ids", rows.centroid_ids, np.uint16, None)
    tokens = len(rows.centroid_ids)
    check_array("rows.norms", rows.norms, np.uint8, tokens)
    width = None if prepared is None else prepared.rows.shape[1] * prepared.bits // 8
    check_array("rows.residuals", rows.residuals, np.uint8, tokens, width)
