"""The rules of docs/STYLE.md that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("indexer", "client", "daemon", "proto")
#: Entry points, and modules that only declare data: a test of theirs would repeat them.
UNTESTED_NAMES = {
    "__init__.py",
    "__main__.py",
    "answer.py",
    "event.py",
    "hit.py",
    "pushed.py",
    "request.py",
    "status.py",
}


def is_generated(path: Path) -> bool:
    return path.name.endswith(("_pb2.py", "_pb2_grpc.py", "_pb2.pyi"))


def python_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not is_generated(path)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


ALL = python_files(*SOURCES, "bench", "training", "tests")
OWN = python_files(*SOURCES)
NATIVE = sorted((ROOT / "indexer" / "kernel").glob("*.[ch]pp"))


@pytest.mark.parametrize("path", [*ALL, *NATIVE], ids=name_of)
def test_files_are_short_and_narrow(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    ceiling = 600 if path.is_relative_to(ROOT / "tests") else 400
    assert len(lines) <= ceiling, f"{len(lines)} lines: does it still have one job?"
    assert max((len(line) for line in lines), default=0) <= 100


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", [*OWN, *NATIVE], ids=name_of)
def test_sources_are_ascii_and_finished(path: Path) -> None:
    text = path.read_bytes()
    assert text.isascii()
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    assert not re.search(rf"\b({'|'.join(words)})\b", text.decode())


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    forbidden = {"utils", "helpers", "common", "misc", "manager", "base"}
    assert not [name_of(path) for path in OWN if path.stem in forbidden]


@pytest.mark.parametrize("path", [p for p in OWN if p.name not in UNTESTED_NAMES], ids=name_of)
def test_every_module_has_a_test_of_its_name(path: Path) -> None:
    relative = path.relative_to(ROOT)
    expected = ROOT / "tests" / "unit" / relative.parent / f"test_{path.name}"
    assert expected.is_file(), f"{expected.relative_to(ROOT)} is missing"


IMPORTED_ONLY_BY = {
    "mcp": {"daemon/mcp/server.py"},
    "onnxruntime": {"indexer/inference.py"},
    "tokenizers": {"indexer/encode.py", "indexer/inference.py", "indexer/rerank.py"},
    "tantivy": {"indexer/lexical.py", "indexer/lexical_view.py"},
    "lmdb": {
        "indexer/store/environment.py",
        "indexer/store/shard.py",
        "indexer/store/transaction.py",
    },
}


@pytest.mark.parametrize("package", IMPORTED_ONLY_BY)
def test_a_library_with_rules_of_its_own_has_one_home(package: str) -> None:
    importers = {name_of(path) for path in OWN if package in imported(path)}
    assert importers == IMPORTED_ONLY_BY[package]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", OWN, ids=name_of)
def test_the_packages_know_nothing_of_the_tests(path: Path) -> None:
    assert "tests" not in imported(path)
    assert "dejalog.tests" not in path.read_text(encoding="utf-8")


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    places = re.compile(r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|home/\w+)/")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_symlink() or not path.is_file() or path.suffix in {".gz", ".onnx"}:
            continue
        assert not places.search(path.read_text(encoding="utf-8", errors="replace")), name
