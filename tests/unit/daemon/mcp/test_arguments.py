"""The arguments of tools: what their schemas promise is what is checked."""

from __future__ import annotations

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.mcp.tools import TOOLS

#: The least that each tool must be given.
LEAST: dict[str, dict[str, object]] = {
    "search": {"query": "pump trips"},
    "precedents": {},
    "context": {"event_id": "17"},
    "similar": {"event_id": "17"},
    "patterns": {},
}

WRONG: list[tuple[str, object]] = [
    ("limit", 0),
    ("limit", 1_000),
    ("limit", "5"),
    ("limit", True),
    ("limit", None),
    ("before", -1),
    ("before", 51),
    ("occurrences", 6),
    ("query", ""),
    ("query", 5),
    ("query", "x" * 10_001),
    ("event_id", 17),
    ("event_id", "abc"),
    ("event_id", "1" * 20),
    ("event_id", "-1"),
    ("where", "site=lodz"),
    ("where", [5]),
    ("where", ["a=b"] * 17),
    ("where", [""]),
    ("kind", "logs"),
    ("since", "x" * 65),
    ("order", "oldest"),
    ("is_new", "yes"),
    ("unknown", 1),
]


def is_taken(arguments: dict[str, object], kind: type[msgspec.Struct]) -> bool:
    try:
        msgspec.convert(arguments, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_argument_is_described_and_bounded(tool) -> None:
    schema = tool.input_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    for name, each in schema["properties"].items():
        assert len(each["description"]) > 15, name
        if each.get("type") == "integer":
            assert each["minimum"] <= each["default"] <= each["maximum"]
        elif each.get("type") == "string":
            assert "maxLength" in each or "pattern" in each, name
        elif each.get("type") == "array":
            assert "maxItems" in each
            assert "maxLength" in each["items"]
        else:
            assert "enum" in each or each["type"] == "boolean"


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_least_is_enough(tool) -> None:
    jsonschema.validate(LEAST[tool.name], tool.input_schema())
    assert is_taken(LEAST[tool.name], tool.arguments)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
@pytest.mark.parametrize(("name", "value"), WRONG, ids=str)
def test_what_the_schema_refuses_is_refused(tool, name: str, value: object) -> None:
    arguments = {**LEAST[tool.name], name: value}
    assert not is_taken(arguments, tool.arguments) or (tool.name, name, value) == (
        "precedents",
        "query",
        "",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from(["query", "event_id", "limit", "since", "where", "kind", "before", "x"])


@given(st.sampled_from(TOOLS), st.dictionaries(NAMES, JSON, max_size=4))
def test_schema_and_check_agree(tool, arguments: dict[str, object]) -> None:
    validator = jsonschema.Draft202012Validator(tool.input_schema())
    assert validator.is_valid(arguments) == is_taken(arguments, tool.arguments)
