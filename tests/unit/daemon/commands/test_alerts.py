from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dejalog.daemon.alerts.gate import Gate
from dejalog.daemon.alerts.settings import AlertRule
from dejalog.daemon.alerts.state import STATE_NAME, AlertState, NewAlert
from dejalog.daemon.cli import main

HOOK = "http://127.0.0.1:9/secret-path"
RULES = (
    AlertRule(name="dry", query="pump dry", where=("line=3",), deliver=HOOK),
    AlertRule(name="new", is_new=True, command=("/bin/page", "--password", "x")),
)


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    config = tmp_path / "dejalog.toml"
    config.write_text(
        f"[[alerts.queries]]\nname = 'dry'\nquery = 'pump dry'\nwhere = ['line=3']\n"
        f"deliver = '{HOOK}'\n"
        "[[alerts.queries]]\nname = 'new'\nis_new = true\n"
        "command = ['/bin/page', '--password', 'x']\n"
    )
    (tmp_path / "data").mkdir()
    return ["--config", str(config), "--data", str(tmp_path / "data"), "--timezone", "UTC"]


@pytest.fixture
def state(tmp_path: Path, flags: list[str]):
    made = AlertState(tmp_path / "data" / STATE_NAME)
    made.adopt(RULES, -1)
    yield made
    made.close()


def fill(state: AlertState) -> None:
    gate = Gate(RULES[0])
    for number in range(12):
        gate.admit(f"p{number}", 1, 10**9)
    alerts = [NewAlert(f"id{n}", "dry", HOOK, b"{}", n * 10**9) for n in (1, 2, 3)]
    state.commit(5, {"dry": gate}, alerts, waiting_max=2)
    (first, _) = state.waiting(9)
    state.failed(first.number, 0, "connection refused")
    state.set_down(HOOK, "connection refused", 10**9)


def test_queries_are_listed_with_what_became_of_them(state, flags, capsys) -> None:
    fill(state)
    assert main(["alerts", "list", *flags]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "dry  pump dry line=3  to http://127.0.0.1:9/(set): 3 alerts, the last at "
        "1970-01-01 00:00:03.000 +00:00, 2 waiting, 2 matches held back, 1 DROPPED undelivered"
    )
    assert second == "new  (new patterns)  to command /bin/page: 0 alerts"
    assert main(["alerts", "list", "-o", "json", *flags]) == 0
    out = capsys.readouterr().out
    value = json.loads(out.splitlines()[0])
    assert (value["alerts"], value["waiting"], value["lost"], value["held_back"]) == (3, 2, 1, 2)
    assert value["last_unix_nano"] == "3000000000"
    assert "secret-path" not in out
    assert "password" not in out


def test_what_waits_is_listed_with_the_reason(state, flags, capsys) -> None:
    assert main(["alerts", "pending", *flags]) == 1
    fill(state)
    assert main(["alerts", "pending", *flags]) == 0
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first == (
        "1970-01-01 00:00:02.000 +00:00  dry  to http://127.0.0.1:9/(set): tried once; "
        "connection refused"
    )
    assert second.endswith("not tried yet")
    assert "http://127.0.0.1:9/(set) is down since 1970-01-01 00:00:01" in said.err
    assert main(["alerts", "pending", "-o", "json", *flags]) == 0
    out = capsys.readouterr().out
    value = json.loads(out.splitlines()[0])
    assert (value["alert_id"], value["attempts"]) == ("id2", 1)
    assert "secret-path" not in out


def test_queries_that_no_daemon_has_seen_are_listed_too(flags, capsys) -> None:
    assert main(["alerts", "list", *flags]) == 0
    assert "the daemon has not seen it yet" in capsys.readouterr().out
    assert main(["alerts", "pending", *flags]) == 1


def test_without_queries_it_says_how_to_write_one(tmp_path, capsys) -> None:
    assert main(["alerts", "list", "--data", str(tmp_path)]) == 1
    assert "[[alerts.queries]]" in capsys.readouterr().err


def test_a_test_delivers_a_made_up_alert(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    rule = {"name": "dry", "query": "x", "command": [sys.executable, "-c", code, str(out)]}
    given = ["--set", f"alerts.queries={json.dumps([rule])}", "--data", str(tmp_path)]
    assert main(["alerts", "test", "dry", *given]) == 0
    assert json.loads(out.read_text())["is_test"] is True
    assert "delivered to command" in capsys.readouterr().out
    assert main(["alerts", "test", "dry", "-o", "json", *given]) == 0
    assert json.loads(capsys.readouterr().out)["alert_id"]


def test_a_test_that_fails_says_where_and_why(flags, capsys) -> None:
    assert main(["alerts", "test", "new", *flags]) == 3
    assert "not delivered to command /bin/page: /bin/page cannot be" in capsys.readouterr().err
    assert main(["alerts", "test", "wet", *flags]) == 2
    assert "no query 'wet'; known: dry, new" in capsys.readouterr().err
