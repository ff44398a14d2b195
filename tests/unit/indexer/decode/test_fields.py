from __future__ import annotations

from decimal import Decimal

import pytest

from dejalog.indexer.decode.fields import FieldSet, as_text, cut, label_name
from dejalog.indexer.decode.settings import DecodeSettings


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("host.name", "h", "host"),
        ("_HOSTNAME", "h", "host"),
        ("service.name", "s", "service"),
        ("kubernetes.pod_name", "p", "pod"),
        ("labels.site", "x", "site"),
        ("tags.Zone", "x", "Zone"),
        ("labels.hostname", "x", "host"),
        ("labels.severity", "x", ""),
        ("line", "L4", "line"),
        ("line", 42, ""),
        ("duration_ms", 3, ""),
        ("trace_id", "x", ""),
        ("labels.", "x", ""),
    ],
)
def test_a_field_is_a_label_by_its_name(name: str, value: object, expected: str) -> None:
    assert label_name(name, value) == expected


def test_values_are_shown_as_they_were_written() -> None:
    assert [as_text(v) for v in ("a", 7, True, Decimal("1.10"), [1, "b"], float("nan"))] == [
        "a", "7", "true", "1.10", '[1,"b"]', "nan",
    ]  # fmt: skip


def test_a_cut_value_says_so_and_keeps_to_the_bound() -> None:
    value = cut("x" * 5000, 100)
    assert len(value) == 100
    assert value.endswith("[cut, 5000 characters]")


def test_a_second_value_for_a_label_is_kept_as_an_attribute() -> None:
    fields = FieldSet(DecodeSettings())
    fields.add("host.name", "a")
    fields.add("hostname", "b")
    fields.add("_HOSTNAME", "a")
    assert fields.labels() == (("host", "a"),)
    assert fields.attributes() == (("hostname", "b"),)


def test_a_value_too_long_for_a_label_is_an_attribute() -> None:
    fields = FieldSet(DecodeSettings(label_chars_max=4))
    fields.add("site", "north")
    assert fields.labels() == ()
    assert fields.attributes() == (("site", "north"),)


def test_what_is_beyond_the_bounds_is_counted() -> None:
    fields = FieldSet(DecodeSettings(labels_max=2, attributes_max=3))
    for number in range(9):
        fields.add(f"labels.n{number}", str(number))
    assert len(fields.labels()) == 2
    assert dict(fields.attributes())["fields.left_out"] == "4"


def test_the_event_is_right_where_the_record_s_labels_differ() -> None:
    fields = FieldSet(DecodeSettings())
    fields.add("site", "B")
    fields.merge((("line", "4"), ("site", "A")))
    assert fields.labels() == (("line", "4"), ("site", "B"))
    assert fields.attributes() == (("record.site", "A"),)


def test_names_are_unique_and_sorted() -> None:
    fields = FieldSet(DecodeSettings(name_chars_max=30))
    for name in ("z", "a", "x" * 99 + "1", "x" * 99 + "2"):
        fields.add_attribute(name, name)
    names = [name for name, _ in fields.attributes()]
    assert names == sorted(set(names))
    assert len(names) == 4


def test_absent_and_empty_values_make_no_label() -> None:
    fields = FieldSet(DecodeSettings())
    fields.add("site", None)
    fields.add("site", " ")
    assert fields.labels() == ()
