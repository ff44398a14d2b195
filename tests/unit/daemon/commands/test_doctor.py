from __future__ import annotations

import json
import socket
import tarfile
from pathlib import Path

import pytest

from dejalog.daemon import config
from dejalog.daemon.audit import AuditLog
from dejalog.daemon.cli import main
from dejalog.daemon.secret_settings import is_secret


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


def access(tmp_path: Path, capsys, *settings: str) -> tuple[str, str]:
    arguments = ["doctor", "--data", str(tmp_path / "data")]
    for setting in settings:
        arguments += ["--set", setting]
    main(arguments)
    return findings(capsys)["access"]


def test_who_may_call_the_daemon_is_looked_at(tmp_path: Path, capsys) -> None:
    assert access(tmp_path, capsys)[0] == "ok"
    assert access(tmp_path, capsys, "server.open_to_all=true")[0] == "warn"
    path = tmp_path / "t.toml"
    given = f"server.tokens_file={path}"
    entry = f'[[token]]\nname = "panel"\nroles = ["read"]\nsha256 = "{"ab" * 32}"\n'
    path.write_text(entry)
    path.chmod(0o644)
    level, text = access(tmp_path, capsys, given)
    assert level == "warn"
    assert "chmod 600" in text
    path.chmod(0o600)
    assert access(tmp_path, capsys, given) == ("ok", "1 tokens, 0 certificates")
    path.write_text(entry + "expires = 2020-01-01T00:00:00Z\n")
    level, text = access(tmp_path, capsys, given)
    assert level == "warn"
    assert text.endswith("panel")
    path.write_text("[[token")
    assert access(tmp_path, capsys, given)[0] == "fail"


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {
            item.name.removeprefix("dejalog-bundle/"): file.read()
            for item in tar.getmembers()
            if (file := tar.extractfile(item)) is not None
        }


def test_no_secret_is_in_any_byte_of_a_bundle(make_index, tmp_path: Path, capsys) -> None:
    """Secrets are planted in every setting that has one, and in a log that they were copied to.

    The doctor named the folder https:/u:PASSWORD@h/x, which is how a path spells a URL.
    """
    maker = make_index()
    maker.add("pump on")
    maker.directory.close()
    config_file = tmp_path / "d.toml"
    secrets = {
        f"{section}.{key}": f"hunter2-{number}"
        for number, (section, key) in enumerate(config.all_keys())
        if is_secret(key)
    }
    assert "kafka.sasl_password" in secrets
    lines = [f"[data]\ndirectory = '{maker.path}'"]
    lines += [
        f"[{name.split('.')[0]}]\n{name.split('.')[1]} = '{it}'" for name, it in secrets.items()
    ]
    planted = ["hunter2-url", "hunter2-hook", "hunter2-signing", "hunter2-argument"]
    lines.append(
        "[alerts]\nqueries = [{ name = 'a', query = 'x', deliver = 'https://h/hunter2-hook/b',"
        " secret = 'hunter2-signing' }, { name = 'b', query = 'x',"
        " command = ['notify', '--password', 'hunter2-argument'] }]"
    )
    lines.append("[decode]\ntimezone = 'UTC'\n[encoder]\nbundle = 'https://u:hunter2-url@h/x'")
    config_file.write_text("\n".join(lines))
    copied = [*secrets.values(), "hunter2-signing", "hunter2-argument", "/hunter2-hook/b"]
    AuditLog(maker.path).write({"event": "end", "text": " ".join(copied)})
    bundle = tmp_path / "b.tar.gz"
    assert main(["doctor", "--config", str(config_file), "--bundle", str(bundle)]) in (0, 4)
    found = contents(bundle)
    for secret in (*secrets.values(), *planted):
        assert secret.encode() not in b"".join(found.values())
        assert secret.encode() not in bundle.read_bytes()
    assert b"(set)" in found["config.toml"]
    assert b"https://h/(set)" in found["config.toml"]
    assert b"(set)" in found["audit.jsonl"]
    assert b"pump on" not in b"".join(found.values())
    assert b"fail  model" in found["doctor.txt"]
    assert "look through it before you send it" in capsys.readouterr().out


def test_a_bundle_is_made_even_of_settings_that_cannot_be_read(tmp_path: Path, capsys) -> None:
    config_file, bundle = tmp_path / "d.toml", tmp_path / "b.tar.gz"
    config_file.write_text("[server]\nlissten = 'x'\n")
    assert main(["doctor", "--config", str(config_file), "--bundle", str(bundle)]) == 4
    found = contents(bundle)
    manifest = json.loads(found["manifest.json"])
    assert {each["name"] for each in manifest["missing"]} >= {"config.toml", "status.json"}
    assert "did you mean listen" in manifest["missing"][0]["reason"]
    assert "versions.json" in found
    assert "missing: " in capsys.readouterr().out


def test_a_bundle_replaces_no_file(tmp_path: Path, capsys) -> None:
    path = tmp_path / "mine"
    path.touch()
    assert main(["doctor", "--bundle", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
