from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.kafka.templates import RecordFacts, check_template, fill_template, is_constant

FACTS = RecordFacts(
    topic="plant-7.logs",
    partition=3,
    key=b"P-101",
    headers=(("line", b"A"), ("shift", b"early"), ("line", b"B"), ("raw", b"\xff")),
    groups={"plant": "7", "absent": None},
)


@given(st.text())
def test_any_text_with_doubled_braces_comes_back(text: str) -> None:
    template = text.replace("{", "{{").replace("}", "}}")
    assert check_template(template) == ""
    assert is_constant(template)
    # Blanks around a label's value say nothing, and a label without a value is none.
    assert fill_template(template, FACTS) == (text.strip() or None)


@given(st.text(), st.text())
def test_what_stands_around_a_placeholder_stays(before: str, after: str) -> None:
    doubled = [part.replace("{", "{{").replace("}", "}}") for part in (before, after)]
    template = f"{doubled[0]}{{key}}{doubled[1]}"
    assert check_template(template) == ""
    assert fill_template(template, FACTS) == f"{before}P-101{after}".strip()


@given(st.text(alphabet="{}:abkeygrouptnhdi ", max_size=30))
def test_a_template_that_passes_the_check_can_be_filled(template: str) -> None:
    if not check_template(template, FACTS.groups.keys()):
        filled = fill_template(template, FACTS)
        assert filled is None or filled == filled.strip() != ""


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{topic}", "plant-7.logs"),
        ("{partition}", "3"),
        ("unit {key}", "unit P-101"),
        ("{header:shift}", "early"),
        ("{group:plant}/{partition}", "7/3"),
        ("{{key}}", "{key}"),
        ("{{{key}}}", "{P-101}"),
    ],
)
def test_placeholders_stand_for_what_the_record_says(template: str, value: str) -> None:
    assert check_template(template, FACTS.groups.keys()) == ""
    assert fill_template(template, FACTS) == value


def test_of_a_header_that_is_there_twice_the_last_one_counts() -> None:
    assert fill_template("{header:line}", FACTS) == "B"


@pytest.mark.parametrize("template", ["{header:none}", "{group:absent}", "{header:raw}", "  ", ""])
def test_a_label_is_left_out_where_its_placeholder_is_absent(template: str) -> None:
    assert fill_template(f"x{template}" if template.strip() else template, FACTS) is None


def test_a_key_that_is_not_there_or_not_utf8_leaves_the_label_out() -> None:
    for key in (None, b"\xff"):
        facts = RecordFacts("t", 0, key, (), {})
        assert fill_template("{key}", facts) is None


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{", "written twice"),
        ("}", "written twice"),
        ("a {key", "written twice"),
        ("{offset}", "{offset} is none of"),
        ("{key:x}", "{key:x} is none of"),
        ("{header}", "write {header:NAME}"),
        ("{group}", "write {group:NAME}"),
        ("{group:line}", "the pattern has no group 'line'"),
    ],
)
def test_a_template_that_cannot_be_meant_is_told(template: str, complaint: str) -> None:
    assert complaint in check_template(template)


@pytest.mark.parametrize(
    ("template", "is_same"),
    [
        ("plant", True),
        ("{topic}-{partition}", True),
        ("{group:plant}", True),
        ("{key}", False),
        ("{header:a}", False),
        ("{{key}}", True),
    ],
)
def test_only_key_and_headers_change_within_a_partition(template: str, is_same: bool) -> None:
    assert is_constant(template) is is_same
