"""The committed modules are what the pinned compiler makes of the contract."""

from __future__ import annotations

import runpy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3] / "proto"


@pytest.fixture
def generate():
    module = runpy.run_path(str(ROOT / "generate.py"))
    try:
        found = version("grpcio-tools")
    except PackageNotFoundError:
        found = "not installed"
    if found != module["GENERATOR_VERSION"]:
        pytest.skip(f"grpcio-tools {module['GENERATOR_VERSION']} makes the stubs; it is {found}")
    return module


def test_the_committed_modules_are_up_to_date(generate):
    generate["main"](["--check"])


def test_every_contract_has_its_modules(generate, tmp_path):
    names = {path.stem for path in ROOT.glob("v1/*.proto")}
    made = {str(path) for path in generate["generate"](tmp_path)}
    endings = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
    assert made == {f"v1/{name}{ending}" for name in names for ending in endings}


def test_a_module_that_differs_is_named(generate, tmp_path, monkeypatch):
    copy = tmp_path / "proto"
    (copy / "v1").mkdir(parents=True)
    for path in ROOT.glob("v1/*"):
        if path.is_file():
            (copy / "v1" / path.name).write_bytes(path.read_bytes())
    (copy / "v1" / "search_pb2.py").write_text("# edited by hand\n")
    monkeypatch.setitem(generate["main"].__globals__, "ROOT", copy)
    with pytest.raises(SystemExit, match=r"v1/search_pb2\.py"):
        generate["main"](["--check"])
    generate["main"]([])
    generate["main"](["--check"])


def test_a_baseline_holds_the_contract_without_its_comments(generate):
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    made = FileDescriptorSet.FromString(generate["descriptors"]())
    assert [file.name for file in made.file] == [
        "v1/admin.proto",
        "v1/ingest.proto",
        "v1/search.proto",
    ]
    assert not any(file.HasField("source_code_info") for file in made.file)
