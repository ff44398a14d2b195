"""Cut text into the terms that the lexical index stores and looks up.

A run of letters and digits is a word; words joined by `- . : / _ @ #` form a compound. Text gives
its words as they stand, and beside each word its other forms:

1. the compounds that it is part of (`10.0.0.7:443`, beside the words 10.0.0.7 and 443);
2. its parts (`BadUserAccessDenied`: bad, user, access, denied; `SRVE0255E`: srve, 0255);
3. the stem of a plain English word (`leaking`: leak). Codes are never stemmed.

A query's word also knows how else it may be written: shorthand and words written out
(`shorthand.py`), and codes with and without their joiner (`E-1034`, `E1034`).

Everything is case-folded, so a query's word meets a document's in any of these forms. What means
nothing in pieces stays whole: numbers joined by `.` (an address, a version), times, hex and UUIDs.
Chinese, Japanese and Korean, written without spaces, give pairs of characters as parts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from dejalog.indexer.shorthand import spellings
from dejalog.indexer.stemming import stem

#: A longer term is a blob (base64, a minified page) that nobody types; its pieces are still kept.
MAX_TERM_CHARS = 128
#: Bounds the postings of one text; the longest real log lines have about 2,000 words.
MAX_DOCUMENT_TERMS = 16_384
#: A pasted log line with more terms than this is already told apart by the first ones.
MAX_QUERY_TERMS = 256
#: A query with more words is a pasted line, which says the same thing in many ways by itself.
SPELLED_WORDS_MAX = 32
#: A longer query is hardly moved by its codes, and reading it twice takes its time.
PLAIN_CHARS_MAX = 160
#: Text beyond this is not read: it could hardly give terms within `MAX_DOCUMENT_TERMS`.
MAX_TEXT_CHARS = 262_144
#: Stands in the index for whatever was cut off; no text has it, as terms are in lower case.
CUT_TERM = "<CUT>"
#: Logs repeat their words; at about 300 bytes an entry this is at most some 10 MB.
_CACHE_ENTRIES = 32_768

#: Combining marks belong to their letter, but Python's `\w` leaves them out.
_MARKS = "".join(
    chr(point) for point in range(0x300, 0x3100) if unicodedata.category(chr(point))[0] == "M"
)
#: Word processors write the hyphen of `E-1034` as U+2010 or U+2011.
_HYPHENS = str.maketrans("\u2010\u2011", "--")
#: `_` is both within `\w` and a joiner; a longer run of joiners separates.
_COMPOUND = re.compile(rf"[\w{_MARKS}]+(?:[-.:/@#\u2010\u2011]{{1,3}}[\w{_MARKS}]+)*")
_STRONG = re.compile(r"[^:/@#]+")
_WEAK = re.compile(r"[^-._\u2010\u2011]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")

#: Numbers, times, UUIDs and hex; without a prefix hex needs eight characters, digit and letter.
_WHOLE = re.compile(
    r"\d+(?:\.\d+)*|\d{1,2}(?::\d\d){1,2}(?:\.\d+)?"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+"
    r"|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}",
    re.ASCII | re.IGNORECASE,
)
#: `24v`, `10mm`, `2nd`, `3.75`: a quantity or an ordinal, not a code.
_QUANTITY = re.compile(r"(?:0|[1-9]\d{0,3})[a-z]{1,3}|\d+[.:]\d+[a-z]{0,3}", re.IGNORECASE)
#: Dates and times: they are not indexed as values, and nobody means one letter for letter.
_TIME = re.compile(
    r"(?:\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[t_](?=\d))?)?(?:\d{1,2}(?::\d\d){1,2}(?:\.\d+)?)?"
    r"(?:z|[-+]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)
#: The shortest bare number that is meant exactly; 4 digits may well be a year or a speed.
_CODE_DIGITS = 5
#: More parts than this in a word with digits are random letters and digits, not a code's make-up.
_CODE_PARTS = 4
_PLAIN = re.compile(r"[a-z]{3,}")
#: `e-1034`, `e_1034`, `e1034`: letters, then a number of two digits or more.
_LETTERS_NUMBER = re.compile(r"([a-z]{1,5})[-_]?([0-9]{2,}[a-z]?)")

#: What a form adds to the score relative to the word itself. Measured on the shared tasks: full
#: weight lets stems outvote the words as written (nDCG@10 -.016 on raw work orders).
FORM_WEIGHT = 0.5
#: The parts of a code hardly mean anything (`PH639`: ph, 639): at full weight they cost up to .04.
CODE_PART_WEIGHT = 0.2


class QueryTerm(NamedTuple):
    """One term of a query: what to look up, and where it stands in the query's text.

    `is_code` marks what is meant exactly: an error code, a tag, an address, an identifier; its
    pieces are terms of their own and not marked. `weight` is 1 for a word as it stands and less
    for another form of it. `others` are other ways to write it, each a row of terms all of which
    must be there.
    """

    text: str
    is_code: bool
    start: int
    end: int
    weight: float = 1.0
    others: tuple[tuple[str, ...], ...] = ()


class DocumentTerms(NamedTuple):
    """A document's terms in text order: words as they stand, and their other forms.

    A plain word whose stem is the word itself is in both, so that each list is complete.
    `is_cut` if the text was too long: it may have more terms than these.
    """

    words: list[str]
    forms: list[str]
    is_cut: bool


class _Role(IntEnum):
    WORD = 0
    COMPOUND = 1
    PART = 2
    STEM = 3


class _Piece(NamedTuple):
    text: str
    role: _Role
    start: int
    end: int


def index_terms(text: str) -> list[str]:
    """Return all terms of a document in text order, at most `MAX_DOCUMENT_TERMS`."""
    terms: list[str] = []
    for match in _COMPOUND.finditer(text, 0, MAX_TEXT_CHARS):
        terms += _terms(match[0])[0]
        if len(terms) >= MAX_DOCUMENT_TERMS:
            del terms[MAX_DOCUMENT_TERMS:]
            break
    return terms


def document_terms(text: str) -> DocumentTerms:
    """Return the terms of a document as two lists of at most `MAX_DOCUMENT_TERMS`."""
    words: list[str] = []
    forms: list[str] = []
    for match in _COMPOUND.finditer(text, 0, MAX_TEXT_CHARS):
        compound = match[0]
        if _WHOLE.fullmatch(compound) and len(compound) <= MAX_TERM_CHARS:
            words.append(compound.lower())  # an id is seldom seen again: not worth a cache entry
        else:
            _, some_words, some_forms = _terms(compound)
            words += some_words
            forms += some_forms
        if len(words) >= MAX_DOCUMENT_TERMS or len(forms) >= MAX_DOCUMENT_TERMS:
            break
    is_cut = len(text) > MAX_TEXT_CHARS or max(len(words), len(forms)) >= MAX_DOCUMENT_TERMS
    return DocumentTerms(words[:MAX_DOCUMENT_TERMS], forms[:MAX_DOCUMENT_TERMS], is_cut)


def word_terms(text: str) -> list[str]:
    """Return the words of a text as they stand: what any text that contains it has, too.

    A compound is no good for that: `ts-order-service` is not a term of `ts-order-service-v2`.
    """
    return document_terms(text).words


def query_terms(text: str) -> list[QueryTerm]:
    """Return the terms of a query, each text once, at most `MAX_QUERY_TERMS`, in text order."""
    terms: dict[str, QueryTerm] = {}
    for match in _COMPOUND.finditer(text, 0, MAX_TEXT_CHARS):
        for term in _compound_query_terms(match[0], match.start()):
            known = terms.get(term.text)
            if known is None:
                terms[term.text] = term
            elif (term.weight, term.is_code) > (known.weight, known.is_code):
                terms[term.text] = term._replace(is_code=term.is_code or known.is_code)
        if len(terms) >= MAX_QUERY_TERMS:
            break
    return _spelled(list(terms.values())[:MAX_QUERY_TERMS])


def without_codes(text: str) -> str:
    """Return a short query without its code-shaped words; empty if it has none, or only these."""
    if len(text) > PLAIN_CHARS_MAX:
        return ""
    plain, has_code = list(text), False
    for match in _COMPOUND.finditer(text):
        if is_code_shaped(match[0].strip("_")):
            plain[match.start() : match.end()] = " " * (match.end() - match.start())
            has_code = True
    has_words = any(letter.isalpha() for letter in plain)
    return "".join(plain) if has_code and has_words else ""


def is_code_shaped(token: str) -> bool:
    """Say whether a word or compound looks like a code, a tag, an address or an identifier."""
    if token.isdecimal():
        return len(token) >= _CODE_DIGITS
    if any(character.isdigit() for character in token):
        return not (_QUANTITY.fullmatch(token) or _TIME.fullmatch(token))
    words = _WEAK.findall(token)
    if len(words) > 2 or any(joiner in token for joiner in "_@#"):
        return True
    return not _UNSPACED.search(token) and any(len(_parts(word)) > 2 for word in words)


def _compound_query_terms(compound: str, offset: int) -> Iterator[QueryTerm]:
    pieces = _pieces(compound)
    if not pieces:
        return
    has_digit = any(character.isdigit() for character in compound)
    is_code = is_code_shaped(compound.strip("_"))
    for piece in pieces:
        weight = 1.0
        if piece.role != _Role.WORD:
            is_part_of_code = piece.role == _Role.PART and has_digit
            weight = CODE_PART_WEIGHT if is_part_of_code else FORM_WEIGHT
        is_whole = piece.end - piece.start == pieces[0].end - pieces[0].start
        marked = is_code and is_whole and piece.role in (_Role.WORD, _Role.COMPOUND)
        yield QueryTerm(piece.text, marked, offset + piece.start, offset + piece.end, weight)


def _spelled(terms: list[QueryTerm]) -> list[QueryTerm]:
    """The terms with other ways to write them."""
    words = [term.text for term in terms if term.weight >= 1]
    if len(words) > SPELLED_WORDS_MAX:
        return terms
    places = {word: place for place, word in enumerate(words)}
    spelled = []
    for term in terms:
        if term.is_code:
            others = _code_spellings(term.text)
        elif term.weight >= 1:
            others = spellings(words, places[term.text])
        else:  # `c/o` is a compound, and its words `c` and `o` stand for nothing.
            others = spellings([term.text], 0) if "/" in term.text or "-" in term.text else ()
        spelled.append(term._replace(others=others))
    return spelled


def _code_spellings(code: str) -> tuple[tuple[str, ...], ...]:
    match = _LETTERS_NUMBER.fullmatch(code)
    if match is None:
        return ()
    ways = (match[1] + joiner + match[2] for joiner in ("", "-", "_"))
    return tuple((way,) for way in ways if way != code)


@lru_cache(maxsize=_CACHE_ENTRIES)
def _terms(compound: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return a compound's terms: all of them (a word that is its own stem once), words, forms."""
    pieces = _pieces(compound)
    words = tuple(piece.text for piece in pieces if piece.role == _Role.WORD)
    forms = tuple(piece.text for piece in pieces if piece.role != _Role.WORD)
    known = set(words)
    every = tuple(
        piece.text for piece in pieces if piece.role == _Role.WORD or piece.text not in known
    )
    return every, words, forms


def _pieces(compound: str) -> list[_Piece]:
    """Return the terms of one compound with their offsets in it, the whole first."""
    whole = compound.strip("_")
    if not whole:
        return []
    start = compound.index(whole)
    pieces: list[_Piece] = []
    for low, high, role in _spans(whole):
        text = _folded(whole[low:high])
        if not text or len(text) > MAX_TERM_CHARS:
            continue
        pieces.append(_Piece(text, role, start + low, start + high))
        if role in (_Role.WORD, _Role.PART) and _is_plain(whole[low:high], text):
            stemmed = stem(text)
            if role == _Role.WORD or stemmed != text:
                form = _Role.STEM if role == _Role.WORD else _Role.PART
                pieces.append(_Piece(stemmed, form, start + low, start + high))
    return pieces


def _spans(token: str) -> Iterator[tuple[int, int, _Role]]:
    if _WHOLE.fullmatch(token):
        yield 0, len(token), _Role.WORD
        return
    pieces = [(match.start(), match.end()) for match in _STRONG.finditer(token)]
    if len(pieces) > 1:
        yield 0, len(token), _Role.COMPOUND
    for low, high in pieces:
        piece = token[low:high]
        words = [(match.start(), match.end()) for match in _WEAK.finditer(piece)]
        if len(words) == 1 or _WHOLE.fullmatch(piece):
            words = [(0, len(piece))]
        else:
            yield low, high, _Role.COMPOUND
        for begin, end in words:
            yield low + begin, low + end, _Role.WORD
            for left, right in _parts(piece[begin:end]):
                yield low + begin + left, low + begin + right, _Role.PART


def _parts(word: str) -> list[tuple[int, int]]:
    """Return the spans between case and digit boundaries, or the pairs of an unspaced script.

    Single letters are left out.
    """
    if word.islower() and word.isascii() and word.isalpha():  # most words
        return []
    if _UNSPACED.search(word):
        return [(at, at + 2) for at in range(len(word) - 1)]
    if _WHOLE.fullmatch(word):
        return []
    cuts = [0, *(at for at in range(1, len(word)) if _is_boundary(word, at)), len(word)]
    has_digit = any(character.isdigit() for character in word)
    if len(cuts) == 2 or (has_digit and len(cuts) - 1 > _CODE_PARTS):
        return []
    return [(low, high) for low, high in pairwise(cuts) if high - low > 1 or word[low].isdigit()]


def _is_boundary(word: str, at: int) -> bool:
    left, right = word[at - 1], word[at]
    if left.isdigit() != right.isdigit():
        return True
    if right.isupper():
        return left.islower() or (left.isupper() and word[at + 1 : at + 2].islower())
    return False


def _is_plain(raw: str, folded: str) -> bool:
    return _PLAIN.fullmatch(folded) is not None and not _parts(raw)


def _folded(raw: str) -> str:
    if raw.isascii():
        return raw.lower()
    text = unicodedata.normalize("NFKC", raw.translate(_HYPHENS)).casefold()
    return "".join(text.split())  # a few characters fold to one with a space in it
