"""No secret of the settings is shown, at whatever depth it lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon import config
from dejalog.daemon.config import Settings, all_keys, to_toml
from dejalog.daemon.kafka.settings import TopicRule
from dejalog.daemon.secret_settings import is_secret, scrub, secrets_of, shown


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "sasl_password",
        "client_secret",
        "bearer_token",
        "api_key",
        "X-Api-Key",
        "headers",
    ],
)
def test_names_of_secrets_are_known(key):
    assert is_secret(key)
    assert shown(key, "hunter2") == "(set)"
    assert shown(key, {"a": "hunter2"}) == "(set)"
    assert shown(key, "") == ""


def test_of_our_own_settings_only_these_are_secret():
    assert {f"{section}.{key}" for section, key in all_keys() if is_secret(key)} == {
        "kafka.sasl_password"
    }
    for key in ("tls_key", "tokens_file", "token_bytes_max", "passes"):
        assert not is_secret(key)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://hooks.plant/T0/B1/hunter2", "https://hooks.plant/(set)"),
        ("https://me:hunter2@cmms.plant:8443/", "https://cmms.plant:8443/(set)"),
        ("https://cmms.plant?key=hunter2", "https://cmms.plant/(set)"),
        ("http://[::1]:80/hunter2", "http://[::1]:80/(set)"),
        ("https://cmms.plant/", "https://cmms.plant/"),
        ("http://cmms.plant:99999/hunter2", "(set)"),
        ("kafka:9092", "kafka:9092"),
    ],
)
def test_a_url_shows_where_it_goes_and_no_more(url, seen):
    assert shown("url", url) == seen
    assert shown("url", [f"send to {url}"]) == (f"send to {seen}",)


@dataclass(frozen=True)
class Alert:
    name: str
    command: tuple[str, ...]
    headers: dict[str, str]


def test_tables_and_commands_are_looked_into():
    alert = Alert("a", ("curl", "-u", "me:hunter2"), {"Authorization": "hunter3"})
    assert shown("alerts", (alert,)) == (
        {"name": "a", "command": ("curl", "(set)"), "headers": "(set)"},
    )
    assert set(secrets_of({"alerts": (alert,)})) == {b"me:hunter2", b"hunter3"}
    rule = TopicRule(name="logs", labels={"site": "lodz"})
    assert to_toml(shown("topics", (rule,))) == to_toml((rule,))


@given(st.text(min_size=4, max_size=20), st.text(min_size=4, max_size=20), st.text(max_size=40))
def test_what_is_scrubbed_is_gone(first, second, around):
    content = (around + first + around + second + first).encode()
    found = scrub(content, [first.encode(), second.encode()])
    for secret in (first, second):
        # The mark itself may spell one.
        assert secret in "(set)" or secret.encode() not in found.replace(b"(set)", b"\xff")


def test_of_a_url_the_parts_are_looked_for_too():
    url = "https://me:hunter2@hooks.plant/services/T0/B1?sig=abcdef0123"
    assert set(secrets_of({"url": url})) == {
        url.encode(),
        b"hunter2",
        b"/services/T0/B1",
        b"sig=abcdef0123",
    }
    assert secrets_of({"url": "https://hooks.plant/", "model": "/opt/model"}) == []


def test_secrets_are_found_in_real_settings():
    kafka = replace(
        Settings().kafka, sasl_mechanism="PLAIN", sasl_username="me", sasl_password="x7"
    )
    assert secrets_of(replace(Settings(), kafka=kafka)) == []
    kafka = replace(kafka, sasl_password="hunter2")
    assert secrets_of(replace(Settings(), kafka=kafka)) == [b"hunter2"]


def test_a_secret_of_the_wrong_type_is_not_shown_in_the_error(tmp_path):
    path = tmp_path / "d.toml"
    path.write_text("[kafka]\nsasl_password = 4815162342\n")
    with pytest.raises(config.ConfigError, match="sasl_password") as caught:
        config.load(path, environment={})
    assert "4815162342" not in str(caught.value)
