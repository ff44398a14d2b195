from __future__ import annotations

import pytest

from dejalog.indexer.decode import severity
from dejalog.indexer.event import SEVERITIES


def test_every_word_and_number_maps_to_one_of_the_six_values() -> None:
    numbers = [*map(severity.of_syslog, range(8)), *map(severity.of_otel, range(1, 25))]
    assert set(severity.WORDS.values()) | set(numbers) == set(SEVERITIES)


@pytest.mark.parametrize(
    ("read", "number", "expected"),
    [
        (severity.of_syslog, 2, "fatal"),
        (severity.of_syslog, 3, "error"),
        (severity.of_syslog, 5, "info"),
        (severity.of_syslog, 8, ""),
        (severity.of_otel, 4, "trace"),
        (severity.of_otel, 5, "debug"),
        (severity.of_otel, 24, "fatal"),
        (severity.of_otel, 0, ""),
        (severity.of_bunyan, 10, "trace"),
        (severity.of_bunyan, 60, "fatal"),
        (severity.of_bunyan, 35, ""),
        (severity.of_python, 10, "debug"),
        (severity.of_python, 50, "fatal"),
    ],
)
def test_numbers_map_by_the_table_of_their_writer(read, number: int, expected: str) -> None:
    assert read(number) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 10.0.0.1 pod-7 ERROR t.c.Travel: failed", "error"),
        (" - WARN  [SendWorker:1] - leaving", "warn"),
        (" R02-M1 RAS KERNEL FATAL data storage interrupt", "fatal"),
        (" [error] 12#0: upstream timed out", "error"),
        (" level=warning msg=slow", "warn"),
        ('Z host pod {"a":1,"severity":"info"}', "info"),
        ("  1702  2395 D WindowManager: print", "debug"),
        (" CODE-ERROR in ERROR_TABLE of /ERROR/x", ""),
        (" nothing was said of an error here", ""),
        (" PUMP 3 WARNING LIGHT ON", ""),
    ],
)
def test_a_line_with_a_timestamp_states_its_level_in_its_head(text: str, expected: str) -> None:
    assert severity.in_text(text, 0, is_timed=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ERROR: disk full", "error"),
        ("warning: unused variable", "warn"),
        ("error[E0308]: mismatched types", "error"),
        ("[INFO] started", "info"),
        ("SEVERE  servlet threw", "error"),
        ("STEERING FAULT WARNING LIGHT ON", ""),
        ("REPAIR ERROR CODE 12", ""),
        ("Pump shows ERROR 12", ""),
        ("infos: none", ""),
    ],
)
def test_a_line_without_one_only_at_its_start_or_in_brackets(text: str, expected: str) -> None:
    assert severity.in_text(text, 0, is_timed=False) == expected


def test_a_level_far_into_the_line_is_part_of_the_message() -> None:
    assert severity.in_text("x" * 200 + " ERROR y", 0, is_timed=True) == ""
