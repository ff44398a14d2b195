"""The files under deploy/ say what the program takes, and what a careful reader would want."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import jsonschema
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from dejalog.daemon import cli, config
from dejalog.daemon.kafka.settings import TopicRule
from dejalog.daemon.kafka.topics import Layout
from dejalog.daemon.server import check_listen
from dejalog.indexer.errors import ConfigError

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("dejalog:")]
UNITS = sorted(DEPLOY.glob("*.service"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def dockerfile() -> list[str]:
    """Its instructions, a line each, without comments."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.M)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def unit(path: Path) -> configparser.ConfigParser:
    """A unit without the directives that may occur twice; each of ours occurs once."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str
    parser.read(path, encoding="utf-8")
    return parser


def parse(arguments: list[str]) -> None:
    """Fails where the command line has no such command or flag."""
    cli._parser().parse_args(arguments)


def settings_of(service: str) -> config.Settings:
    environment = {name: str(value) for name, value in SERVICES[service]["environment"].items()}
    return config.load(DEPLOY / "dejalog.toml", environment=environment).settings


def properties() -> dict[str, str]:
    text = (DEPLOY / "kafka" / "server.properties").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = [line.split("=", 1) for line in lines]
    assert len({key for key, _ in pairs}) == len(pairs), "a key is there twice"
    return dict(pairs)


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_would_say_so(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\nRUN pip install dejalog\n", encoding="utf-8")
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([hadolint, bad], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DL3006" in done.stdout


def test_the_image_runs_as_nobody_special_and_is_stopped_in_order() -> None:
    lines = dockerfile()
    last_stage = lines[[i for i, line in enumerate(lines) if line.startswith("FROM ")][-1] :]
    users = [line.split()[1] for line in last_stage if line.startswith("USER ")]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    assert 'ENTRYPOINT ["dejalog"]' in last_stage
    assert "STOPSIGNAL SIGTERM" in last_stage
    assert any(line.startswith("HEALTHCHECK ") for line in last_stage)
    assert "ORT_DISABLE_TELEMETRY=1" in " ".join(last_stage)
    volumes = [line.split()[1] for line in last_stage if line.startswith("VOLUME ")]
    assert volumes == [settings_of("topics").data.directory]


def test_every_image_is_pinned_and_ours_has_the_version_of_the_package() -> None:
    images = [line.split()[1] for line in dockerfile() if line.startswith("FROM ")]
    images += [service["image"] for service in SERVICES.values()]
    for image in images:
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", image), image
    assert {SERVICES[name]["image"] for name in OURS} == {f"dejalog:{VERSION}"}
    assert f'org.opencontainers.image.version="{VERSION}"' in " ".join(dockerfile())


@pytest.fixture
def health() -> Iterator[tuple[HealthServicer, str]]:
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


def run_health_check(address: str) -> tuple[int, str]:
    command = [sys.executable, DEPLOY / "health.py"]
    environment = os.environ | {"DEJALOG_SERVER__LISTEN": address}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout


def test_the_health_check_says_what_grpcs_health_service_says(
    health: tuple[HealthServicer, str],
) -> None:
    servicer, address = health
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    assert run_health_check(address) == (0, f"{address}: SERVING\n")
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert run_health_check(address) == (1, f"{address}: NOT_SERVING\n")


def test_the_health_check_fails_where_nobody_listens(tmp_path: Path) -> None:
    code, said = run_health_check(f"unix:{tmp_path}/nobody.sock")
    assert code == 1
    assert "UNAVAILABLE" in said


def test_what_the_dockerfile_copies_exists_and_reaches_the_builder() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        name
        for line in dockerfile()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in allowed, name
    assert "*" in allowed


def test_the_wheel_carries_the_model_that_the_image_has_no_network_to_fetch() -> None:
    assert list((ROOT / "indexer" / "models" / "default").glob("*.onnx"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["scikit-build"]["wheel"]
    assert wheel["packages"]["dejalog/indexer"] == "indexer"
    assert not [pattern for pattern in wheel["exclude"] if "onnx" in pattern or "models" in pattern]


def complaints(compose: dict[str, Any]) -> list[str]:
    """What the Compose Specification's own schema says; check-jsonschema ships it."""
    # Its program is not called: it needs a newer click than Faust allows.
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(compose)]


def test_the_compose_file_is_what_the_compose_specification_says() -> None:
    assert complaints(COMPOSE) == []


def test_a_misspelt_key_in_a_compose_file_would_be_found() -> None:
    found = complaints({"services": {"kafka": {"image": "a:1", "prots": ["9092"]}}})
    assert len(found) == 1
    assert "prots" in found[0]


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)
    assert not any("network_mode" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_bounded_and_unprivileged(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] in ("unless-stopped", "on-failure")
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    if name in OURS:
        assert service["read_only"] is True


def test_references_within_the_compose_file_lead_somewhere() -> None:
    named = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    ]
    folders = [name for name in named if name.startswith(".")]
    assert set(named) - set(folders) == set(COMPOSE["volumes"])
    assert all((DEPLOY / folder).is_dir() for folder in folders)
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        if "build" in service:
            context = DEPLOY / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_every_command_exists(name: str) -> None:
    settings = settings_of(name)
    check_listen("listen", settings.server.listen, has_tls=False)
    assert settings.kafka.bootstrap_servers == ("kafka:19092",)
    assert settings.kafka.topics == (TopicRule("logs"), TopicRule("notes", encoding="note"))
    parse([str(word) for word in SERVICES[name]["command"]])


def test_the_example_of_topics_in_the_configuration_is_one(tmp_path: Path) -> None:
    text = (DEPLOY / "dejalog.toml").read_text(encoding="utf-8")
    lines = [line[4:] for line in text.splitlines() if line.startswith("#   ")]
    example = tmp_path / "dejalog.toml"
    example.write_text("\n".join(["[kafka]", *lines]), encoding="utf-8")
    topics = config.load(example, environment={}).settings.kafka.topics
    assert [topic.name or topic.pattern for topic in topics] == [
        "logs",
        "notes",
        r"line\.(?P<line>\w+)\.logs",
    ]


def test_a_misspelt_variable_would_be_found() -> None:
    with pytest.raises(ConfigError, match="bootstrap_servers"):
        config.load(environment={"DEJALOG_KAFKA__BOOTSTRAP_SERVER": "kafka:9092"})


def test_the_broker_offers_the_addresses_that_compose_uses() -> None:
    values = properties()
    advertised = values["advertised.listeners"].split(",")
    server = settings_of("dejalog").kafka.bootstrap_servers[0]
    assert f"INTERNAL://{server}" in advertised
    assert "HOST://127.0.0.1:9092" in advertised
    ports = {listener.rpartition(":")[2] for listener in values["listeners"].split(",")}
    assert {listener.rpartition(":")[2] for listener in advertised} < ports
    assert [str(port) for port in SERVICES["kafka"]["ports"]] == ["127.0.0.1:9092:9092"]
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["kafka"]["volumes"])
    assert volumes["kafka"] == values["log.dirs"]


def test_the_broker_keeps_what_new_topics_keep_and_its_comments_say() -> None:
    values, layout = properties(), Layout()
    assert int(values["num.partitions"]) == layout.partitions
    assert int(values["default.replication.factor"]) == layout.replication
    assert int(values["log.retention.hours"]) == layout.retention_hours
    assert int(values["log.retention.bytes"]) == layout.retention_bytes
    assert int(values["log.segment.bytes"]) == layout.segment_bytes == layout.retention_bytes // 8
    topics = len(settings_of("dejalog").kafka.topics)
    assert topics * layout.partitions * layout.retention_bytes == 4 << 30
    # An index entry has 8 bytes and stands for 4 KiB.
    index_bytes = layout.segment_bytes // 4096 * 8
    assert int(values["log.index.size.max.bytes"]) == 2 * index_bytes
    record_bytes_max = settings_of("dejalog").decode.record_bytes_max
    assert int(values["socket.request.max.bytes"]) > 2 * record_bytes_max


def test_internal_topics_of_one_broker_have_one_replica() -> None:
    replicas = {key: value for key, value in properties().items() if "replica" in key}
    assert len(replicas) >= 4
    assert set(replicas.values()) == {"1"}


def test_every_group_of_the_brokers_values_has_a_reason_above_it() -> None:
    text = (DEPLOY / "kafka" / "server.properties").read_text(encoding="utf-8")
    runs = re.findall(r"((?:^#.*\n)*)((?:^[^#\n].*\n)+)", text, flags=re.M)
    assert len(runs) > 10
    for comment, values in runs:
        assert comment or values.startswith("process.roles="), values


def commands_of(path: Path) -> Iterator[list[str]]:
    service = unit(path)["Service"]
    for key in ("ExecStartPre", "ExecStart"):
        program, *arguments = service[key].split()
        assert program == "/usr/bin/dejalog"
        yield arguments


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_calls_commands_that_exist(path: Path) -> None:
    for arguments in commands_of(path):
        parse(arguments)


def test_the_worker_is_confined_at_least_as_the_daemon_is() -> None:
    daemon, worker = (unit(DEPLOY / f"{name}.service") for name in ("dejalog", "dejalog-worker"))
    # It reads no files of the system's.
    expected = dict(daemon["Service"]) | {"ExecStart": worker["Service"]["ExecStart"]}
    del expected["SupplementaryGroups"]
    assert expected.items() <= dict(worker["Service"]).items()
    assert worker["Unit"]["Conflicts"] == "dejalog.service"
    assert worker["Service"]["User"] == "dejalog"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_itself_has_nothing_to_say_about_a_unit(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    text = path.read_text(encoding="utf-8")
    copy.write_text(text.replace("/usr/bin/dejalog", "/bin/true"), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
