from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dejalog.daemon.cli import main


def findings(capsys) -> dict[str, tuple[str, str]]:
    rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    return {name: (level, text) for level, name, text in rows}


def test_a_machine_that_is_ready_is_told_so(tmp_path: Path, capsys) -> None:
    arguments = ["doctor", "--data", str(tmp_path / "data")]
    for listen in ("server.listen=", "server.otlp_listen="):
        arguments += ["--set", listen]
    assert main(arguments) == 0
    found = findings(capsys)
    assert {name for name, (level, _) in found.items() if level == "ok"} >= {
        "machine",
        "native",
        "model",
        "disk",
        "ports",
    }
    assert found["index"][0] == "warn"
    assert "dejalog index" in found["index"][1]


def test_what_is_missing_is_named_and_fails(tmp_path: Path, capsys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["doctor", "--data", str(tmp_path / "data")]
        for setting in (
            "encoder.bundle=/nowhere",
            "data.disk_free_bytes_min=1000000000000000",
            f"server.listen=127.0.0.1:{port}",
        ):
            arguments += ["--set", setting]
        assert main(arguments) == 3
    found = findings(capsys)
    assert found["model"][0] == "fail"
    assert "/nowhere" in found["model"][1]
    assert found["disk"][0] == "fail"
    assert found["ports"][0] == "warn"
    assert str(port) in found["ports"][1]


def test_an_index_is_counted(make_index, capsys) -> None:
    maker = make_index()
    maker.add("pump on", "pump off")
    maker.directory.close()
    main(["doctor", "--data", str(maker.path)])
    level, text = findings(capsys)["index"]
    assert level == "ok"
    assert text.startswith("2 events, 2 patterns, 1 shards")


@pytest.mark.parametrize("listen", ["localhost", "127.0.0.1:99999", "127.0.0.1:", "0.0.0.0:7040"])
def test_an_address_that_cannot_be_served_is_a_failed_check(tmp_path, capsys, listen: str) -> None:
    """listen = "localhost" ended the doctor with ValueError, and port 99999 with OverflowError."""
    arguments = ["doctor", "--data", str(tmp_path / "data"), "--set", f"server.listen={listen}"]
    assert main(arguments) == 3
    found = findings(capsys)
    assert found["ports"][0] == "fail"
    assert listen in found["ports"][1]
    assert "index" in found
