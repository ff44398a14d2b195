"""Whatever a model gives to the tools, it gets an answer of bounded size or an error in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dejalog.daemon.answers import IndexAnswers
from dejalog.daemon.asking import LocalAnswerer
from dejalog.daemon.mcp.answers import ANSWER_BYTES_MAX
from dejalog.daemon.mcp.tools import TOOLS, Asking, call
from dejalog.indexer.append import Appender, Batch, PreparedEvent
from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import DejalogError
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.search import Searcher, label_names
from dejalog.indexer.store.directory import DataDirectory

WORDS = ("pump", "leaks", "E-1034", "\x1b[2J", "\u202e", "\U0001f525" * 400, '"', "\n| event 1,")


def lines(count: int) -> Iterator[str]:
    for number in range(count):
        chosen = [word for place, word in enumerate(WORDS) if number >> place & 1]
        yield f"{number} {' '.join(chosen) or 'idle'}"


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Asking]:
    """An index of 256 lines, in which every combination of the words occurs, and two notes."""
    folder = tmp_path_factory.mktemp("tools") / "data"
    labels = (("asset", "press 4"), ("severity", "error"), ("site", "\x07" * 300))
    events = [
        Event(Kind.LOG, n * 10**9, TimeOrigin.EVENT, text, "plc", "1", n, 0, labels)
        for n, text in enumerate(lines(256))
    ]
    hours = [(n, n * 3_600 * 10**9) for n in (1, 2)]
    notes = [
        Event(Kind.NOTE, time_ns, TimeOrigin.EVENT, "new seal", "notes", "1", n, 0, labels)
        for n, time_ns in hours
    ]
    with DataDirectory.open(folder, is_writable=True) as directory:
        prepared = [PreparedEvent(e, mask_pattern(e.text)[0]) for e in (*events, *notes)]
        Appender(directory, encoder).append(Batch(prepared, [], []))
        for shard in directory.shards:
            with LexicalIndex.open(lexical_folder(shard), writable=True) as index:
                while catch_up(shard, index):
                    pass
        searcher = Searcher(directory, encoder)
        names = label_names(searcher.states())
        yield Asking(LocalAnswerer(IndexAnswers(searcher), lambda: names), 20.0, UTC)
        searcher.close()


TEXT = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from([*WORDS, "-pump", "site=x", "severity>=warn", "kind=note"])).map(
        " ".join
    ),
)
TIME = st.one_of(st.sampled_from(["", "", "1970-01-01", "1h", "@5", "now"]), st.text(max_size=8))
CONDITION = st.one_of(
    st.sampled_from(["asset=press 4", "severity>=warn", "kind!=note", "site!=x"]), st.text("a=<>!")
)
FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "since": TIME,
    "until": TIME,
    "where": st.lists(CONDITION, max_size=2),
    "kind": st.sampled_from(["any", "log", "note"]),
}
ID = st.one_of(st.integers(0, 300), st.integers(0, 2**64)).map(str)
LIMIT = {"limit": st.integers(1, 10)}
GIVEN: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "search": st.fixed_dictionaries({"query": TEXT}, optional={**FILTERS, **LIMIT}),
    "similar": st.fixed_dictionaries({"event_id": ID}, optional={**FILTERS, **LIMIT}),
    "precedents": st.fixed_dictionaries({}, optional={"query": TEXT, "event_id": ID, **FILTERS}),
    "context": st.fixed_dictionaries({"event_id": ID}, optional={"before": st.integers(0, 50)}),
    "patterns": st.fixed_dictionaries(
        {}, optional={"containing": TEXT, "is_new": st.booleans(), **FILTERS, **LIMIT}
    ),
}


@pytest.mark.parametrize("name", GIVEN)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_answer_is_bounded_and_an_error_is_in_words(
    asking: Asking, name: str, data: st.DataObject
) -> None:
    arguments = data.draw(GIVEN[name])
    try:
        told = call(name, arguments, asking)
    except DejalogError:
        return
    value = msgspec.to_builtins(told.answer)
    tool = next(tool for tool in TOOLS if tool.name == name)
    jsonschema.validate(value, tool.output_schema())
    assert len(msgspec.json.encode(value)) <= ANSWER_BYTES_MAX
    assert len(told.text.encode()) <= ANSWER_BYTES_MAX
    assert not {"\x1b", "\x07", "\u202e"} & set(told.text)
