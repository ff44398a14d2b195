"""The query language: what is written is what is read, and what is pasted is read as words."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import Condition
from dejalog.indexer.query import Query, parse_filter_text, parse_text

LABELS = frozenset({"site", "host", "pod.name"})
#: More than any index has: the names that the lines below use before an equals sign.
WIDE_LABELS = LABELS | {"uid", "user", "app", "file", "line", "pid", "level", "service", "status"}

WORDS = st.from_regex(r"[a-z][a-z0-9]{1,8}", fullmatch=True)
PHRASES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
CONDITIONS = st.one_of(
    st.builds(Condition, st.sampled_from(sorted(LABELS)), st.sampled_from(["=", "!="]), WORDS),
    st.builds(
        Condition,
        st.just("severity"),
        st.sampled_from(["=", "!=", ">=", "<="]),
        st.sampled_from(["info", "warn", "error"]),
    ),
    st.builds(Condition, st.just("kind"), st.sampled_from(["=", "!="]), st.just("note")),
)
PIECES = st.lists(
    st.one_of(
        WORDS.map(lambda word: ("word", word, word)),
        PHRASES.map(lambda text: ("exact", text, f'"{text}"')),
        PHRASES.map(lambda text: ("excluded", text, f'-"{text}"')),
        WORDS.map(lambda word: ("excluded", word, f"-{word}")),
        CONDITIONS.map(lambda c: ("condition", c, str(c))),
    ),
    min_size=2,
    max_size=8,
)


@given(PIECES, st.sampled_from([" ", "  ", "\t"]))
def test_every_piece_is_read_as_it_was_written(
    pieces: list[tuple[str, object, str]], blank: str
) -> None:
    text = blank.join(written for _, _, written in pieces)
    query = parse_text(text, (), LABELS)
    assert list(query.exact) == [value for kind, value, _ in pieces if kind == "exact"]
    assert list(query.excluded) == [value for kind, value, _ in pieces if kind == "excluded"]
    assert list(query.conditions) == [value for kind, value, _ in pieces if kind == "condition"]
    kept = [str(value) for kind, value, _ in pieces if kind in {"word", "exact"}]
    assert query.words.split() == " ".join(kept).split()
    has_words = any(kind == "word" for kind, _, _ in pieces)
    assert _is_refused(text) is has_words
    if not has_words:
        assert parse_filter_text(text, (), LABELS) == query


def _is_refused(text: str) -> bool:
    try:
        parse_filter_text(text, (), LABELS)
    except QueryError:
        return True
    return False


@given(CONDITIONS)
def test_a_dash_is_the_complement(condition: Condition) -> None:
    (negated,) = parse_text(f"x -{condition}", (), LABELS).conditions
    for labels in ({}, {"site": condition.value}, {"severity": "info"}, {"severity": "fatal"}):
        if condition.label != "kind":
            assert negated.holds(labels) is not condition.holds(labels)


@given(st.text(alphabet='ab"- =<>!\n:.severitykind0123456789', max_size=60))
def test_any_text_is_read_and_offsets_into_it_stay_valid(text: str) -> None:
    query = parse_text(text, (), frozenset({"a", "b"}))
    assert len(query.words) == len(text)
    for before, after in zip(text, query.words, strict=True):
        assert after in (before, " ")


@given(PIECES)
def test_a_pasted_line_is_left_alone(pieces: list[tuple[str, object, str]]) -> None:
    line = " ".join(["2015-07-29 17:41:44,747 - WARN", *(written for _, _, written in pieces)])
    query = parse_text(line, (), LABELS)
    assert query == Query(line, (), (), literal=query.literal)
    assert len(query.literal) == sum(kind != "word" for kind, _, _ in pieces)


def test_no_real_line_loses_a_word_when_it_is_pasted(shared_data: Path) -> None:
    """The share that docs/QUERYING.md states: none of these lines, whole, has an operator."""
    seed = 5
    print(f"seed {seed}")
    for name, lines in _logs(shared_data):
        sample = random.Random(seed).sample(lines, min(2000, len(lines)))
        for line in sample:
            query = parse_text(line[:16_000], (), WIDE_LABELS)
            assert not query.is_filtered, (name, line)
            assert query.words == line[:16_000]


def test_hardly_a_line_without_its_time_excludes_anything(shared_data: Path) -> None:
    """People copy messages without the head of the line, too."""
    seed = 6
    print(f"seed {seed}")
    for name, lines in _logs(shared_data):
        sample = random.Random(seed).sample(lines, min(2000, len(lines)))
        for line in sample:
            message = re.sub(r"[\d:.,/-]{6,}[TZ\d:.,/-]*", " ", line[:16_000])
            query = parse_text(message, (), LABELS)
            assert (query.exact, query.excluded) == ((), ()), (name, message)


def _logs(shared_data: Path) -> Iterator[tuple[str, list[str]]]:
    for path in sorted((shared_data / "logs" / "loghub").glob("*.log")):
        yield path.name, path.read_text(errors="replace").splitlines()
    path = shared_data / "logs" / "nezha_onlineboutique.log.gz"
    with gzip.open(path, "rt", errors="replace") as lines:
        yield path.name, [line.strip() for line in lines if line.strip()]
