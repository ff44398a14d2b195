"""Makes the demo's sample from the MIT and Apache-2.0 rows of the shared data.

Run as `python training/make_demo_sample.py DATA_DIR`; the same input gives the same bytes. What it
writes to `daemon/demo_sample/` is committed and attributed in NOTICE:

- services.log.gz: lines of two microservice testbeds (Nezha, MIT), every rare one and a slice of
  the rest, in time order
- notes.jsonl.gz: work orders (mwo2kg and echidna, Apache-2.0), failure modes with their
  recommended action (Paper_Archive_Hybrid_RAG_FMEA, MIT) and short work requests (maintnorm, MIT)
- codes.jsonl.gz: vehicle trouble codes (dtc-database, MIT)
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from dejalog.indexer.mask import mask_pattern

TARGET = Path(__file__).parents[1] / "daemon" / "demo_sample"

#: A pattern's first lines are what makes a sample varied; this many of each are kept.
LINES_PER_PATTERN = 8
LINE_CHARACTERS_MAX = 600
#: Plain lines kept of each testbed.
LINES_MAX = {"nezha_trainticket": 2_600, "nezha_onlineboutique": 900}


def main() -> None:
    """Writes the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder with logs/, maintenance/ and codes/")
    data = parser.parse_args().data
    TARGET.mkdir(exist_ok=True)
    counts = {
        "services.log.gz": write_lines("services.log.gz", sorted(service_lines(data))),
        "notes.jsonl.gz": write_lines("notes.jsonl.gz", map(json.dumps, notes(data))),
        "codes.jsonl.gz": write_lines("codes.jsonl.gz", map(json.dumps, codes(data))),
    }
    print(counts, sum(counts.values()))


def service_lines(data: Path) -> Iterator[str]:
    """Lines of both testbeds: the first of every pattern, until there are enough."""
    for name, limit in LINES_MAX.items():
        seen: Counter[str] = Counter()
        kept = 0
        with gzip.open(data / "logs" / f"{name}.log.gz", "rt", encoding="utf-8") as file:
            for line in file:
                text = line.rstrip("\n")
                if len(text) > LINE_CHARACTERS_MAX or kept == limit:
                    continue
                pattern = mask_pattern(text)[0]
                seen[pattern] += 1
                if seen[pattern] <= LINES_PER_PATTERN:
                    kept += 1
                    yield text


def notes(data: Path) -> Iterator[dict[str, str]]:
    """Maintenance notes in the documented form, with whatever each corpus knows."""
    folder = data / "maintenance"
    for row in _json_lines(folder / "mwo2kg_work_orders.jsonl"):
        day = datetime.strptime(row["date"], "%d/%m/%Y")
        yield {
            "kind": "note",
            "time": day.strftime("%Y-%m-%dT00:00:00Z"),
            "asset": row["functional_location"],
            "work_order": row["_id"],
            "text": row["text"],
        }
    with (folder / "fmea_dataset_filled.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            note = {
                "kind": "note",
                "asset": row["Component"],
                "text": (
                    f"{row['Sub-Component']}: {row['Potential Failure Mode']}. "
                    f"Effect: {row['Potential Effect(s) of Failure']}. "
                    f"Cause: {row['Potential Cause(s) of Failure']}."
                ),
            }
            if row["Recommended Action"]:
                note["action"] = row["Recommended Action"]
            yield note
    for row in list(_json_lines(folder / "maintnorm.jsonl"))[::8]:
        yield {"kind": "note", "work_order": row["_id"], "text": row["text"]}


def codes(data: Path) -> Iterator[dict[str, str]]:
    """The codes that are the same for every make."""
    with (data / "codes" / "dtc_wal33d.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "p"]
    for row in rows[:1_200]:
        yield {"message": f"{row['code']} {row['description']}", "component": "engine control"}


def _json_lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def write_lines(name: str, lines: Iterable[str]) -> int:
    """Writes a reproducible gzip file and returns the number of lines."""
    count = 0
    with (TARGET / name).open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        for line in lines:
            file.write(line.encode() + b"\n")
            count += 1
    return count


if __name__ == "__main__":
    main()
