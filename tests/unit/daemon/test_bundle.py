"""A bundle holds what could be made, says what could not, and never a secret."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from dejalog.daemon.bundle import PART_BYTES_MAX, write_bundle
from dejalog.indexer.errors import ConfigError


def read(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        found = {}
        for item in tar.getmembers():
            file = tar.extractfile(item)
            assert file is not None
            found[item.name] = file.read()
        return found


def test_a_part_that_fails_is_named_and_the_others_are_there(tmp_path):
    def fail() -> bytes:
        raise OSError("cannot open hunter2.mdb")

    path = tmp_path / "b.tar.gz"
    report = write_bundle(path, {"bad": fail, "good": lambda: b"fine"}, secrets=[b"hunter2"])
    assert report.sizes == {"good": 4}
    assert report.missing == {"bad": "OSError: cannot open (set).mdb"}
    found = read(path)
    assert found["dejalog-bundle/good"] == b"fine"
    manifest = json.loads(found["dejalog-bundle/manifest.json"])
    assert manifest["parts"] == [
        {"name": "good", "bytes": 4, "sha256": hashlib.sha256(b"fine").hexdigest()}
    ]
    assert manifest["missing"][0]["name"] == "bad"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_url_in_a_reason_is_cut_even_where_no_secret_is_known(tmp_path):
    def fail() -> bytes:
        raise OSError("no route to https://me:hunter2@hooks.plant/T0")

    report = write_bundle(tmp_path / "b.tar.gz", {"bad": fail}, secrets=[])
    assert report.missing == {"bad": "OSError: no route to https://hooks.plant/(set)"}


def test_a_secret_is_taken_out_wherever_it_stands(tmp_path):
    path = tmp_path / "b.tar.gz"
    parts = {"log": lambda: b"password hunter2 is wrong\n" * 3}
    write_bundle(path, parts, secrets=[b"hunter2"])
    assert read(path)["dejalog-bundle/log"] == b"password (set) is wrong\n" * 3


def test_of_a_large_part_the_newest_bytes_are_kept(tmp_path):
    path = tmp_path / "b.tar.gz"
    write_bundle(path, {"log": lambda: b"x" * PART_BYTES_MAX + b"newest"}, secrets=[])
    content = read(path)["dejalog-bundle/log"]
    assert len(content) == PART_BYTES_MAX
    assert content.endswith(b"newest")


def test_no_other_file_is_overwritten(tmp_path):
    path = tmp_path / "b.tar.gz"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="File exists"):
        write_bundle(path, {}, secrets=[])
    assert path.read_text() == "mine"
    with pytest.raises(ConfigError, match="No such file"):
        write_bundle(tmp_path / "no" / "b.tar.gz", {}, secrets=[])
