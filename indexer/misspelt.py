"""A question -> the question as it was meant: misspelt words are read as words of the index.

The word channel guesses on its own what an unknown word may be (`lexical_view.py`). The model reads
what was typed, and of `hidraulic` it sees `hid` and `ra`: so a word is read as another one if

1. no shard has it, in any form, and it is no shorthand and nothing that shorthand stands for;
2. the model does not have it whole, nor its stem: what it has is a word that is merely absent;
3. it clearly is a misspelling (`spelling.meant`) of a word of the index that the model has whole,
   or that several patterns have.

A code, a word within a compound, a word in quotes, a pasted line and a long question are read as
they are, and so is a question with much that is unknown: that is about something else. Words that
the word index has yet to take in, a moment after they were stored, count as unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dejalog.indexer.encode import EncodedQuery, TokenSpan
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.hit import Misspelling
from dejalog.indexer.lexical_view import GUESSED_WORDS_MAX
from dejalog.indexer.opened import Held
from dejalog.indexer.patience import Patience
from dejalog.indexer.query import Query, is_pasted
from dejalog.indexer.render import Rendered, replaced
from dejalog.indexer.spelling import SWAPPED_LETTERS_MIN, is_guessable, meant
from dejalog.indexer.stemming import stem
from dejalog.indexer.terms import SPELLED_WORDS_MAX, QueryTerm, query_terms, word_terms

#: A word that so many patterns have is taken for one, whether the model has it whole or not: of
#: 2,900 misspelt words 1,810 are then read right and 7 wrong, without it 1,575 and 11.
COMMON = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """The words of a question as they are read, with their way back to the words as typed."""

    rendered: Rendered
    misspellings: tuple[Misspelling, ...] = ()

    @property
    def words(self) -> str:
        """What is encoded and looked up."""
        return self.rendered.text

    def terms(self) -> tuple[QueryTerm, ...]:
        """Returns the terms, where they were typed."""
        found = query_terms(self.words)
        if not self.misspellings:
            return tuple(found)
        spans = [self.rendered.to_original(term.start, term.end) for term in found]
        return tuple(t._replace(start=a, end=b) for t, (a, b) in zip(found, spans, strict=True))

    def as_typed(self, encoded: EncodedQuery) -> EncodedQuery:
        """Returns the vectors of the words as read, with spans that point at those as typed."""
        if not self.misspellings:
            return encoded
        spans = (span and TokenSpan(*self.rendered.to_original(*span)) for span in encoded.spans)
        return replace(encoded, spans=tuple(spans))


#: Of a question without words.
AS_TYPED = Reading(replaced("", ()))


def read_words(
    query: Query, held: Held, is_word: Callable[[str], bool], patience: Patience
) -> Reading:
    """Returns how the words of a query are read.

    `is_word` tells whether the model has a word whole. When the patience is over, nothing more is
    looked up and words are read as they are. A damaged word index is set aside.
    """
    unknown = [term.text for term in _unknown(query, held) if not _is_real(term.text, is_word)]
    read: dict[str, str] = {}
    for word in unknown if len(unknown) <= GUESSED_WORDS_MAX else ():
        if found := _meant(word, held, is_word, patience):
            read[word] = found
    changes = _changes(query.words, read)
    typed = {query.words[start:end]: word for start, end, word in changes}
    return Reading(
        replaced(query.words, changes), tuple(Misspelling(*each) for each in typed.items())
    )


def _unknown(query: Query, held: Held) -> list[QueryTerm]:
    """The plain words that no shard has; none where words are not to be guessed at."""
    terms = query_terms(query.words)
    if sum(term.weight >= 1 for term in terms) > SPELLED_WORDS_MAX:
        return []
    quoted = {word for text in query.exact for word in word_terms(text)}
    found = [
        term
        for term in terms
        if term.weight >= 1
        and not (term.is_code or term.others or term.text in quoted)
        and len(term.text) >= SWAPPED_LETTERS_MIN
        and is_guessable(term.text)
        and not _is_known(term.text, held)
    ]
    return [] if found and is_pasted(query.words) else found


def _is_known(word: str, held: Held) -> bool:
    for shard in reversed(held.shards):  # The newest one is the likeliest to have it.
        try:
            if shard.lexical.knows(word):
                return True
        except CorruptShardError as error:
            held.set_aside(error)
    return False


def _is_real(word: str, is_word: Callable[[str], bool]) -> bool:
    """Whether the model has a word, or what it is a form of."""
    root = stem(word)
    return any(map(is_word, dict.fromkeys((word, root, f"{root}e", f"{root.removesuffix('i')}y"))))


def _meant(word: str, held: Held, is_word: Callable[[str], bool], patience: Patience) -> str | None:
    """The word of all shards that is clearly meant, None if there is none or no time to look."""
    words: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    for shard in held.shards:
        if patience.is_over:
            return None
        try:
            like = shard.lexical.words_like(word)
        except CorruptShardError as error:
            held.set_aside(error)
            continue
        for counts, found in ((words, like.words), (forms, like.forms)):
            for other, frequency in found:
                counts[other] += frequency
    known = (words | forms).items()  # of a word that is a form, too, the higher frequency
    return meant(word, known, lambda other: words[other] >= COMMON or is_word(other))


def _changes(text: str, read: dict[str, str]) -> Sequence[tuple[int, int, str]]:
    """Where each word stands for itself, and not within a compound or a name in CamelCase."""
    if not read:
        return ()
    alone = re.compile(
        rf"(?<![^\s(\['\"])(?:{'|'.join(map(re.escape, read))})(?![^\s)\]'\",;.:!?])",
        re.IGNORECASE,
    )
    return [
        (match.start(), match.end(), read[match[0].lower()])
        for match in alone.finditer(text)
        if match[0].islower() or match[0].isupper() or match[0].istitle()
    ]
