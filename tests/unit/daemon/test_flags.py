from __future__ import annotations

import argparse

import pytest

from dejalog.daemon.flags import add_common_flags, load_settings
from dejalog.indexer.errors import ConfigError


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    return parser.parse_args(arguments)


def test_data_is_short_for_the_data_directory_and_beats_set() -> None:
    loaded = load_settings(parse("--data", "/a", "--set", "data.directory=/b"))
    assert loaded.settings.data.directory == "/a"
    assert loaded.origins["data.directory"] == "flag --data"


def test_any_key_can_be_set() -> None:
    loaded = load_settings(parse("--set", "ingest.batch_events=5", "--set", "server.listen="))
    assert loaded.settings.ingest.batch_events == 5
    assert loaded.settings.server.listen == ""


@pytest.mark.parametrize("text", ["ingest", "ingest.batch_events", "=1"])
def test_a_flag_that_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"SECTION\.KEY=VALUE"):
        load_settings(parse("--set", text))
