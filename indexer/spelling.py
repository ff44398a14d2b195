"""Which of an index's words somebody may have meant by a word that it does not have.

1. Words one edit away, or two for longer words; an edit is a letter too many, missing, wrong, or
   changed places with its neighbour (Damerau, CACM 7(3), 1964, the restricted distance).
2. Words with the same consonants: `strng` for `steering`, `hydrlc` for `hydraulic`. That is how
   words are shortened that no table holds.

The first letter has to be right: it nearly always is, and so an index need not list all its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: A shorter word is a letter or two away from many others.
LETTERS_MIN = 4
#: From this length on two edits are allowed.
TWO_EDITS_LETTERS = 8
#: More guesses than this are no guesses.
NEAREST_MAX = 5
#: Fewer consonants are shared by too many words (`pump`, `pomp`).
_SKELETON_MIN = 3

_PLAIN = re.compile(r"[a-z]+")
_VOWELS = re.compile(r"(?<!^)[aeiou]")
_DOUBLED = re.compile(r"(.)\1+")


def is_guessable(word: str) -> bool:
    """Returns whether other words may be meant by this one: a plain word of some length."""
    return len(word) >= LETTERS_MIN and _PLAIN.fullmatch(word) is not None


def nearest(word: str, known: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Returns which of the known words, each with its frequency, may be meant by `word`.

    Those with the fewest edits only, the most frequent first, at most NEAREST_MAX.
    """
    most = 1 if len(word) < TWO_EDITS_LETTERS else 2
    letters, skeleton = set(word), _skeleton(word)
    found: list[tuple[int, int, str]] = []
    for other, frequency in known:
        if other == word or other[:1] != word[:1] or not _PLAIN.fullmatch(other):
            continue
        is_short = len(skeleton) >= _SKELETON_MIN and _skeleton(other) == skeleton
        if is_short:
            found.append((1, -frequency, other))
        elif abs(len(other) - len(word)) <= most and len(letters ^ set(other)) <= 2 * most:
            edits = distance(word, other, most)
            if edits <= most and len(other) >= LETTERS_MIN:
                found.append((edits, -frequency, other))
    fewest = min((edits for edits, _, _ in found), default=0)
    return tuple(other for edits, _, other in sorted(found) if edits == fewest)[:NEAREST_MAX]


def distance(left: str, right: str, most: int) -> int:
    """Returns the number of edits from one word to the other; above `most` it may be too low."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            edits = min(above[column] + 1, current[-1] + 1, above[column - 1] + (a != b))
            if row > 1 and column > 1 and (a, left[row - 2]) == (right[column - 2], b):
                edits = min(edits, before[column - 2] + 1)
            current.append(edits)
        if min(current) > most:
            return most + 1
        before, above = above, current
    return above[-1]


def _skeleton(word: str) -> str:
    """The first letter and the consonants, doubled ones once."""
    return _DOUBLED.sub(r"\1", _VOWELS.sub("", word))
