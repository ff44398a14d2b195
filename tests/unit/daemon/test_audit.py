"""The audit log keeps whole lines, within its bound, on the disk, or says that it cannot."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dejalog.daemon.audit import AUDIT_NAME, OLDER_FILES_MAX, AuditError, AuditLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_carries_its_time_and_what_it_was_given(tmp_path):
    log = AuditLog(tmp_path)
    log.write({"who": "panel\n7", "changed": {"events": 3}})
    (line,) = lines(log.path)
    assert line["who"] == "panel\n7"
    assert line["changed"] == {"events": 3}
    assert isinstance(line["time_unix_nano"], str)
    assert str(line["time"]).endswith("Z")
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_lines_of_many_threads_stay_whole(tmp_path):
    log = AuditLog(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log.write({"n": number, "pad": "x" * 500}), range(100)))
    assert sorted(line["n"] for line in lines(log.path)) == list(range(100))


def test_old_files_are_kept_up_to_the_bound(tmp_path):
    log = AuditLog(tmp_path, file_bytes_max=300)
    for number in range(40):
        log.write({"n": number})
    files = [log.path, *(tmp_path / f"audit.{n}.jsonl" for n in range(1, OLDER_FILES_MAX + 1))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(path.stat().st_size <= 300 for path in files)
    kept = [line["n"] for path in reversed(files) for line in lines(path)]
    assert kept == list(range(40 - len(kept), 40))
    assert [json.loads(line)["n"] for line in log.tail(7)] == list(range(33, 40))
    assert [json.loads(line)["n"] for line in log.tail(1000)] == kept


def test_a_full_disk_is_an_error_and_half_a_line_is_taken_back(tmp_path, monkeypatch):
    log = AuditLog(tmp_path)
    log.write({"n": 1})
    real_write = os.write

    def short(file: int, content: bytes) -> int:
        return real_write(file, content[:5])

    def full(file: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for broken in (short, full):
        monkeypatch.setattr(os, "write", broken)
        with pytest.raises(AuditError, match=r"cannot be written.*do it again"):
            log.write({"n": 2})
    monkeypatch.setattr(os, "write", real_write)
    log.write({"n": 3})
    assert [line["n"] for line in lines(log.path)] == [1, 3]


def test_what_does_not_reach_the_disk_is_an_error(tmp_path, monkeypatch):
    log = AuditLog(tmp_path)
    log.write({"n": 1})

    def fail(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(AuditError, match="Input/output error"):
        log.write({"n": 2})
    assert [line["n"] for line in lines(log.path)] == [1]


def test_a_link_in_its_place_is_not_followed(tmp_path):
    target = tmp_path / "target"
    (tmp_path / AUDIT_NAME).symlink_to(target)
    with pytest.raises(AuditError):
        AuditLog(tmp_path).write({"n": 1})
    assert not target.exists()


def test_a_log_that_is_not_there_yet_has_no_lines(tmp_path):
    assert AuditLog(tmp_path).tail(5) == []
