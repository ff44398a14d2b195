"""Each method of SearchService: message -> checked request -> result -> response.

A function here checks its message at once, raising ServiceError, and returns what is left to do:
the slow part, which runs on a thread. Search and Similar ask for one hit more than the page has,
which tells whether there is another page; the others count what they found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from dejalog.client.messages import requests
from dejalog.daemon import responses
from dejalog.daemon.answers import Answers
from dejalog.daemon.checks import check
from dejalog.daemon.paging import page_of
from dejalog.daemon.rpc_errors import invalid
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import DiffRequest
from dejalog.proto.v1 import search_pb2

Response = TypeVar("Response")
#: Asks, and makes the response of what came back.
Work = Callable[[Answers, Patience], Response]


def search(message: search_pb2.SearchRequest) -> Work[search_pb2.SearchResponse]:
    """Hits."""
    check(message)
    request = requests.search_from_message(message)
    page = page_of(message, request.limit)
    wanted = replace(request, skip=page.skip, limit=page.limit + 1)

    def work(answers: Answers, patience: Patience) -> search_pb2.SearchResponse:
        result = answers.search(wanted, patience)
        token = page.next_token(has_more=len(result.hits) > page.limit)
        return responses.search_response(replace(result, hits=result.hits[: page.limit]), token)

    return work


def similar(message: search_pb2.SimilarRequest) -> Work[search_pb2.SimilarResponse]:
    """Hits that are like an event."""
    check(message)
    request = requests.similar_from_message(message)
    page = page_of(message, request.limit)
    wanted = replace(request, skip=page.skip, limit=page.limit + 1)

    def work(answers: Answers, patience: Patience) -> search_pb2.SimilarResponse:
        found = answers.similar(wanted, patience)
        hits = found.result.hits
        token = page.next_token(has_more=len(hits) > page.limit)
        result = replace(found.result, hits=hits[: page.limit])
        return responses.similar_response(replace(found, result=result), token)

    return work


def precedents(message: search_pb2.PrecedentsRequest) -> Work[search_pb2.PrecedentsResponse]:
    """Earlier incidents and what followed them."""
    check(message)
    request = requests.precedents_from_message(message)
    page = page_of(message, request.limit)
    wanted = replace(request, skip=page.skip, limit=page.limit)

    def work(answers: Answers, patience: Patience) -> search_pb2.PrecedentsResponse:
        result = answers.precedents(wanted, patience)
        token = page.next_token(has_more=result.incidents_total > page.end)
        return responses.precedents_response(result, token)

    return work


def patterns(message: search_pb2.PatternsRequest) -> Work[search_pb2.PatternsResponse]:
    """Patterns with their counts."""
    check(message)
    request = requests.patterns_from_message(message)
    page = page_of(message, request.limit)
    wanted = replace(request, skip=page.skip, limit=page.limit)

    def work(answers: Answers, patience: Patience) -> search_pb2.PatternsResponse:
        result = answers.patterns(wanted, patience)
        token = page.next_token(has_more=result.patterns_total > page.end)
        return responses.patterns_response(result, token)

    return work


def diff(message: search_pb2.DiffRequest) -> Work[search_pb2.DiffResponse]:
    """What changed between two windows."""
    check(message)
    request = _until_now(requests.diff_from_message(message))
    page = page_of(message, request.limit)
    wanted = replace(request, skip=page.skip, limit=page.limit)

    def work(answers: Answers, patience: Patience) -> search_pb2.DiffResponse:
        result = answers.diff(wanted, patience)
        token = page.next_token(has_more=result.changes_total > page.end)
        return responses.diff_response(result, token)

    return work


def _until_now(request: DiffRequest) -> DiffRequest:
    """Cuts windows at the present: of what is to come nothing is known, and it is not less."""
    now_ns = time.time_ns()
    windows = {"before": request.before, "after": request.after}
    for name, window in windows.items():
        if window.since_ns >= now_ns:
            raise invalid(f"{name}.since_unix_nano", "must be in the past")
        windows[name] = replace(window, until_ns=min(window.until_ns, now_ns))
    return replace(request, before=windows["before"], after=windows["after"])


def histogram(message: search_pb2.HistogramRequest) -> Work[search_pb2.HistogramResponse]:
    """Counts of events by time."""
    check(message)
    request = requests.histogram_from_message(message)

    def work(answers: Answers, patience: Patience) -> search_pb2.HistogramResponse:
        return responses.histogram_response(answers.histogram(request, patience))

    return work


def context(message: search_pb2.ContextRequest) -> Work[search_pb2.ContextResponse]:
    """The neighbours of an event."""
    check(message)
    request = requests.context_from_message(message)

    def work(answers: Answers, patience: Patience) -> search_pb2.ContextResponse:
        return responses.context_response(answers.context(request, patience))

    return work
