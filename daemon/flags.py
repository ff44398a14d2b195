"""The flags that every command shares, and the settings that they lead to."""

from __future__ import annotations

import argparse
from pathlib import Path

from dejalog.daemon import config
from dejalog.indexer.errors import ConfigError


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that every command has."""
    group = parser.add_argument_group("where settings come from")
    group.add_argument("--config", type=Path, metavar="FILE", help="configuration file (TOML)")
    group.add_argument("--data", metavar="DIR", help="data directory (data.directory)")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="set any key of the configuration; may be repeated",
    )


def load_settings(parsed: argparse.Namespace) -> config.Loaded:
    """Returns the settings that the common flags, the environment and the file give."""
    flags: list[config.Given] = []
    for text in parsed.set:
        name, equals, value = text.partition("=")
        section, dot, key = name.partition(".")
        if not equals or not dot:
            # Without the value, which may be a secret.
            raise ConfigError("flag --set", name, "write SECTION.KEY=VALUE")
        flags.append(config.flag(section.strip(), key.strip(), value, "--set"))
    if parsed.data is not None:
        flags.append(config.flag("data", "directory", parsed.data, "--data"))
    return config.load(parsed.config, flags=flags)
