"""The contract of the wire is well formed, and no change breaks those who use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"
BASELINE = PROTO / "v1" / "baseline.binpb"


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A copy of the contract, to be changed."""
    copy = tmp_path / "proto"
    shutil.copytree(PROTO, copy, ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    return copy


def buf(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("buf", path=sysconfig.get_path("scripts")) or shutil.which("buf")
    assert program is not None, "install the 'test' dependency group, which brings buf-bin"
    # A proxy where nobody listens: buf must not need the network.
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    environment = {**os.environ, **nowhere, "BUF_CACHE_DIR": str(cwd / ".cache")}
    return subprocess.run(
        [program, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def breaks(contract: Path) -> str:
    """Returns what `buf breaking` says of a changed contract; empty where it is compatible."""
    done = buf("breaking", ".", "--against", str(BASELINE), cwd=contract)
    assert done.returncode in {0, 100}, done.stderr
    return done.stdout


def change(contract: Path, old: str, new: str) -> None:
    path = contract / "v1" / "search.proto"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_contract_keeps_the_rules_of_the_linter(contract: Path) -> None:
    done = buf("lint", cwd=contract)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_would_find_a_method_without_a_comment(contract: Path) -> None:
    change(contract, "// Counts events by time, and by the values of a label.", "")
    assert "Histogram" in buf("lint", cwd=contract).stdout


def test_nothing_that_was_released_is_broken(contract: Path) -> None:
    assert breaks(contract) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  double similarity = 5;\n", "", "5"),
        ("  double similarity = 5;", "  double likeness = 5;", "likeness"),
        ("  double similarity = 5;", "  float similarity = 5;", "type"),
        ("  rpc Histogram(HistogramRequest) returns (HistogramResponse);\n", "", "Histogram"),
        ("  KIND_NOTE = 2;\n", "", "KIND_NOTE"),
        (
            "(FollowRequest) returns (stream FollowResponse)",
            "(FollowRequest) returns (FollowResponse)",
            "stream",
        ),
    ],
)
def test_a_removed_or_changed_field_method_value_or_message_is_found(
    contract: Path, old: str, new: str, said: str
) -> None:
    change(contract, old, new)
    assert said in breaks(contract)


def test_a_new_field_or_method_breaks_nobody(contract: Path) -> None:
    change(contract, "  double similarity = 5;", "  double similarity = 5;\n  int32 rank = 999;")
    change(
        contract,
        "  rpc Search(SearchRequest) returns (SearchResponse);",
        "  rpc Search(SearchRequest) returns (SearchResponse);\n"
        "  // The same.\n  rpc Find(SearchRequest) returns (SearchResponse);",
    )
    assert breaks(contract) == ""


def test_the_baseline_holds_every_service() -> None:
    released = FileDescriptorSet.FromString(BASELINE.read_bytes())
    services = {service.name for file in released.file for service in file.service}
    assert services == {"SearchService", "IngestService", "AdminService"}
