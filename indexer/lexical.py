"""The exact-word channel of one shard: BM25 over its patterns and over its events' own values.

What repeats is indexed once: a document per pattern (its text without placeholders) and a document
per event (the values that were masked), so that together they cover the raw text.

1. Each of the two is one tantivy index, because BM25's statistics are per index.
2. Every commit holds the documents and the watermark they reach up to, in one step. A crash leaves
   the last commit of each; ids below the watermark are skipped, so adding again does no harm.
3. All of it is derived. What is damaged, or was made by other rules, raises CorruptShardError, and
   may be deleted and added anew.

The library was chosen in docs/adr/0001-lexical-library.md, and only this module imports it. A
reader works while another process writes. tantivy panics on some damage; that is caught here too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import tantivy
from numpy.typing import NDArray

from dejalog.indexer.errors import CorruptShardError, DataDirectoryError
from dejalog.indexer.lexical_files import (
    STAMP_NAME,
    damage_as_error,
    failure_as_os_error,
    file_problem,
    read_stamp,
    segment_files,
    write_stamp,
)
from dejalog.indexer.terms import FORM_WEIGHT, QueryTerm, document_terms

_PATTERNS, _EVENTS = "patterns", "events"

#: The smallest buffer that tantivy takes; a larger one only delays the write of a large batch.
_HEAP_BYTES = 15_000_000
#: Ids fetched at a time: tantivy's results are Python objects of about 150 bytes each.
_PAGE_IDS = 65_536


class LexicalHits(NamedTuple):
    """Ids int64[n] and BM25 scores float32[n], best first; equal scores by growing id."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class LexicalIndex:
    """The lexical index in one folder; a context manager.

    One process may have it open for writing, any number for reading. Not for use by several
    threads at once, except that `rank_*` and `*_with*` may run while another thread refreshes.
    """

    def __init__(self, path: Path, *, is_writable: bool) -> None:
        self._path = path
        self._is_writable = is_writable
        self._stamp = ""
        self._patterns: _Documents | None = None
        self._events: _Documents | None = None

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> Self:
        """Open the index at `path`; a writer creates it, and to a reader a missing one is empty.

        Raises CorruptShardError if it cannot be read, and DataDirectoryError if it cannot be made.
        """
        index = cls(path, is_writable=writable)
        if writable and not (path / STAMP_NAME).exists():
            _create(path)
        index.refresh()
        return index

    @staticmethod
    def delete(path: Path) -> None:
        """Delete the index at `path`, if there is one; a crash halfway leaves it deleted."""
        (path / STAMP_NAME).unlink(missing_ok=True)
        if path.exists():
            shutil.rmtree(path)

    @property
    def patterns_indexed(self) -> int:
        """The watermark: all patterns below this id are in the index."""
        return self._patterns.watermark if self._patterns else 0

    @property
    def events_indexed(self) -> int:
        """The watermark: all events below this id are in the index."""
        return self._events.watermark if self._events else 0

    def append(
        self,
        patterns: Sequence[tuple[int, str]],
        events: Sequence[tuple[int, str]],
        *,
        patterns_end: int,
        events_end: int,
    ) -> None:
        """Add documents (id, text) and move the watermarks to `patterns_end` and `events_end`.

        Ids must grow and be below their end; those below the watermark are skipped, and a text
        without a term is not stored. Events and patterns are each all or nothing, events first.
        Raises OSError if it cannot be written; nothing more of it is then in the index.
        """
        if not (self._is_writable and self._patterns and self._events):
            raise ValueError(f"{self._path} is open for reading only")
        _check_ids(patterns, patterns_end)
        _check_ids(events, events_end)
        self._events.append(events, events_end)
        self._patterns.append(patterns, patterns_end)

    def refresh(self) -> None:
        """See what has been committed since; cheap if nothing has."""
        stamp = read_stamp(self._path)
        if stamp == self._stamp and self._patterns and self._events:
            self._patterns.refresh()
            self._events.refresh()
            return
        self._drop()
        if stamp:
            self._patterns = _Documents.open(self._path / _PATTERNS)
            self._events = _Documents.open(self._path / _EVENTS)
        self._stamp = stamp

    def rank_patterns(self, terms: Sequence[QueryTerm], *, limit: int) -> LexicalHits:
        """Return the best `limit` patterns that have any of the terms."""
        return _rank(self._patterns, terms, limit)

    def rank_events(self, terms: Sequence[QueryTerm], *, limit: int) -> LexicalHits:
        """Return the best `limit` events whose values have any of the terms."""
        return _rank(self._events, terms, limit)

    def patterns_with(self, term: str) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all patterns that have the term in any form."""
        return self.patterns_with_all([term])

    def events_with(self, term: str) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all events whose values have the term."""
        return self.events_with_all([term])

    def patterns_with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all patterns that have every term; none for none."""
        return _with_all(self._patterns, terms)

    def events_with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all events that have every term; none for none."""
        return _with_all(self._events, terms)

    def verify(self) -> list[str]:
        """Return what is wrong, in sentences: checksums of every file, ids and watermarks."""
        both = filter(None, (self._patterns, self._events))
        return [problem for documents in both for problem in documents.verify()]

    def close(self) -> None:
        """Finish running merges and close; what was appended is already safe."""
        self._drop()
        self._is_writable = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drop(self) -> None:
        both = (self._patterns, self._events)
        self._patterns = self._events = None
        for documents in filter(None, both):
            documents.close()


class _Documents:
    """One tantivy index: documents with an id, and the watermark they reach up to.

    Fields: `words` as they stand, `forms` of them (see terms.py), `id`. The last document of each
    commit also has `mark`, the watermark; a commit without documents adds one that has only that.
    """

    def __init__(self, path: Path, index: tantivy.Index) -> None:
        self._path = path
        self._index = index
        self._schema = index.schema
        self._searcher = index.searcher()
        self._seen: tuple[int, ...] = ()
        self._writer: tantivy.IndexWriter | None = None
        self.watermark = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        with damage_as_error(path):
            index = tantivy.Index.open(str(path))
            # Its own watcher looks every half second; `refresh` looks when it matters.
            index.config_reader("manual")
            documents = cls(path, index)
        documents.refresh()
        return documents

    def append(self, documents: Sequence[tuple[int, str]], end: int) -> None:
        if end <= self.watermark:
            return
        try:
            with failure_as_os_error(self._path):
                writer = self._writer or self._index.writer(_HEAP_BYTES, 1)
                self._writer = writer
                last = tantivy.Document()
                for number, text in documents:
                    document = _document(number, text) if number >= self.watermark else None
                    if document is None:
                        continue
                    if not last.is_empty:
                        writer.add_document(last)
                    last = document
                last.add_unsigned("mark", end)
                last.add_unsigned("has_mark", 1)
                writer.add_document(last)
                writer.commit()
        except BaseException:
            self._abandon_writer()
            raise
        self.refresh()

    def refresh(self) -> None:
        """Load the last commit, if it is another than the one at hand."""
        with damage_as_error(self._path):
            state = os.stat(self._path / "meta.json")
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return
            self._index.reload()
            searcher = self._index.searcher()
            query = tantivy.Query.term_query(self._schema, "has_mark", 1, index_option="basic")
            hits = searcher.search(query, 1, count=False, order_by_field="mark").hits
        self._searcher, self._seen = searcher, seen
        self.watermark = int(hits[0][0]) if hits else 0

    def rank(self, terms: Sequence[QueryTerm], limit: int) -> LexicalHits:
        query = tantivy.Query.boolean_query(
            [(tantivy.Occur.Should, part) for term in terms for part in self._weighted(term)]
        )
        searcher = self._searcher
        with damage_as_error(self._path):
            # A limit of zero panics, and a huge one is allocated at once.
            limit = min(limit, max(1, searcher.num_docs))
            hits = searcher.search(query, limit, count=False).hits
            ids = searcher.fast_field_values("id", [address for _, address in hits])
        found = np.array(ids, np.int64)
        scores = np.array([score for score, _ in hits], np.float32)
        order = np.lexsort((found, -scores))
        return LexicalHits(found[order], scores[order])

    def with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        return self._ids([(tantivy.Occur.Must, self._either(term)) for term in terms])

    def verify(self) -> list[str]:
        try:
            files = [self._path / name for name in segment_files(self._path)]
            problems = [problem for path in files if (problem := file_problem(path))]
            return problems or self._id_problems()
        except CorruptShardError as error:
            return [f"{self._path}: {error.reason}"]

    def close(self) -> None:
        writer, self._writer = self._writer, None
        with failure_as_os_error(self._path):
            if writer is not None:
                writer.wait_merging_threads()

    def _id_problems(self) -> list[str]:
        problems: list[str] = []
        ids = self._ids([])
        if len(ids) and ids[-1] >= self.watermark:
            problems.append(f"{self._path}: holds id {ids[-1]}, beyond its end {self.watermark}")
        if (np.diff(ids) == 0).any():
            problems.append(f"{self._path}: holds an id twice")
        return problems

    def _ids(self, must: list[tuple[tantivy.Occur, tantivy.Query]]) -> NDArray[np.int64]:
        """The ids of all documents that fit, growing; a page at a time, to bound the memory."""
        searcher = self._searcher
        pages: list[NDArray[np.int64]] = []
        start = 0
        while not pages or len(pages[-1]) == _PAGE_IDS:
            number = tantivy.FieldType.Unsigned
            rest = tantivy.Query.range_query(self._schema, "id", number, lower_bound=start)
            query = tantivy.Query.boolean_query([*must, (tantivy.Occur.Must, rest)])
            with damage_as_error(self._path):
                hits = searcher.search(
                    query, _PAGE_IDS, count=False, order_by_field="id", order=tantivy.Order.Asc
                ).hits
            pages.append(np.array([found for found, _ in hits], np.int64))
            start = int(pages[-1][-1]) + 1 if hits else 0
        return np.concatenate(pages)

    def _abandon_writer(self) -> None:
        """Give back the lock, and drop what was added since the last commit."""
        with suppress(OSError):  # The failure that led here is the one to report.
            self.close()

    def _weighted(self, term: QueryTerm) -> Iterator[tantivy.Query]:
        is_word = term.weight >= 1
        if is_word:
            yield self._term("words", term.text)
        weight = FORM_WEIGHT if is_word else term.weight
        yield tantivy.Query.boost_query(self._term("forms", term.text), weight)

    def _either(self, term: str) -> tantivy.Query:
        fields = (self._term("words", term), self._term("forms", term))
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, field) for field in fields])

    def _term(self, field: str, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, field, term, index_option="freq")


def _rank(documents: _Documents | None, terms: Sequence[QueryTerm], limit: int) -> LexicalHits:
    sound = [term for term in terms if _is_storable(term.text)]
    if documents is None or not sound or limit < 1:
        return LexicalHits(np.empty(0, np.int64), np.empty(0, np.float32))
    return documents.rank(sound, limit)


def _with_all(documents: _Documents | None, terms: Sequence[str]) -> NDArray[np.int64]:
    if documents is None or not terms or not all(map(_is_storable, terms)):
        return np.empty(0, np.int64)
    return documents.with_all(terms)


def _is_storable(term: str) -> bool:
    """Whether a document could have this term: lone surrogates have no place in UTF-8."""
    return term.isascii() or term.encode(errors="ignore").decode() == term


def _check_ids(documents: Sequence[tuple[int, str]], end: int) -> None:
    previous = -1
    for number, _ in documents:
        if not previous < number < end:
            raise ValueError(f"id {number} comes after {previous} and before the end {end}")
        previous = number


def _document(number: int, text: str) -> tantivy.Document | None:
    terms = document_terms(text)
    if not terms.words:
        return None
    document = tantivy.Document()
    document.add_unsigned("id", number)
    # Terms hold no white space, so the tokenizer that splits at it gives them back as they are.
    document.add_text("words", " ".join(terms.words))
    document.add_text("forms", " ".join(terms.forms))
    return document


def _schema() -> tantivy.Schema:
    fields = tantivy.SchemaBuilder()
    for name in ("words", "forms"):
        fields.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    fields.add_unsigned_field("id", fast=True)
    fields.add_unsigned_field("mark", fast=True)
    fields.add_unsigned_field("has_mark", indexed=True)
    return fields.build()


def _create(path: Path) -> None:
    """Make an empty index. The stamp comes last: without it the folder counts as having none."""
    try:
        for name in (_PATTERNS, _EVENTS):
            folder = path / name
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            tantivy.Index(_schema(), str(folder))
        write_stamp(path)
    except (OSError, ValueError) as error:
        raise DataDirectoryError(f"cannot make the lexical index {path}: {error}") from error
