"""docs/API.md names everything that the contract has, and its examples fit the contract."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from dejalog.client import limits
from dejalog.proto.v1 import admin_pb2, ingest_pb2, search_pb2

ROOT = Path(__file__).parents[2]
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/API.md", "docs/OPERATING.md")
}
API = PAGES["docs/API.md"]
MODULES: tuple[Any, ...] = (admin_pb2, ingest_pb2, search_pb2)
SERVICES = {
    service.full_name: service
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
}
METHODS = [method for service in SERVICES.values() for method in service.methods]
#: How a method is called from a shell, with its request if it has one.
_CALL = re.compile(
    r"grpcurl (?:-plaintext|-cacert)(?:(?!grpcurl).)*?(?:-d '([^']*)')?(?:(?!grpcurl|').)*?"
    r"\S+:7040 ([\w.]+)/(\w+)",
    re.DOTALL,
)
CALLS = [(page, *call) for page, text in PAGES.items() for call in _CALL.findall(text)]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_method_has_a_heading(method: Any) -> None:
    service = method.containing_service.name
    heading = rf"^##+ (?:{service}\.)?{method.name}\b"
    assert re.search(heading, API, re.MULTILINE), heading


@pytest.mark.parametrize(
    "descriptor",
    [each for module in MODULES for each in module.DESCRIPTOR.message_types_by_name.values()],
    ids=lambda descriptor: descriptor.name,
)
def test_every_field_is_named(descriptor: Any) -> None:
    names = {field.name for field in descriptor.fields}
    described = {"StatusResponse", "PartitionLag", "PartitionPosition", "NumberRange"}
    if descriptor.name in described:
        return  # Told in words: numbers that speak for themselves.
    missing = {name for name in names if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", API)}
    assert not missing


@pytest.mark.parametrize(
    "value",
    [
        value.name
        for enum in search_pb2.DESCRIPTOR.enum_types_by_name.values()
        for value in enum.values
        if value.number
    ],
)
def test_every_value_of_an_enumeration_is_named(value: str) -> None:
    assert f"`{value}`" in API


def reasons() -> set[str]:
    """The reasons of all errors: constants in the places where one is given."""
    found: set[str] = set()
    for path in sorted((ROOT / "daemon").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            if node.func.id == "ServiceError" and len(node.args) > 1:
                given.append(node.args[1])
            if node.func.id == "exhausted":
                given.append(node.args[0])
            found |= {
                each.value
                for each in given
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            }
    return {reason for reason in found if reason.isupper()}


def test_every_reason_of_an_error_is_in_the_table_and_no_other() -> None:
    table = API[API.index("## Errors") : API.index("## Health")]
    listed = {
        reason
        for line in table.splitlines()
        if line.startswith("| `")
        for reason in re.findall(r"`([A-Z_]+)`", line.split("|")[2])
    }
    # These two are what invalid() and unavailable() say where nothing else is given.
    assert listed == reasons() | {"INVALID_FIELD", "NOT_READY"}


@pytest.mark.parametrize(
    "bound",
    [
        limits.LIMIT_MAX,
        limits.INCIDENTS_MAX,
        limits.OCCURRENCES_MAX,
        limits.EVENTS_MAX,
        limits.WHERE_MAX,
        limits.ASSET_LABELS_MAX,
        limits.BUCKETS_MAX,
        limits.COUNTS_MAX,
        limits.NEIGHBOURS_MAX,
    ],
)
def test_bounds_are_told_as_they_are_kept(bound: int) -> None:
    contract = (ROOT / "proto" / "v1" / "search.proto").read_text(encoding="utf-8")
    for text in (API, contract):
        assert str(bound) in text or f"{bound:,}" in text


def test_there_is_a_call_from_the_shell_for_every_method() -> None:
    called = {(service, method) for _, _, service, method in CALLS}
    wanted = {(each.containing_service.full_name, each.name) for each in METHODS}
    assert wanted <= called


@pytest.mark.parametrize(("page", "data", "service", "method"), CALLS)
def test_calls_from_the_shell_fit_the_contract(
    page: str, data: str, service: str, method: str
) -> None:
    if service not in SERVICES:
        assert service.startswith("grpc.health.")
        return
    found = SERVICES[service].methods_by_name[method].input_type
    kind = next(getattr(m, found.name) for m in MODULES if hasattr(m, found.name))
    json_format.ParseDict(json.loads(data or "{}"), kind())
