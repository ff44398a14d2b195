"""Build an index with each engine from the same token vectors: seconds, memory, bytes; JSON lines.

    python -m bench.build CORPUS.npz [--engine NAME]... [--bits N]... [--cache DIR]

Each engine builds in a process of its own, one after another, from float32 vectors in memory to an
index on disk. The clock runs from the vectors, in the form the engine takes, to the finished index.
`bytes` counts all files of the index. Engines without an index are left out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.cache import build
from bench.contenders import arguments, contenders
from bench.vectors import Corpus


def main() -> None:
    """Builds what is asked for; prints one line for each engine."""
    options = arguments(__doc__.splitlines()[0]).parse_args()
    corpus = Corpus(options.corpus)
    with tempfile.TemporaryDirectory(prefix="dejalog-bench-") as folder:
        # Settings of search that share an index build it once.
        engines = {engine.index: engine for engine in contenders(options)}
        for index, engine in engines.items():
            if index is not None:
                build(engine, corpus, options.cache or Path(folder))


if __name__ == "__main__":
    main()
