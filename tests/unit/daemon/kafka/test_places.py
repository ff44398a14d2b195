from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.kafka.places import (
    PartitionNames,
    TopicPartition,
    place_of,
    source_of,
    topic_of,
)


def test_sources_and_topics_are_told_from_each_other() -> None:
    assert topic_of(source_of("logs")) == "logs"
    assert topic_of("file") is None


@given(st.text(min_size=1), st.integers(0, 10_000), st.integers(0, 5))
def test_a_name_says_which_partition_it_is(topic: str, number: int, resets: int) -> None:
    names, place = PartitionNames(), TopicPartition(topic, number)
    for _ in range(resets):
        names.reset(place)
    assert place_of(names.key(place)) == place


def test_every_reset_gives_a_name_that_was_never_used() -> None:
    names, place = PartitionNames([("kafka:logs", "3"), ("file", "9:9")]), TopicPartition("logs", 3)
    assert names.key(place) == ("kafka:logs", "3")
    assert names.reset(place) == ("kafka:logs", "3+1")
    stored = [("kafka:logs", "3"), ("kafka:logs", "3+1"), ("kafka:logs", "30")]
    assert PartitionNames(stored).key(place) == ("kafka:logs", "3+1")
    assert PartitionNames(stored).reset(place) == ("kafka:logs", "3+2")


@pytest.mark.parametrize("key", [("file", "3"), ("kafka:logs", ""), ("kafka:logs", "x")])
def test_other_names_stand_for_no_partition(key: tuple[str, str]) -> None:
    assert place_of(key) is None
