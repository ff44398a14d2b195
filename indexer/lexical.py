"""The exact-word channel of one shard: BM25 over its patterns and over its events' own values.

What repeats is indexed once: a document per pattern (its text without placeholders) and a document
per event (the values that were masked), so that together they cover the raw text.

1. Each of the two is one tantivy index, because BM25's statistics are per index.
2. Every commit holds the documents and the watermark they reach up to, in one step. A crash leaves
   the last commit of each; ids below the watermark are skipped, so adding again does no harm.
3. Patterns are committed before their events, and loaded after them: whatever happens between two
   commits or two loads, nobody sees an event indexed whose pattern is not.
4. All of it is derived. What is damaged, or was made by other rules, raises CorruptShardError, and
   may be deleted and added anew.

The library was chosen in docs/adr/0001-lexical-library.md, and only this module and
lexical_view.py import it. A reader works while another process writes. tantivy panics on some
damage; that is caught here too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

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
from dejalog.indexer.lexical_view import DocumentsView, LexicalHits, LexicalView
from dejalog.indexer.terms import CUT_TERM, QueryTerm, document_terms

__all__ = ["LexicalHits", "LexicalIndex", "LexicalView"]

_PATTERNS, _EVENTS = "patterns", "events"

#: The smallest buffer that tantivy takes; a larger one only delays the write of a large batch.
_HEAP_BYTES = 15_000_000


class LexicalIndex:
    """The lexical index in one folder; a context manager.

    One process may have it open for writing, any number for reading. Not for use by several
    threads at once, except that everything that reads may run while another thread refreshes.
    The methods that read ask the newest view; what needs several answers takes one `view()`.
    """

    def __init__(self, path: Path, *, is_writable: bool) -> None:
        self._path = path
        self._is_writable = is_writable
        self._stamp = ""
        self._patterns: _Documents | None = None
        self._events: _Documents | None = None
        self._view = LexicalView()

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

    def view(self) -> LexicalView:
        """Return the state as of the last refresh or append; costs nothing."""
        return self._view

    @property
    def patterns_indexed(self) -> int:
        """The watermark: all patterns below this id are in the index."""
        return self._view.patterns_indexed

    @property
    def events_indexed(self) -> int:
        """The watermark: all events below this id are in the index."""
        return self._view.events_indexed

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
        without a term is not stored. Patterns and events are each all or nothing, patterns first:
        events are never seen without the patterns that were appended with them. Raises OSError if
        it cannot be written; nothing more of it is then in the index.
        """
        if not (self._is_writable and self._patterns and self._events):
            raise ValueError(f"{self._path} is open for reading only")
        _check_ids(patterns, patterns_end)
        _check_ids(events, events_end)
        try:
            self._patterns.append(patterns, patterns_end)
            self._events.append(events, events_end)
        finally:
            self._view = LexicalView(self._patterns.view, self._events.view)

    def refresh(self) -> None:
        """See what has been committed since; cheap if nothing has."""
        while True:
            stamp = read_stamp(self._path)
            try:
                self._load(stamp)
            except CorruptShardError:
                if read_stamp(self._path) == stamp:
                    raise
            else:
                # If it was made anew meanwhile, one half may be of the index before.
                if read_stamp(self._path) == stamp:
                    return

    def rank_patterns(self, terms: Sequence[QueryTerm], *, limit: int) -> LexicalHits:
        """Return the best `limit` patterns that have any of the terms."""
        return self._view.rank_patterns(terms, limit=limit)

    def rank_events(self, terms: Sequence[QueryTerm], *, limit: int) -> LexicalHits:
        """Return the best `limit` events whose values have any of the terms."""
        return self._view.rank_events(terms, limit=limit)

    def patterns_with(self, term: str) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all patterns that have the term in any form."""
        return self._view.patterns_with(term)

    def events_with(self, term: str) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all events whose values have the term."""
        return self._view.events_with(term)

    def patterns_with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all patterns that have every term; none for none."""
        return self._view.patterns_with_all(terms)

    def events_with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all events that have every term; none for none."""
        return self._view.events_with_all(terms)

    def verify(self) -> list[str]:
        """Return what is wrong, in sentences: checksums of every file, ids and watermarks."""
        both = filter(None, (self._patterns, self._events))
        return [problem for documents in both for problem in documents.verify()]

    def damaged_files(self) -> list[str]:
        """Return what `verify` does, less the ids, which only a fault of ours could get wrong.

        It reads every file once, about 1 s per GB; listing a million ids alone takes half of that.
        """
        both = filter(None, (self._patterns, self._events))
        return [problem for documents in both for problem in documents.damaged_files()]

    def close(self) -> None:
        """Finish running merges and close; what was appended is already safe."""
        self._drop()
        self._view = LexicalView()
        self._is_writable = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, stamp: str) -> None:
        # Events first: a commit between the two loads then adds patterns, which are no harm.
        if stamp == self._stamp and self._patterns and self._events:
            self._events.refresh()
            self._patterns.refresh()
            self._view = LexicalView(self._patterns.view, self._events.view)
            return
        self._drop()
        view = LexicalView()
        if stamp:
            self._events = _Documents.open(self._path / _EVENTS)
            self._patterns = _Documents.open(self._path / _PATTERNS)
            view = LexicalView(self._patterns.view, self._events.view)
        self._view, self._stamp = view, stamp

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
        self._seen: tuple[int, ...] = ()
        self._writer: tantivy.IndexWriter | None = None
        self.view = DocumentsView(path, index.schema, index.searcher(), watermark=0)

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
        if end <= self.view.watermark:
            return
        try:
            with failure_as_os_error(self._path):
                writer = self._writer or self._index.writer(_HEAP_BYTES, 1)
                self._writer = writer
                last = tantivy.Document()
                for number, text in documents:
                    document = _document(number, text) if number >= self.view.watermark else None
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
            schema = self._index.schema
            query = tantivy.Query.term_query(schema, "has_mark", 1, index_option="basic")
            hits = searcher.search(query, 1, count=False, order_by_field="mark").hits
        watermark = int(hits[0][0]) if hits else 0
        self.view, self._seen = DocumentsView(self._path, schema, searcher, watermark), seen

    def verify(self) -> list[str]:
        try:
            return self.damaged_files() or self._id_problems()
        except CorruptShardError as error:
            return [f"{self._path}: {error.reason}"]

    def damaged_files(self) -> list[str]:
        try:
            files = [self._path / name for name in segment_files(self._path)]
        except CorruptShardError as error:
            return [f"{self._path}: {error.reason}"]
        return [problem for path in files if (problem := file_problem(path))]

    def close(self) -> None:
        writer, self._writer = self._writer, None
        with failure_as_os_error(self._path):
            if writer is not None:
                writer.wait_merging_threads()

    def _id_problems(self) -> list[str]:
        problems: list[str] = []
        ids, end = self.view.with_all([]), self.view.watermark
        if len(ids) and ids[-1] >= end:
            problems.append(f"{self._path}: holds id {ids[-1]}, beyond its end {end}")
        if (np.diff(ids) == 0).any():
            problems.append(f"{self._path}: holds an id twice")
        return problems

    def _abandon_writer(self) -> None:
        """Give back the lock, and drop what was added since the last commit."""
        with suppress(OSError):  # The failure that led here is the one to report.
            self.close()


def _check_ids(documents: Sequence[tuple[int, str]], end: int) -> None:
    previous = -1
    for number, _ in documents:
        if not previous < number < end:
            raise ValueError(f"id {number} comes after {previous} and before the end {end}")
        previous = number


def _document(number: int, text: str) -> tantivy.Document | None:
    terms = document_terms(text)
    if not (terms.words or terms.is_cut):
        return None
    document = tantivy.Document()
    document.add_unsigned("id", number)
    # Terms hold no white space, so the tokenizer that splits at it gives them back as they are.
    document.add_text("words", " ".join(terms.words))
    forms = [*terms.forms, CUT_TERM] if terms.is_cut else terms.forms
    document.add_text("forms", " ".join(forms))
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
