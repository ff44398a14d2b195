"""Each part says what it is for, from a real index, and holds no event."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dejalog.daemon.audit import AuditLog
from dejalog.daemon.bundle_parts import bundle_parts
from dejalog.daemon.commands.shards import shard_to_json
from dejalog.daemon.config import DataSettings, Loaded, Settings, all_keys

TEXT = "gearbox 4711 tripped"


@pytest.fixture
def parts(make_index):
    maker = make_index()
    maker.add(TEXT)
    maker.directory.close()
    AuditLog(maker.path).write({"event": "begin", "who": "panel"})
    settings = replace(Settings(), data=DataSettings(directory=str(maker.path)))
    loaded = Loaded(settings, {f"{section}.{key}": "default" for section, key in all_keys()})
    return bundle_parts(lambda: loaded, lambda _: "ok    machine\n", shard_to_json)


def test_no_part_holds_an_event(parts):
    made = {name: part() for name, part in parts.items() if name != "journal.txt"}
    assert all(TEXT.encode() not in content for content in made.values())
    assert all(made[name] for name in made if name != "dead_letters.json")


def test_status_and_shards_are_those_of_the_index(parts):
    assert json.loads(parts["status.json"]())["events"] == 1
    assert json.loads(parts["shards.jsonl"]().splitlines()[0])["events"] == 1
    assert json.loads(parts["dead_letters.json"]()) == []
    assert json.loads(parts["audit.jsonl"]())["who"] == "panel"
    assert json.loads(parts["versions.json"]())["grpcio"]
    assert parts["doctor.txt"]() == b"ok    machine\n"
    assert b"sasl_password" in parts["config.toml"]()


def test_without_systemd_the_journal_says_so(parts, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert b"no journalctl" in parts["journal.txt"]()


def test_the_journal_is_that_of_our_units(parts, monkeypatch, tmp_path):
    program = tmp_path / "journalctl"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o700)
    monkeypatch.setattr("shutil.which", lambda _: str(program))
    said = parts["journal.txt"]()
    assert b"--unit dejalog.service --unit dejalog-worker.service" in said
