"""The only native code of the index: masking, and later the scoring of token vectors.

There is no Python stand-in for the native module: without it nothing can be indexed.
"""

try:
    from dejalog.indexer.kernel import _native
except ImportError as error:
    raise ImportError(
        "the native module dejalog.indexer.kernel._native is missing or was built for another "
        "Python: run 'pip install -e .' in the checkout, which needs a C++17 compiler"
    ) from error

__all__ = ["_native"]
