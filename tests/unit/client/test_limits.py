"""The bounds agree with each other; docs and contract tell them (tests/tidy/test_proto_docs.py)."""

from __future__ import annotations

from dejalog.client import limits
from dejalog.daemon import question_flags
from dejalog.daemon.commands import context, search
from dejalog.daemon.cutting import RESPONSE_BYTES_MAX
from dejalog.indexer import histogram, precedents
from dejalog.indexer.counts import buckets
from dejalog.indexer.incidents import retell
from dejalog.indexer.query import TEXT_CHARACTERS_MAX

#: What a count takes below 2**35.
COUNT_BYTES_MAX = 5


def test_a_query_that_the_wire_takes_is_one_that_the_index_takes() -> None:
    assert limits.QUERY_BYTES_MAX <= TEXT_CHARACTERS_MAX


def test_counts_leave_room_for_what_they_count() -> None:
    counts_max = max(limits.COUNTS_MAX, limits.BUCKETS_MAX * (limits.VALUES_MAX + 1))
    assert counts_max * COUNT_BYTES_MAX < RESPONSE_BYTES_MAX / 3
    # One pattern, and the default number of them, may have as many buckets as there are.
    assert limits.BUCKETS_MAX * 50 <= limits.COUNTS_MAX


def test_the_index_and_the_command_line_keep_the_same_bounds() -> None:
    assert buckets.BUCKETS_MAX == limits.BUCKETS_MAX
    assert histogram.VALUES_MAX == limits.VALUES_MAX
    assert retell.HITS_SHOWN == limits.INCIDENT_HITS_MAX
    assert limits.GAP_S_MAX <= limits.HORIZON_S_MAX == precedents.LENGTH_S_MAX
    assert question_flags.LIMIT_MAX == limits.LIMIT_MAX
    assert question_flags.EACH_MAX == limits.OCCURRENCES_MAX
    assert search.CONTEXT_MAX == context.LINES_MAX == limits.NEIGHBOURS_MAX


def test_what_has_a_bound_of_its_own_is_within_the_bound_on_all_pages() -> None:
    assert limits.INCIDENTS_MAX <= limits.LIMIT_MAX
