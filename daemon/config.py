"""Settings: defaults < TOML file < environment < flags, each value with its origin.

The dataclasses below are the whole list of keys; `deploy/dejalog.toml` shows them with their
defaults, and a test keeps the two the same. An unknown key is an error that names the nearest one.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from dejalog.daemon.alerts.settings import AlertSettings
from dejalog.daemon.kafka.settings import KafkaSettings
from dejalog.daemon.pipeline import PipelineSettings
from dejalog.daemon.secret_settings import shown
from dejalog.daemon.server import ServerSettings
from dejalog.daemon.sources.settings import SourcesSettings
from dejalog.indexer.append import ShardLimits
from dejalog.indexer.compact import CompactRules
from dejalog.indexer.compaction.plan import RetainRules
from dejalog.indexer.decode import DecodeSettings
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.rerank import RerankSettings
from dejalog.indexer.store.environment import SHARD_BYTES_MAX

ENVIRONMENT_PREFIX = "DEJALOG_"

#: Where a configuration is looked for if none is named; the first one found counts.
CONFIG_PATHS = (Path("dejalog.toml"), Path("/etc/dejalog/dejalog.toml"))


#: The least value of a number, where it is not 1; it is 0 only where that has a meaning.
LEAST: Mapping[str, float] = {
    "alerts.timeout_s": 0.1,
    "compact.expired_share_min": 0.01,
    "compact.merge_factor": 2,
    "compact.originals_bytes_max": 0,
    "compact.threads": 0,
    "compact.write_bytes_per_s": 0,
    "data.disk_free_bytes_min": 0,
    "encoder.threads": 0,
    "ingest.flush_interval_s": 0.001,
    "kafka.commit_interval_s": 0.05,
    "kafka.fetch_bytes_max": 1024,
    "retain.age_max_s": 0,
    "retain.bytes_max": 0,
    "retain.disk_free_percent_min": 0,
    "server.search_queue_max": 0,
    "server.search_timeout_s": 0.01,
    "server.stop_grace_s": 0,
}

#: gRPC keeps its bounds in 32 bits with a sign.
_INT32_MAX = 2**31 - 1

#: Ten years: longer times are more than clocks and locks can count.
_SECONDS_MAX = 10 * 366 * 24 * 3600

#: The greatest value of a number, where there is one.
MOST: Mapping[str, float] = {
    "alerts.keep_s": _SECONDS_MAX,
    "alerts.retry_max_s": _SECONDS_MAX,
    "alerts.timeout_s": 3600,
    "alerts.waiting_max": 1_000_000,
    "compact.bits": 4,
    "compact.expired_share_min": 1,
    "compact.interval_s": _SECONDS_MAX,
    "decode.future_skew_s": _SECONDS_MAX,
    "ingest.flush_interval_s": _SECONDS_MAX,
    "kafka.commit_interval_s": _SECONDS_MAX,
    "kafka.fetch_bytes_max": _INT32_MAX,
    "kafka.metadata_max_age_s": _SECONDS_MAX,
    "kafka.request_timeout_s": _SECONDS_MAX,
    "kafka.session_timeout_s": _SECONDS_MAX,
    # More hits than can be asked for, and more text than a model reads.
    "rerank.text_chars_max": 100_000,
    "rerank.top_n": 1_000,
    "retain.age_max_s": _SECONDS_MAX,
    "retain.disk_free_percent_min": 99,
    "server.message_bytes_max": _INT32_MAX,
    "server.rpcs_max": 1_000_000,
    "server.rpcs_per_connection_max": _INT32_MAX,
    "server.search_timeout_s": _SECONDS_MAX,
    "server.stop_grace_s": _SECONDS_MAX,
    "shard.age_max_s": _SECONDS_MAX,
    "shard.bytes_max": SHARD_BYTES_MAX,
}


def default_data_directory() -> str:
    """The user's own data folder, following the XDG base directory specification."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return f"{home}/dejalog"


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where the index lies, and how much of the disk it must leave."""

    directory: str = field(default_factory=default_data_directory)
    disk_free_bytes_min: int = 256 << 20


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """Which model; an empty bundle is the one in the package. 0 threads: one per core."""

    bundle: str = ""
    threads: int = 0


@dataclass(frozen=True, slots=True)
class CompactSettings(CompactRules):
    """How shards are compacted, and whether and how often the daemon does it. 0 threads: one per
    core.
    """

    enabled: bool = True
    interval_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set; a section is what the part that it configures takes."""

    data: DataSettings = field(default_factory=DataSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    rerank: RerankSettings = field(default_factory=RerankSettings)
    sources: SourcesSettings = field(default_factory=SourcesSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    ingest: PipelineSettings = field(default_factory=PipelineSettings)
    shard: ShardLimits = field(default_factory=ShardLimits)
    compact: CompactSettings = field(default_factory=CompactSettings)
    retain: RetainRules = field(default_factory=RetainRules)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    server: ServerSettings = field(default_factory=ServerSettings)


@dataclass(frozen=True, slots=True)
class Given:
    """One value that somebody gave, and where."""

    section: str
    key: str
    value: object
    origin: str
    is_text: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each `section.key` where its value comes from."""

    settings: Settings
    origins: Mapping[str, str]


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Sequence[Given] = (),
) -> Loaded:
    """Returns the settings; raises ConfigError naming the place, the key and the reason."""
    environment = os.environ if environment is None else environment
    given = [*_from_file(path, environment), *_from_environment(environment), *flags]
    values: dict[str, dict[str, object]] = {}
    origins = {f"{section}.{key}": "default" for section, key in all_keys()}
    for item in given:
        kind = _kind(item)
        values.setdefault(item.section, {})[item.key] = _convert(item, kind)
        origins[f"{item.section}.{item.key}"] = item.origin
    sections = {
        section: type(getattr(Settings(), section))(**values.get(section, {}))
        for section in _sections()
    }
    return Loaded(Settings(**sections), origins)


def flag(section: str, key: str, value: object, name: str) -> Given:
    """Returns a value that a command-line flag gave."""
    return Given(section, key, value, f"flag {name}", is_text=isinstance(value, str))


def all_keys() -> Iterator[tuple[str, str]]:
    """Yields every section and key, in order."""
    for section, kind in _sections().items():
        for item in fields(kind):
            yield section, item.name


def default_of(section: str, key: str) -> object:
    """The value that a key has if nobody gives one."""
    for item in fields(_sections()[section]):
        if item.name == key:
            if item.default_factory is not MISSING:
                return item.default_factory()
            return item.default
    raise KeyError(f"{section}.{key}")


def _sections() -> dict[str, Any]:
    return {item.name: type(getattr(Settings(), item.name)) for item in fields(Settings)}


def _from_file(path: Path | None, environment: Mapping[str, str]) -> Iterator[Given]:
    path = path or next((candidate for candidate in CONFIG_PATHS if candidate.is_file()), None)
    if path is None:
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), "file", f"cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigError(str(path), "file", "is nested too deeply") from error
    except ValueError as error:  # Not TOML, not UTF-8, or a number of thousands of digits.
        raise ConfigError(str(path), "file", f"is not TOML: {error}") from error
    for section, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(str(path), section, "stands outside of a [section]")
        for key, value in table.items():
            try:
                expanded = _expand(value, environment, str(path), f"{section}.{key}")
            except RecursionError as error:
                raise ConfigError(str(path), f"{section}.{key}", "is nested too deeply") from error
            yield Given(section, key, expanded, str(path), is_text=isinstance(expanded, str))


def _from_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        section, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__", 1)
        yield Given(section, key, environment[name], f"environment {name}", is_text=True)


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def _expand(value: object, environment: Mapping[str, str], origin: str, key: str) -> object:
    """Replaces `${NAME}` and `${NAME:-default}` in texts."""
    if isinstance(value, list):
        return [_expand(item, environment, origin, key) for item in value]
    if isinstance(value, dict):
        return {name: _expand(item, environment, origin, key) for name, item in value.items()}
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        found = environment.get(match[1], match[2])
        if found is None:
            raise ConfigError(origin, key, f"the environment has no {match[1]}")
        return found

    return _VARIABLE.sub(replacement, value)


def _kind(item: Given) -> object:
    sections = _sections()
    if item.section not in sections:
        raise ConfigError(item.origin, item.section, _unknown("section", item.section, sections))
    hints = get_type_hints(sections[item.section])
    if item.key not in hints:
        key = f"{item.section}.{item.key}"
        raise ConfigError(item.origin, key, _unknown("key", item.key, hints))
    return hints[item.key]


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
    return f"unknown {what}; {hint}"


def _convert(item: Given, kind: Any) -> object:
    value = item.value
    if item.is_text and isinstance(value, str):
        value = _parse(item, value, kind)
    table = table_kind(kind)
    if table is not None and isinstance(value, list):
        _check_tables(item, [each for each in value if isinstance(each, dict)], table)
    try:
        converted: object = msgspec.convert(value, kind, strict=not item.is_text)
    except (msgspec.ValidationError, UnicodeEncodeError, RecursionError) as error:
        key = f"{item.section}.{item.key}"
        given = shown(item.key, value)
        raise ConfigError(item.origin, key, f"{error}; given: {given!r}") from error
    if isinstance(converted, int | float) and not isinstance(converted, bool):
        _check_number(item, converted)
    return converted


def _parse(item: Given, text: str, kind: Any) -> object:
    """A list in one text: parts between colons (commas for servers), and tables as JSON."""
    if kind == tuple[str, ...]:
        separator = "," if item.key == "bootstrap_servers" else os.pathsep
        return [part.strip() for part in text.split(separator) if part.strip()]
    if table_kind(kind) is not None:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            reason = f'is not JSON: {error}; write [{{"name": "x"}}]'
            raise ConfigError(item.origin, f"{item.section}.{item.key}", reason) from error
    return text


def table_kind(kind: Any) -> Any:
    """Returns the dataclass of a setting that is a list of tables, None for any other one."""
    parts = get_args(kind)
    is_list = get_origin(kind) is tuple and len(parts) == 2 and parts[1] is Ellipsis
    return parts[0] if is_list and is_dataclass(parts[0]) else None


def _check_tables(item: Given, tables: Any, kind: Any) -> None:
    """An unknown key in a table is an error, as anywhere else."""
    known = [each.name for each in fields(kind)]
    for name in (name for table in tables for name in table if name not in known):
        key = f"{item.section}.{item.key}"
        raise ConfigError(item.origin, key, _unknown("key", name, dict.fromkeys(known)))


def _check_number(item: Given, number: float) -> None:
    key = f"{item.section}.{item.key}"
    least, most = LEAST.get(key, 1), MOST.get(key)
    # Not a number is neither less nor more than anything.
    if not (number >= least and math.isfinite(number)):
        raise ConfigError(item.origin, key, f"must be a number of at least {least}")
    if most is not None and number > most:
        raise ConfigError(item.origin, key, f"must be at most {most}")


def to_toml(value: object) -> str:
    """Returns a setting's value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    if is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        given = {n: each for n, each in value.items() if each or isinstance(each, int | float)}
        pairs = [f"{_toml_key(name)} = {to_toml(each)}" for name, each in given.items()]
        return "{" + ", ".join(pairs) + "}"
    return msgspec.json.encode(str(value)).decode()  # TOML's basic strings are JSON's.


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else to_toml(name)
