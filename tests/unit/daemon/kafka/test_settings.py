from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.kafka.settings import SASL_MECHANISMS, KafkaSettings, TopicRule
from dejalog.indexer.errors import ConfigError


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "either a name or a pattern"),
        ({"name": "logs", "pattern": "logs"}, "either a name or a pattern"),
        ({"name": "plant 7"}, "'plant 7' cannot be the name of a topic"),
        ({"name": "."}, "'.' cannot be the name of a topic"),
        ({"name": ".."}, "'..' cannot be the name of a topic"),
        ({"name": "x" * 250}, "cannot be the name of a topic"),
        ({"pattern": "plant-("}, "pattern 'plant-(': "),
        ({"name": "logs", "encoding": "xml"}, "encoding 'xml' is none of auto"),
        ({"name": "logs", "kind": "alarm"}, "kind 'alarm' is neither log nor note"),
        ({"name": "logs", "labels": {"asset": "{asset}"}}, "label template '{asset}'"),
        ({"pattern": "p-(?P<n>.*)", "labels": {"a": "{group:m}"}}, "no group 'm'"),
    ],
)
def test_a_topic_rule_that_cannot_be_meant_is_refused(fields, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TopicRule(**fields)
    assert str(caught.value).startswith("kafka: topics: ")
    assert complaint in str(caught.value)


@given(st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True))
def test_every_name_that_kafka_takes_is_taken(name: str) -> None:
    if name not in (".", ".."):
        assert TopicRule(name=name).name == name


def test_a_pattern_lends_its_groups_to_the_labels() -> None:
    rule = TopicRule(pattern=r"plant-(?P<plant>\d+)", labels={"site": "plant {group:plant}"})
    assert rule.labels["site"] == "plant {group:plant}"


@pytest.mark.parametrize(
    "server", ["localhost", "localhost:", ":9092", "host:0", "host:65536", "host:90 92", "host:٣"]
)
def test_a_server_is_a_host_and_a_port(server: str) -> None:
    with pytest.raises(ConfigError, match=r"bootstrap_servers: .* is not host:port"):
        KafkaSettings(bootstrap_servers=("good:9092", server))


def test_an_address_of_ipv6_is_a_host() -> None:
    assert KafkaSettings(bootstrap_servers=("[::1]:9092",)).bootstrap_servers == ("[::1]:9092",)


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"bootstrap_servers": ("a:1",), "group": ""}, "group"),
        ({"start": "now"}, "start"),
        ({"dead_letter_suffix": "/dlq"}, "dead_letter_suffix"),
        ({"tls_ca": "ca.pem"}, "tls"),
        ({"tls_cert": "c.pem", "tls_key": "k.pem"}, "tls"),
        ({"tls": True, "tls_cert": "c.pem"}, "tls_cert"),
        ({"tls": True, "tls_key": "k.pem"}, "tls_cert"),
        (
            {"sasl_mechanism": "GSSAPI", "sasl_username": "u", "sasl_password": "p"},
            "sasl_mechanism",
        ),
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism"),
        ({"sasl_mechanism": "PLAIN", "sasl_username": "u"}, "sasl_mechanism"),
        ({"sasl_username": "u", "sasl_password": "p"}, "sasl_mechanism"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        KafkaSettings(**fields)
    assert (caught.value.origin, caught.value.key) == ("kafka", key)


def test_no_broker_needs_no_group() -> None:
    assert KafkaSettings(group="").bootstrap_servers == ()


@pytest.mark.parametrize("mechanism", [each for each in SASL_MECHANISMS if each])
def test_every_mechanism_takes_a_user_with_and_without_tls(mechanism: str) -> None:
    user = {"sasl_mechanism": mechanism, "sasl_username": "u", "sasl_password": "p"}
    assert KafkaSettings(**user).sasl_mechanism == mechanism
    assert KafkaSettings(tls=True, tls_ca="ca.pem", **user).tls
