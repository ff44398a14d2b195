from __future__ import annotations

import pytest

from dejalog.indexer.decode import ENCODINGS, DecodeSettings
from dejalog.indexer.decode.settings import zone
from dejalog.indexer.errors import ConfigError


def test_the_defaults_are_valid() -> None:
    assert DecodeSettings().encoding in ENCODINGS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoding", "xml"),
        ("date_order", "dym"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../etc/passwd"),
        ("record_bytes_max", 0),
        ("labels_max", -1),
    ],
)
def test_a_setting_that_cannot_be_is_a_config_error_that_names_it(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        DecodeSettings(**{key: value})
    assert caught.value.key == key


def test_local_time_needs_no_zone_database() -> None:
    assert zone("local") is None
