"""What of an event's text is worth showing: the words that met the query, and what is around them.

1. Evidence speaks of word pieces; people read words. Pieces are joined to the words they are in.
2. A long text is cut to its beginning and to the surroundings of those words.
3. Characters that steer a terminal are spelled out: log text comes from strangers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dejalog.indexer.hit import Evidence

#: Every query word has a best match, however bad. With the bundled model 2 % of the words of a
#: maintenance note reach this in an unrelated note, and a third in the same note reworded.
SIMILARITY_MIN = 0.4
#: How much of its line is shown on either side of a matched word.
_AROUND_CHARACTERS = 60
#: A gap no wider than this is shown: saying that it is hidden takes half as much room, and the end
#: of an error often names who failed.
_GAP_CHARACTERS = 60
#: How far a cut moves to fall between words.
_SNAP_CHARACTERS = 16

#: The first places of a word show it; a stack trace may have it in every line.
_MARKS_PER_WORD = 3

#: Shorter words (of, in, to) begin too many others.
_TYPED = re.compile(r"[^\W_]{3,}")
_WORD = re.compile(r"\w")
#: Control characters (without newline), line separators, marks that reverse the order of what is
#: written or cannot be seen, halves of surrogate pairs, tags.
_STEERING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE_END = re.compile(r"\r+(?=\n|\Z)")


@dataclass(frozen=True, slots=True)
class WordPair:
    """A query word and the word of the text that met it best; offsets and `share` as in Evidence.

    The share is that of all pieces of the query word, whatever they met.
    """

    query_start: int
    query_end: int
    text_start: int
    text_end: int
    similarity: float
    is_exact: bool
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of the text to be made bright: the very letters of the query, or their meaning."""

    start: int
    end: int
    is_exact: bool


def word_pairs(query: str, text: str, evidence: Iterable[Evidence]) -> list[WordPair]:
    """Returns the pairs of whole words, in query order.

    A query word of several pieces counts for a word of the text as much as all of its pieces
    together met that word. Pieces of what was matched exactly as a whole say nothing new.
    """
    exact: dict[tuple[int, int], WordPair] = {}
    pieces: dict[tuple[int, int], list[tuple[tuple[int, int], Evidence]]] = {}
    for each in evidence:
        asked = _whole_word(query, each.query_start, each.query_end)
        found = _whole_word(text, each.text_start, each.text_end)
        if asked is None or found is None:
            continue
        is_exact = query[slice(*asked)].casefold() == text[slice(*found)].casefold()
        if is_exact and each.similarity >= 1.0 and not each.share:
            exact.setdefault(asked, WordPair(*asked, *found, 1.0, is_exact=True))
        else:
            pieces.setdefault(asked, []).append((found, each))
    pairs: list[WordPair] = []
    for asked, met in pieces.items():
        whole = next((e for e in exact if e[0] <= asked[0] and asked[1] <= e[1]), None)
        if whole is None:
            pairs.append(_best_pair(query, text, asked, met))
        else:
            share = exact[whole].share + sum(each.share for _, each in met)
            exact[whole] = replace(exact[whole], share=share)
    pairs += exact.values()
    return sorted(pairs, key=lambda pair: (pair.query_start, pair.query_end))


def marks_of(
    query: str, text: str, pairs: Iterable[WordPair], quoted: Iterable[str] = ()
) -> list[Mark]:
    """Returns what to make bright, in text order and without overlaps; exact ones win.

    The query's own words are marked wherever they begin a word: the exact channel has read the
    whole text, of which evidence covers only as much as a model takes in.
    """
    marks = [
        Mark(pair.text_start, pair.text_end, pair.is_exact)
        for pair in pairs
        if pair.is_exact or pair.similarity >= SIMILARITY_MIN
    ]
    for needle in quoted:
        marks += _found(re.escape(needle), text)
    words = sorted({word.casefold() for word in _TYPED.findall(query)}, key=len, reverse=True)
    if words:
        marks += _found(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, words))})", text)
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (not m.is_exact, m.start - m.end, m.start)):
        if all(mark.end <= other.start or other.end <= mark.start for other in kept):
            kept.append(mark)
    return sorted(kept, key=lambda mark: mark.start)


def shown_ranges(
    text: str, marks: Sequence[Mark], *, characters: int, lines: int
) -> list[tuple[int, int]]:
    """Returns the parts of the text to show, in order, of about this many characters and lines."""
    end = len(text.rstrip())
    if end <= characters and text.count("\n", 0, end) < lines:
        return [(0, end)]
    windows: list[tuple[int, int]] = []
    room = characters * 2 // 3
    for mark in sorted(marks, key=lambda m: (not m.is_exact, m.start)):
        if any(low <= mark.start and mark.end <= high for low, high in windows):
            continue
        low, high = _window(text, mark, end)
        room -= high - low
        if room < 0 or len(windows) >= lines - 1:
            break
        windows.append((low, high))
    used = sum(high - low for low, high in windows)
    head = _head_end(text, end, characters - used, max(1, lines - len(windows)))
    return _joined([(0, head), *windows], end)


def visible(text: str) -> str:
    """Returns the text with everything that could steer a terminal spelled out, as in \\x1b."""
    return _STEERING.sub(_spelled, _LINE_END.sub("", text))


def visible_line(text: str) -> str:
    """Returns the text as `visible` does, on one line."""
    return visible(text).replace("\n", " ")


def grouped(number: int) -> str:
    """Returns a number with its digits in groups of three: `272 399`."""
    return f"{number:,}".replace(",", " ")


def _found(needle: str, text: str) -> Iterator[Mark]:
    """The first few places of each text that the needle matches."""
    counts: Counter[str] = Counter()
    for match in re.finditer(needle, text, re.IGNORECASE):
        found = match[0].casefold()
        counts[found] += 1
        if counts[found] <= _MARKS_PER_WORD:
            yield Mark(match.start(), match.end(), is_exact=True)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 9:
        return "    "
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _whole_word(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span, grown to whole words; None if it is outside of the text or only punctuation."""
    if not 0 <= start < end <= len(text) or not _WORD.search(text, start, end):
        return None
    while start > 0 and _WORD.match(text, start) and _WORD.match(text, start - 1):
        start -= 1
    while end < len(text) and _WORD.match(text, end) and _WORD.match(text, end - 1):
        end += 1
    return start, end


def _best_pair(
    query: str,
    text: str,
    asked: tuple[int, int],
    met: Sequence[tuple[tuple[int, int], Evidence]],
) -> WordPair:
    totals: dict[tuple[int, int], float] = {}
    for found, each in met:
        totals[found] = totals.get(found, 0.0) + each.similarity
    best = max(totals, key=lambda found: totals[found])
    is_exact = query[slice(*asked)].casefold() == text[slice(*best)].casefold()
    share = sum(each.share for _, each in met)
    return WordPair(*asked, *best, totals[best] / len(met), is_exact, share)


def _window(text: str, mark: Mark, end: int) -> tuple[int, int]:
    """The mark with what is around it in its line."""
    line_start = text.rfind("\n", 0, mark.start) + 1
    line_end = text.find("\n", mark.end)
    line_end = end if line_end < 0 else min(line_end, end)
    low, high = max(line_start, mark.start - _AROUND_CHARACTERS), mark.end + _AROUND_CHARACTERS
    if low > line_start:
        blank = text.find(" ", low, min(low + _SNAP_CHARACTERS, mark.start))
        low = blank + 1 if blank >= 0 else low
    if high >= line_end:
        return low, max(line_end, mark.end)
    return low, _snapped_end(text, high, mark.end)


def _head_end(text: str, end: int, characters: int, lines: int) -> int:
    at = 0
    for _ in range(lines):
        newline = text.find("\n", at, end)
        if newline < 0 or newline > characters:
            if end <= characters:
                return end
            return at - 1 if at else _snapped_end(text, characters, 0)
        at = newline + 1
    return at - 1


def _snapped_end(text: str, end: int, end_min: int) -> int:
    blank = text.rfind(" ", max(end_min, end - _SNAP_CHARACTERS), end)
    return blank if blank >= 0 else end


def _joined(ranges: Iterable[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low - joined[-1][1] <= _GAP_CHARACTERS:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    if end - joined[-1][1] <= _GAP_CHARACTERS:
        joined[-1] = (joined[-1][0], end)
    return joined
