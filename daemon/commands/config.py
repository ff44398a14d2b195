"""`dejalog config check` and `dejalog config show`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dejalog.daemon import config
from dejalog.daemon.flags import load_settings
from dejalog.daemon.server import check_listen, server_credentials
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
    _show(loaded, with_origin=parsed.origin)
    return 0


def _check(settings: config.Settings) -> None:
    """What can be told without starting: addresses, certificates, the model's folder."""
    server = settings.server
    has_tls = server_credentials(server) is not None
    for key in ("listen", "otlp_listen"):
        check_listen(key, getattr(server, key), has_tls=has_tls)
    bundle = settings.encoder.bundle
    if bundle and not Path(bundle).expanduser().is_dir():
        raise ConfigError("encoder", "bundle", f"{bundle} is not a folder")


def _shown(key: str, value: object) -> object:
    """What a setting looks like to whoever reads over a shoulder, or a pasted report."""
    return "(set, not shown)" if key.endswith("password") and value else value


def _show(loaded: config.Loaded, *, with_origin: bool) -> None:
    section_before = ""
    for section, key in config.all_keys():
        if section != section_before:
            sys.stdout.write(f"{'' if not section_before else chr(10)}[{section}]\n")
            section_before = section
        value = config.to_toml(_shown(key, getattr(getattr(loaded.settings, section), key)))
        origin = f"  # {loaded.origins[f'{section}.{key}']}" if with_origin else ""
        sys.stdout.write(f"{key} = {value}{origin}\n")
