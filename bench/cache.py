"""Built indexes, kept between runs: building the peers takes minutes, searching them seconds.

A peer's index is used again only if it was made from the same corpus with the same settings and
versions; a JSON file beside its folder says so and keeps the figures of the build. dejalog's own is
always built anew: its version does not tell one state of the code from another.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.trial import Engine, alone, build_index, emit, machine, versions
from bench.vectors import Corpus


def build(engine: Engine, corpus: Corpus, cache: Path) -> Path:
    """Builds anew, prints the figures and returns the folder of the index."""
    folder, note = cache / str(engine.index), cache / f"{engine.index}.json"
    note.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    about = {**machine(), "versions": versions()}
    figures = alone(engine.threads, build_index, engine, corpus.path, folder)
    record = {
        "bench": "build",
        "engine": engine.name,
        "settings": engine.build_settings,
        "threads": engine.threads,
        **figures,
        **about,
    }
    note.write_text(json.dumps({"key": _key(engine, corpus), "record": record}), "utf-8")
    emit(record)
    return folder


def built(engine: Engine, corpus: Corpus, cache: Path) -> Path | None:
    """Returns the folder of an index, building it if there is none; None without an index."""
    if engine.index is None:
        return None
    note = cache / f"{engine.index}.json"
    is_own = engine.package == "dejalog"
    if (
        not is_own
        and note.is_file()
        and json.loads(note.read_text("utf-8"))["key"] == _key(engine, corpus)
    ):
        return cache / engine.index
    return build(engine, corpus, cache)


def build_figures(engine: Engine, cache: Path) -> dict[str, object]:
    """Returns what the build of a kept index measured; empty without an index."""
    if engine.index is None:
        return {}
    record = json.loads((cache / f"{engine.index}.json").read_text("utf-8"))["record"]
    return {name: record[name] for name in ("build_s", "bytes", "bytes_per_token")}


def _key(engine: Engine, corpus: Corpus) -> dict[str, object]:
    found = versions()
    return {
        "corpus": corpus.about,
        "settings": engine.build_settings,
        "versions": {name: found.get(name) for name in (engine.distribution, "torch")},
    }
