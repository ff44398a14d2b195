"""Does a fault that happened before come first, and what fixed it with it? JSON lines out.

`python -m bench.precedents faults LOG FAULTS.json... --index DIR` indexes a Nezha log (lines of
time, node, pod and message; pod and service become labels) unless DIR holds it already. For each
injected fault:

1. The question: the first event of each pattern that is unusual for the fault's pod within three
   minutes after the injection, by the measure that a precedent's course has. A fault without any
   asks nothing, and is counted as silent.
2. The answers: precedents of that text, but for those that overlap the fault itself.
3. An answer is right if it overlaps another fault of the same kind: the same type in the same
   service (`--kind same`), or the same type anywhere (`--kind type`).

Beside it stand plain search (its hits' events, best hit first, newest event first) and chance (the
other faults in any order). `--half` names the services asked: rules were chosen on `tuned`.

`python -m bench.precedents notes FMEA.csv` makes a note of each row of a failure mode and effects
table that has an action: the part, how it fails and why, with the action as what was done. The
question is the part with the effect that people see, which no note says. An answer is right if
what was done is what the row says.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dejalog.daemon.config import Settings
from dejalog.daemon.engine import open_decoder, open_searcher, open_writable
from dejalog.daemon.lexical_worker import LexicalWorker
from dejalog.daemon.pipeline import Pipeline
from dejalog.daemon.sources.files import FileSource
from dejalog.indexer.incidents.course import Stretch, read_course
from dejalog.indexer.incidents.grouping import Rules
from dejalog.indexer.incidents.timeline import Timeline
from dejalog.indexer.pasted import as_pasted
from dejalog.indexer.precedents import find_precedents
from dejalog.indexer.request import PrecedentsRequest, SearchRequest
from dejalog.indexer.search import Searcher

SECOND_NS = 1_000_000_000
#: How long after an injection the testbed's logs go on.
FAULT_S = 180
#: The logs are runs of four minutes, with two to five minutes from one to the next.
GAP_S = 120.0
LINES = 6
ANSWERS = 50
#: Every second service in the order of the alphabet.
TUNED = ("ts-basic-service", "ts-food-service", "ts-preserve-service", "ts-route-service")
CHANCE_RUNS = 2_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One injection."""

    start_ns: int
    pod: str
    type: str

    @property
    def service(self) -> str:
        """The pod without what its replica set adds to the name."""
        return self.pod.rsplit("-", 2)[0]

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether a time touches the three minutes after the injection."""
        return start_ns <= self.start_ns + FAULT_S * SECOND_NS and end_ns >= self.start_ns

    def is_like(self, other: Fault, kind: str) -> bool:
        """Whether another fault is of the same kind."""
        if self == other or self.type != other.type:
            return False
        return kind == "type" or self.service == other.service


@dataclass(frozen=True, slots=True)
class Asked:
    """A fault and what was answered: the times of each answer, best first."""

    fault: Fault
    answers: Sequence[tuple[int, int]]


def main() -> None:
    """Prints a line for each way of answering, and with --verbose one for each fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    of_faults = commands.add_parser("faults")
    of_faults.add_argument("log", type=Path)
    of_faults.add_argument("faults", type=Path, nargs="+")
    of_faults.add_argument("--index", type=Path, required=True)
    of_faults.add_argument("--kind", choices=("same", "type"), action="append")
    of_faults.add_argument("--half", choices=("tuned", "other"), action="append")
    of_faults.add_argument("--verbose", action="store_true")
    for name, value in (("sharpness", 0.0), ("share", -1.0), ("further", -1.0)):
        of_faults.add_argument(f"--{name}", type=float, default=value)
    commands.add_parser("notes").add_argument("table", type=Path)
    parsed = parser.parse_args()
    if parsed.command == "notes":
        ask_notes(parsed.table)
        return
    settings = settings_of(parsed.index)
    if not (parsed.index / "manifest.json").exists():
        index_log(parsed.log, settings)
    with open_searcher(settings) as (_, searcher):
        faults = within(searcher, sorted(read_faults(parsed.faults), key=lambda f: f.start_ns))
        report(searcher, faults, parsed)


def settings_of(folder: Path) -> Settings:
    """The default settings over a data directory."""
    settings = Settings()
    return replace(settings, data=replace(settings.data, directory=str(folder)))


def read_faults(paths: Sequence[Path]) -> Iterator[Fault]:
    """The faults; their time zone differs from file to file, so that the text is what counts."""
    for path in paths:
        for each in itertools.chain.from_iterable(json.loads(path.read_text()).values()):
            when = datetime.strptime(each["inject_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            start_ns = int(when.timestamp()) * SECOND_NS
            yield Fault(start_ns, each["inject_pod"], each["inject_type"])


def within(searcher: Searcher, faults: Sequence[Fault]) -> list[Fault]:
    """The faults that happened while there are logs."""
    times = [state.columns.times for state in searcher.states()]
    return [
        fault
        for fault in faults
        if any(
            ((each >= fault.start_ns) & (each <= fault.start_ns + FAULT_S * SECOND_NS)).any()
            for each in times
        )
    ]


def index_log(log: Path, settings: Settings) -> None:
    """Indexes the log's lines as JSON records."""

    def records() -> Iterator[dict[str, str]]:
        with gzip.open(log, "rt", errors="replace") as lines:
            for line in lines:
                when, node, pod, message = line.rstrip("\n").split(" ", 3)
                service = pod.rsplit("-", 2)[0]
                labels = {"node": node, "pod": pod, "service": service}
                yield {"time": when, **labels, "message": message}

    index_records(records(), settings)


def index_records(records: Iterable[dict[str, str]], settings: Settings) -> None:
    """Puts JSON records through the write path of the product."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        with path.open("w") as out:
            out.writelines(json.dumps(record) + "\n" for record in records)
        with open_writable(settings) as opened:
            failures: list[BaseException] = []
            words = LexicalWorker(opened.directory, failures.append)
            pipeline = Pipeline(
                FileSource([path], follow=False),
                open_decoder(settings),
                opened.appender,
                settings=settings.ingest,
                gate=lambda: True,
                on_commit=lambda _: words.notify(),
            )
            words.start()
            pipeline.run()
            words.finish()
            if failures:
                raise failures[0]


def report(searcher: Searcher, faults: Sequence[Fault], parsed: argparse.Namespace) -> None:
    """Asks for every fault, and prints the figures."""
    rules = chosen_rules(parsed)
    found: dict[str, list[Asked]] = {"precedents": [], "search": []}
    silent: list[Fault] = []
    seconds: list[float] = []
    for fault in faults:
        question = question_of(searcher, fault)
        if not question:
            silent.append(fault)
            continue
        started = time.perf_counter()
        answers = precedents(searcher, question, rules)
        seconds.append(time.perf_counter() - started)
        found["precedents"].append(Asked(fault, without(fault, answers)))
        found["search"].append(Asked(fault, without(fault, searched(searcher, question))))
    for half in parsed.half or ("tuned", "other"):
        for kind in parsed.kind or ("same", "type"):
            for way, asked in found.items():
                figures = measure([a for a in asked if is_in(a.fault, half)], faults, kind)
                print(json.dumps({"way": way, "half": half, "kind": kind, **figures}))
            of_half = [a.fault for a in found["search"] if is_in(a.fault, half)]
            chance = by_chance(of_half, faults, kind)
            print(json.dumps({"way": "chance", "half": half, "kind": kind, **chance}))
    summary = {
        "faults": len(faults),
        "silent": [f"{fault.type} {fault.service}" for fault in silent],
        "p50_ms": round(1000 * statistics.median(seconds)),
        "max_ms": round(1000 * max(seconds)),
    }
    print(json.dumps(summary))
    if parsed.verbose:
        for each in found["precedents"]:
            print_fault(searcher, each, faults)


def chosen_rules(parsed: argparse.Namespace) -> Rules:
    """The product's rules, but for what the flags say."""
    rules = Rules()
    return Rules(
        sharpness=parsed.sharpness or rules.sharpness,
        weight_share_min=rules.weight_share_min if parsed.share < 0 else parsed.share,
        further_share=rules.further_share if parsed.further < 0 else parsed.further,
    )


def is_in(fault: Fault, half: str) -> bool:
    """Whether a fault's service belongs to this half."""
    return (fault.service in TUNED) == (half == "tuned")


def question_of(searcher: Searcher, fault: Fault) -> str:
    """The first unusual lines of the fault's pod after the injection."""
    with searcher.shards.held() as held:
        timeline = Timeline(held, ("pod",))
        asset = timeline.numbers.number((("pod", fault.pod),))
        end_ns = fault.start_ns + FAULT_S * SECOND_NS
        steps = read_course(timeline, Stretch(asset, fault.start_ns, end_ns), LINES)
    return "\n".join(step.example.event.text for step in steps)


def precedents(searcher: Searcher, question: str, rules: Rules) -> list[tuple[int, int]]:
    """What the product answers."""
    request = PrecedentsRequest(
        question, limit=ANSWERS, course=0, notes=0, occurrences=0, gap_s=GAP_S
    )
    result = find_precedents(searcher, request, rules=rules)
    return [(each.start_ns, each.end_ns) for each in result.precedents]


def searched(searcher: Searcher, question: str) -> list[tuple[int, int]]:
    """What plain search answers to the whole question."""
    request = SearchRequest(question, limit=ANSWERS, occurrences=20, is_explained=False)
    times = [
        each.event.time_ns for hit in searcher.search(request).hits for each in hit.occurrences
    ]
    return [(when, when) for when in times]


def without(fault: Fault, answers: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The answers but for those from the fault's own run, which begins a minute before it."""
    own = replace(fault, start_ns=fault.start_ns - 60 * SECOND_NS)
    return [a for a in answers if not fault.overlaps(*a) and not own.overlaps(*a)]


def measure(asked: Sequence[Asked], faults: Sequence[Fault], kind: str) -> dict[str, object]:
    """MRR, recall@5 and precision@1 over the faults that have another of their kind."""
    ranks: list[int] = []
    recalls: list[float] = []
    for each in asked:
        like = [other for other in faults if each.fault.is_like(other, kind)]
        if not like:
            continue
        right = [any(other.overlaps(*answer) for other in like) for answer in each.answers]
        ranks.append(right.index(True) + 1 if True in right else 0)
        met = [any(other.overlaps(*answer) for answer in each.answers[:5]) for other in like]
        recalls.append(sum(met) / min(5, len(like)))
    return figures_of(ranks, recalls)


def by_chance(asked: Sequence[Fault], faults: Sequence[Fault], kind: str) -> dict[str, object]:
    """The same for the other faults in random order."""
    generator = random.Random(0)
    ranks: list[int] = []
    recalls: list[float] = []
    for fault in asked:
        others = [other for other in faults if other != fault]
        like = [fault.is_like(other, kind) for other in others]
        if not any(like):
            continue
        for _ in range(CHANCE_RUNS // max(1, len(asked))):
            generator.shuffle(like)
            ranks.append(like.index(True) + 1)
            recalls.append(sum(like[:5]) / min(5, sum(like)))
    return figures_of(ranks, recalls)


def figures_of(ranks: Sequence[int], recalls: Sequence[float]) -> dict[str, object]:
    """Ranks of the first right answer, 0 for none."""
    count = max(1, len(ranks))
    return {
        "mrr": round(sum(1 / rank for rank in ranks if rank) / count, 3),
        "recall@5": round(sum(recalls) / count, 3),
        "precision@1": round(sum(rank == 1 for rank in ranks) / count, 3),
        "asked": len(ranks),
    }


def print_fault(searcher: Searcher, asked: Asked, faults: Sequence[Fault]) -> None:
    """One line for one fault: what was asked, and which faults the first answers belong to."""
    names = []
    for answer in asked.answers[:6]:
        met = [f for f in faults if f.overlaps(*answer)]
        names.append(f"{met[0].type} {met[0].service}" if met else "-")
    question = [line[:100] for line in question_of(searcher, asked.fault).split("\n")]
    fault = f"{asked.fault.type} {asked.fault.service}"
    print(json.dumps({"fault": fault, "question": question, "answers": names}))


def ask_notes(table: Path) -> None:
    """Asks for every row of a failure mode and effects table, and prints the figures."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Recommended Action"].strip()]
    notes = [
        {
            "kind": "note",
            "asset": row["Component"],
            "time": f"{2000 + place // 300}-{1 + place // 25 % 12:02d}-{1 + place % 25:02d}",
            "text": f"{row['Sub-Component']} {row['Potential Failure Mode']}, "
            f"{row['Potential Cause(s) of Failure']}".lower(),
            "action": row["Recommended Action"],
        }
        for place, row in enumerate(rows)
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(Path(folder))
        index_records(notes, settings)
        with open_searcher(settings) as (_, searcher):
            ranks = [rank_of_action(searcher, row) for row in rows]
    recalls = [float(0 < rank <= 5) for rank in ranks]
    print(json.dumps({"way": "precedents", "notes": len(rows), **figures_of(ranks, recalls)}))


def rank_of_action(searcher: Searcher, row: dict[str, str]) -> int:
    """The rank of the first precedent that shows what the row says was done, 0 for none."""
    text = f"{row['Sub-Component']}: {row['Potential Effect(s) of Failure']}".lower()
    result = find_precedents(searcher, PrecedentsRequest(as_pasted(text), limit=10))
    for rank, each in enumerate(result.precedents, 1):
        written = [found.event for hit in each.hits for found in hit.occurrences]
        written += [note.note.event for note in each.notes]
        if any(row["Recommended Action"].strip() in event.text for event in written):
            return rank
    return 0


if __name__ == "__main__":
    main()
