from __future__ import annotations

from pathlib import Path

import pytest

from dejalog.daemon.cli import main


def worker(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> tuple[int, str]:
    code = main(["worker", "--data", str(data), *arguments])
    return code, capsys.readouterr().err


def test_a_source_that_was_asked_for_and_is_not_configured_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, said = worker(capsys, tmp_path, "--source", "kafka")
    assert code == 2
    assert "bootstrap_servers" in said
    code, said = worker(capsys, tmp_path, "--source", "files")
    assert code == 2
    assert "sources: files" in said


def test_a_broker_without_topics_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, said = worker(capsys, tmp_path, "--set", "kafka.bootstrap_servers=127.0.0.1:9092")
    assert code == 2
    assert "kafka: topics" in said


def test_a_worker_is_not_its_own_peer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, said = worker(capsys, tmp_path, "--set", f"kafka.peers={tmp_path}")
    assert code == 2
    assert "own directory" in said
