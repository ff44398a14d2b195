"""Which kernel scores: the best that this machine can run, or the one that DEJALOG_KERNEL names."""

from __future__ import annotations

from collections.abc import Mapping

from dejalog.indexer.kernel import _native, reference
from dejalog.indexer.kernel.native import Native
from dejalog.indexer.kernel.scoring import Backend

#: Forces one of available(), to compare results or to measure.
VARIABLE = "DEJALOG_KERNEL"

_REFERENCE = "reference"


def available() -> tuple[str, ...]:
    """Returns the names of the kernels that can run here, best first; the NumPy twin is last."""
    return (*_native.runnable(), _REFERENCE)


def choose(environment: Mapping[str, str]) -> str:
    """Returns the name of the kernel to use.

    Raises ImportError if the environment names one that is unknown or cannot run here: another in
    its place would be neither what was asked for nor seen.
    """
    names = available()
    name = environment.get(VARIABLE) or names[0]
    if name not in names:
        raise ImportError(
            f"{VARIABLE} is '{name}', but the kernels that can run here are {', '.join(names)}: "
            "name one of these, or unset it"
        )
    return name


def backend_of(name: str) -> Backend:
    """Returns the backend of one of available(); raises ValueError for any other name."""
    return reference if name == _REFERENCE else Native(name)
