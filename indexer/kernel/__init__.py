"""The only native code of the index: masking, and the scoring of token vectors.

There is no Python stand-in for the native module: without it nothing can be indexed. Kernel says
what each function here takes; BACKEND names what runs them.
"""

import os

try:
    from dejalog.indexer.kernel import _native
except ImportError as error:
    raise ImportError(
        "the native module dejalog.indexer.kernel._native is missing or was built for another "
        "Python: run 'pip install -e .' in the checkout, which needs a C++17 compiler"
    ) from error

from dejalog.indexer.kernel.backends import available, backend_of, choose
from dejalog.indexer.kernel.codes import (
    QUERY_ROWS,
    Codebook,
    CodedRows,
    Postings,
    PreparedQuery,
)
from dejalog.indexer.kernel.packing import decode, pack, unpack
from dejalog.indexer.kernel.queries import Probes
from dejalog.indexer.kernel.scoring import Kernel

BACKEND: str = choose(os.environ)

_kernel = Kernel(backend_of(BACKEND))

maxsim = _kernel.maxsim
best_rows = _kernel.best_rows
row_dots = _kernel.row_dots
nearest = _kernel.nearest
prepare = _kernel.prepare
centroid_maxsim = _kernel.centroid_maxsim
code_maxsim = _kernel.code_maxsim
code_best_rows = _kernel.code_best_rows
probed = _kernel.probed
probe = _kernel.probe
top = _kernel.top
encode = _kernel.encode

__all__ = [
    "BACKEND",
    "QUERY_ROWS",
    "Codebook",
    "CodedRows",
    "Kernel",
    "Postings",
    "PreparedQuery",
    "Probes",
    "_native",
    "available",
    "best_rows",
    "centroid_maxsim",
    "code_best_rows",
    "code_maxsim",
    "decode",
    "encode",
    "maxsim",
    "nearest",
    "pack",
    "prepare",
    "probe",
    "probed",
    "row_dots",
    "top",
    "unpack",
]
