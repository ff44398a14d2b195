from __future__ import annotations

import sys
from io import StringIO

import pytest

from dejalog.daemon.cli import main
from dejalog.indexer.store.manifest import read_manifest


@pytest.fixture
def data(make_index) -> str:
    """Three events on two hosts; nobody has the index open."""
    maker = make_index()
    for host in ("gw1", "gw2", "gw2"):
        maker.add(maker.event("pump on", labels=(("host", host),)), is_indexed=False)
    maker.directory.close()
    return str(maker.path)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def deletions(data: str) -> int:
    from pathlib import Path

    manifest = read_manifest(Path(data))
    assert manifest is not None
    return len(manifest.deletions)


def test_it_tells_how_many_events_and_asks(
    data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert main(["delete", "--data", data, "-l", "host=gw2"]) == 1
    said = capsys.readouterr().err
    assert "delete 2 events (host=gw2)?" in said
    assert said.endswith("nothing was deleted\n")
    assert deletions(data) == 0
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert main(["delete", "--data", data, "-l", "host=gw1"]) == 0
    assert "deleted 1 event (host=gw1)" in capsys.readouterr().err
    assert deletions(data) == 1


def test_where_nobody_can_be_asked_it_needs_to_be_told(
    data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("y\n"))
    assert main(["delete", "--data", data, "-l", "host=gw2"]) == 2
    assert "2 events (host=gw2) would be deleted" in capsys.readouterr().err
    assert main(["delete", "--data", data, "-l", "host=gw2", "--yes"]) == 0
    assert deletions(data) == 1


def test_without_a_filter_nothing_is_deleted(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delete", "--data", data, "--yes"]) == 2
    assert "remove the data directory" in capsys.readouterr().err


def test_a_filter_that_no_event_passes_is_no_deletion(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["delete", "--data", data, "-l", "host=gw9", "--yes"]) == 1
    assert "no event is meant: host=gw9" in capsys.readouterr().err
    assert deletions(data) == 0
