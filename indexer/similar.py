"""An event -> what is like it: its text as a question, and its own pattern first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from dejalog.indexer.answer import SimilarResult
from dejalog.indexer.hit import Hit, Occurrence, SearchResult
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.opened import Held
from dejalog.indexer.pasted import as_pasted, within
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.request import SearchRequest, SimilarRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import digest

#: Hits among which an event's own pattern is looked for: it is behind the best ones only where the
#: text is longer than what the encoder reads of a question.
OWN_AMONG = 50


def find_similar(
    searcher: Searcher, request: SimilarRequest, patience: Patience = ENDLESS
) -> SimilarResult:
    """Returns hits that are like an event; evidence points into the event's text.

    Raises LookupError if the event is not there, and what `Searcher.search` raises.
    """
    started = time.monotonic()
    patience.check()
    with searcher.shards.held() as held:
        event = read_event(held, request.event_id)
    text = event.event.text
    wanted = request.skip + request.limit
    result = _search(searcher, request, text, wanted, patience)
    if not _has_own(result.hits, text) and wanted < OWN_AMONG:
        result = _search(searcher, request, text, OWN_AMONG, patience)
    hits = _own_first(result.hits, text)[request.skip : wanted]
    hits = [replace(hit, evidence=within(hit.evidence, text)) for hit in hits]
    elapsed_s = time.monotonic() - started
    return SimilarResult(event, replace(result, hits=tuple(hits), elapsed_s=elapsed_s))


def read_event(held: Held, event_id: int) -> Occurrence:
    """Returns an event of the shards; raises LookupError if none of them holds it any more."""
    for shard in held.shards:
        row = event_id - shard.state.header.first_event
        if not 0 <= row < len(shard.state.columns.times):
            continue
        if shard.state.deleted is not None and shard.state.deleted[row]:
            break
        with shard.reading() as snapshot:
            return Occurrence(event_id, EventReader(snapshot, shard.state).event(event_id))
    raise LookupError(f"event {event_id} is not in this index, or not any more")


def _search(
    searcher: Searcher, request: SimilarRequest, text: str, limit: int, patience: Patience
) -> SearchResult:
    return searcher.search(
        SearchRequest(
            text=as_pasted(text),
            limit=limit,
            occurrences=request.occurrences,
            since_ns=request.since_ns,
            until_ns=request.until_ns,
            where=request.where,
            mode=request.mode,
            is_explained=request.is_explained,
        ),
        patience,
    )


def _has_own(hits: Sequence[Hit], text: str) -> bool:
    return any(hit.pattern_id == _own_id(text) for hit in hits)


def _own_first(hits: Sequence[Hit], text: str) -> list[Hit]:
    """The hits with the own pattern in front; every page is cut from this order."""
    own = _own_id(text)
    return sorted(hits, key=lambda hit: hit.pattern_id != own)


def _own_id(text: str) -> str:
    return digest(mask_pattern(text)[0]).hex()
