from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.sources.labels import PathLabels, parse_labels, problem_of
from dejalog.indexer.decode import Decoder, DecodeSettings
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.event import Record

A, B = (("asset", "A"),), (("asset", "B"),)


def test_labels_are_read_and_sorted() -> None:
    assert parse_labels([]) == ()
    assert parse_labels(["site=north", "asset=P-101=b"]) == (
        ("asset", "P-101=b"),
        ("site", "north"),
    )
    assert parse_labels(["asset=P-101", "asset=P-101"]) == (("asset", "P-101"),)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["asset"], "--label: asset: is not NAME=VALUE, for example asset=P-101"),
        (["=P-101"], "a label's name is 1 to 128 printable characters"),
        (["asset =P-101"], "a label's name is"),
        ([f"{'n' * 129}=x"], "a label's name is"),
        (["a\nb=x"], "a label's name is"),
        (["asset="], "a label's value is 1 to 256 characters"),
        (["asset=  "], "and not only blanks"),
        ([f"asset={'v' * 257}"], "a label's value is"),
        (["asset=\udcff"], r"asset=\udcff: the value is not UTF-8"),
        (["\udcff=x"], "a label's name is"),
        (["asset=a", "asset=b"], "asset=b: asset has the value 'a' already"),
        (["equipment=P-101"], "this label is called asset"),
        (["Asset=P-101"], "this label is called asset"),
        (["severity=error"], "severity is read from each record"),
        ([f"n{number}=x" for number in range(33)], "33 are given, and at most 32 are taken"),
    ],
)
def test_what_cannot_be_a_label_is_refused_with_the_reason(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_labels(texts)
    assert message in str(caught.value)
    assert str(caught.value).isascii()


@given(st.text(max_size=130), st.text(max_size=260))
def test_a_label_that_is_taken_is_stored_as_it_was_given(name: str, value: str) -> None:
    if problem_of({name: value}) is None:
        record = Record("file", "1:2", 0, 5, b"pump on", 1, labels=((name, value),))
        (event,) = Decoder(DecodeSettings()).decode(record).events
        assert event.labels == ((name, value),)
        value.encode()


def test_a_path_a_folder_and_a_pattern_give_labels_and_the_first_counts() -> None:
    labels = PathLabels((("/logs/pump.log", A), ("/logs", B), ("/d/*/x[12].log", A)))
    assert labels.of("/logs/pump.log") == A
    assert labels.of("/logs/pump.log.1") == B
    assert labels.of("/logs/deep/pump.log") == B
    assert labels.of("/logs2/pump.log") == ()
    assert labels.of("/d/any/x1.log") == A
    assert labels.of("/d/x1.log") == labels.of("/d/a/b/x1.log") == labels.of("/d/any/x3.log") == ()
    assert PathLabels((("/", A),)).of("/logs") == A
    assert PathLabels((("/logs/a[1].log", A),)).of("/logs/a[1].log") == A


def test_relative_paths_are_read_from_here() -> None:
    labels = PathLabels.given([("pump.log", A), (Path("logs") / "..", B)])
    assert labels.of(os.path.abspath("pump.log")) == A
    assert labels.of(os.path.abspath("fan.log")) == B


@pytest.mark.parametrize(
    "pattern", ["*.log", "**/*.log", "a/*", "a/**", "*/b/?.log", "[ab]/*.log", "**", "a/b", "*/*"]
)
def test_patterns_match_what_is_looked_up_with_them(pattern: str, tmp_path: Path) -> None:
    """A file has a group's labels just where the group's pattern finds it, or a folder above it."""
    files = ["x.log", "x.txt", "a/x.log", "a/b/y.log", "a/b/c/z.log", "b/x.log", "b/b/y.txt"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    root = glob.escape(str(tmp_path))
    looked_up = glob.glob(f"{root}/{pattern}", recursive=True)
    expected = {
        name
        for name in files
        if any(f"{tmp_path}/{name}/".startswith(each.rstrip("/") + "/") for each in looked_up)
    }
    labels = PathLabels.given([(f"{tmp_path}/{pattern}", A)])
    assert {name for name in files if labels.of(f"{tmp_path}/{name}")} == expected
    assert expected
