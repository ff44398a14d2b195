"""`dejalog config check` and `dejalog config show`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dejalog.daemon import config
from dejalog.daemon.config_text import to_text
from dejalog.daemon.flags import load_settings
from dejalog.daemon.server import check_server
from dejalog.indexer.errors import ConfigError

NAME = "config"
HELP = "check a configuration file, or show every setting and where it comes from"
EXAMPLE = "dejalog config check /etc/dejalog/dejalog.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument("action", choices=("check", "show"))
    parser.add_argument("file", nargs="?", type=Path, help="configuration file, like --config")
    parser.add_argument("--origin", action="store_true", help="show where each value comes from")


def run(parsed: argparse.Namespace) -> int:
    """Does it; an error in the configuration is raised as ConfigError."""
    if parsed.file is not None:
        parsed.config = parsed.file
    if parsed.config is not None and not parsed.config.is_file():
        raise ConfigError(str(parsed.config), "file", "does not exist")
    loaded = load_settings(parsed)
    if parsed.action == "check":
        _check(loaded.settings)
        sys.stdout.write("the configuration is good\n")
        return 0
    sys.stdout.write(to_text(loaded, with_origin=parsed.origin))
    return 0


def _check(settings: config.Settings) -> None:
    """What can be told without starting: addresses, certificates, the model's folder."""
    check_server(settings.server)
    bundle = settings.encoder.bundle
    if bundle and not Path(bundle).expanduser().is_dir():
        raise ConfigError("encoder", "bundle", f"{bundle} is not a folder")
