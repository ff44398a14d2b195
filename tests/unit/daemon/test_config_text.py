"""What is shown of the settings is TOML, tells origins, and keeps secrets."""

from __future__ import annotations

import tomllib

from dejalog.daemon.config import flag, load
from dejalog.daemon.config_text import to_text


def test_the_text_gives_the_same_settings_again(tmp_path):
    path = tmp_path / "d.toml"
    path.write_text(to_text(load(environment={}), with_origin=True))
    assert load(path, environment={}).settings == load(environment={}).settings


def test_a_password_is_not_shown_and_its_origin_is():
    given = [
        flag("kafka", "sasl_mechanism", "PLAIN", "--set"),
        flag("kafka", "sasl_username", "me", "--set"),
        flag("kafka", "sasl_password", "hunter2", "--set"),
    ]
    text = to_text(load(environment={}, flags=given), with_origin=True)
    assert "hunter2" not in text
    assert 'sasl_password = "(set)"  # flag --set' in text
    assert tomllib.loads(text)["kafka"]["sasl_username"] == "me"
