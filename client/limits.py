"""The bounds of requests, as docs/API.md and the comments of search.proto say them.

The daemon refuses what lies outside, naming the field; commands check their flags against them.
"""

from __future__ import annotations

from typing import Final

#: A query is a question or one raw log line; longer text is cut by the encoder anyway.
QUERY_BYTES_MAX: Final = 16 * 1024
#: Hits, patterns or changes of one answer, and of all its pages together: whoever wants more wants
#: an export, and every page is computed anew.
LIMIT_MAX: Final = 1_000
OCCURRENCES_MAX: Final = 100
#: Hits times occurrences of one answer. Each event takes 1 to 2 kB of memory besides its text while
#: the answer is made; a response has 350 bytes for each of so many.
EVENTS_MAX: Final = 10_000
WHERE_MAX: Final = 32
WHERE_BYTES_MAX: Final = 1024
#: An incident has a course and notes of its own, which are looked for one incident at a time.
INCIDENTS_MAX: Final = 100
COURSE_MAX: Final = 100
#: Hits that an incident shows, for the bound on all events of an answer.
INCIDENT_HITS_MAX: Final = 10
NOTES_MAX: Final = 100
ASSET_LABELS_MAX: Final = 16
LABEL_NAME_BYTES_MAX: Final = 1024
GAP_S_MAX: Final = 366 * 86_400.0
HORIZON_S_MAX: Final = 10 * 366 * 86_400.0
BUCKETS_MAX: Final = 1_000
VALUES_MAX: Final = 100
#: Patterns times buckets of one answer. A count takes up to five bytes below 2**35, so that the
#: counts of a response stay below 1 MB.
COUNTS_MAX: Final = 200_000
#: Neighbours in one direction: lines around an event are for reading.
NEIGHBOURS_MAX: Final = 1_000
EVENT_ID_MAX: Final = 2**63 - 1
