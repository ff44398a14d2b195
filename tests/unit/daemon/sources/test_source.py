from __future__ import annotations

from pathlib import Path

import pytest

from dejalog.daemon.sources.files import FileSource
from dejalog.daemon.sources.source import Progress, Source
from dejalog.daemon.sources.stdin import StdinSource


@pytest.mark.parametrize("kind", ["files", "stdin"])
def test_every_source_keeps_the_protocol(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.log").write_bytes(b"one\ntwo\nthree\n")
    with (tmp_path / "a.log").open("rb") as stream:
        source: Source = FileSource([tmp_path], follow=False)
        if kind == "stdin":
            source = StdinSource(stream)
        read_all(source)


def read_all(source: Source) -> None:
    source.seek({})
    lines = []
    while not source.is_exhausted:
        records = source.poll(records_max=2, bytes_max=1 << 20, timeout_s=0.1)
        assert len(records) <= 2
        lines += [record.data for record in records]
    assert lines == [b"one", b"two", b"three"]
    assert source.poll(records_max=2, bytes_max=9, timeout_s=0) == []
    source.ack([])
    progress = source.progress()
    assert isinstance(progress, Progress)
    assert (progress.bytes_done, progress.bytes_total) == (14, 14)
    source.finish()
    assert source.is_exhausted
    source.close()
