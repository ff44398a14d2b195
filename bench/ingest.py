"""The write path, end to end and stage by stage, on one file; JSON lines out.

`python -m bench.ingest LOG` indexes the file into a temporary directory as `dejalog index` does,
then times each stage alone, and tells what encoding every line instead of every pattern would take.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from dejalog.daemon.commands.index import index_source
from dejalog.daemon.config import DataSettings, Settings
from dejalog.daemon.engine import open_encoder
from dejalog.daemon.progress import ProgressLine
from dejalog.daemon.sources.files import FileSource
from dejalog.indexer.decode import Decoder
from dejalog.indexer.event import Event, Record
from dejalog.indexer.mask import mask_pattern

#: Enough lines to know the mean cost of encoding one, without patterns.
LINES_ENCODED = 2_000


def main() -> None:
    """Prints one JSON object per measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path)
    log = parser.parse_args().log
    end_to_end(log)
    stages(log)


def end_to_end(log: Path) -> None:
    """Indexes the file as the command does, word index included."""
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(Settings(), data=DataSettings(directory=folder))
        source = FileSource([log], follow=False)
        started = time.perf_counter()
        with ProgressLine() as progress:
            totals = index_source(source, settings, progress)
        seconds = time.perf_counter() - started
        size = sum(f.stat().st_blocks * 512 for f in Path(folder).rglob("*") if f.is_file())
    report(
        "end to end",
        seconds,
        totals.events,
        new_patterns=totals.new_patterns,
        dead_letters=totals.dead_letters,
        bytes_on_disk=size,
    )


def stages(log: Path) -> None:
    """Times reading, decoding, masking and encoding, each alone and in one thread but encoding."""
    source = FileSource([log], follow=False)
    source.seek({})
    started = time.perf_counter()
    records: list[Record] = []
    while batch := source.poll(records_max=8192, bytes_max=8 << 20, timeout_s=0.1):
        records += batch
    report("read", time.perf_counter() - started, len(records))
    decoder = Decoder()
    started = time.perf_counter()
    events: list[Event] = [e for r in records for e in decoder.decode(r).events]
    report("decode", time.perf_counter() - started, len(events))
    started = time.perf_counter()
    patterns = list(dict.fromkeys(mask_pattern(event.text)[0] for event in events))
    report("mask", time.perf_counter() - started, len(events))
    encoder = open_encoder(Settings())
    started = time.perf_counter()
    encoded = encoder.encode_patterns(patterns)
    tokens = sum(len(e.vectors) for e in encoded)
    report("encode patterns", time.perf_counter() - started, len(patterns), tokens=tokens)
    lines = [event.text for event in events[:: max(1, len(events) // LINES_ENCODED)]]
    started = time.perf_counter()
    encoder.encode_patterns(lines)
    seconds = time.perf_counter() - started
    whole = seconds / len(lines) * len(events)
    report("encode lines", seconds, len(lines), seconds_for_every_line=round(whole))


def report(stage: str, seconds: float, count: int, **more: int) -> None:
    """Prints one measurement."""
    rate = round(count / seconds)
    print(json.dumps({"stage": stage, "seconds": round(seconds, 2), "per_s": rate, **more}))


if __name__ == "__main__":
    main()
