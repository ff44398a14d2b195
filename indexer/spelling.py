"""Which of an index's words somebody may have meant by a word that it does not have.

1. Words one edit away, or two for longer words; an edit is a letter too many, missing, wrong, or
   changed places with its neighbour (Damerau, CACM 7(3), 1964, the restricted distance).
2. Words with the same consonants: `strng` for `steering`, `hydrlc` for `hydraulic`. That is how
   words are shortened that no table holds.

The first letter has to be right: it nearly always is, and so an index need not list all its words.

Such a guess only adds to what else is found. `meant` is stricter, for it decides what a question is
about: of 5,000 English words that an index of work orders does not have it takes 6 to 35 for
others, and of 2,900 words with one random edit some 1,850 for the right word and 20 for another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

#: A shorter word is a letter or two away from many others.
LETTERS_MIN = 4
#: From this length on two edits are allowed.
TWO_EDITS_LETTERS = 8
#: More guesses than this are no guesses.
NEAREST_MAX = 5
#: Fewer consonants are shared by too many words (`pump`, `pomp`).
_SKELETON_MIN = 3
#: As many consonants are clear (`hydrlc`); three are not (`strt`: start, street).
_CLEAR_SKELETON = 4
#: Two letters that changed places make another word that seldom that five letters are enough.
SWAPPED_LETTERS_MIN = 5
#: Shorter words with another edit are too often words of their own (`lint`, `line`).
MEANT_LETTERS_MIN = 6
#: At the end of a shorter word another letter makes another form (`fitter`, `fitted`).
_ENDING = 2
_ENDING_LETTERS = 8

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


def meant(
    word: str, known: Iterable[tuple[str, int]], is_word: Callable[[str], bool]
) -> str | None:
    """Returns the word that `word` clearly is a misspelling of, None if there is none.

    It is one edit away, or `word` is what is left of it without some vowels; `is_word` tells which
    of the known words, each with its frequency, are no misspellings themselves. Letters that only
    changed places come first, then one edit that leaves the consonants, then any edit, then vowels
    left out; of equals the most frequent.
    """
    if len(word) < SWAPPED_LETTERS_MIN:
        return None
    found = []
    for other, frequency in known:
        if other[:1] == word[:1] and (rank := _rank(word, other)) and is_word(other):
            found.append((rank, -frequency, other))
    return min(found)[2] if found else None


def _rank(typed: str, other: str) -> int:
    """How clearly one word is a misspelling of the other, 1 the most clearly, 0 if it is not."""
    longer = len(other) - len(typed)
    if len(other) < LETTERS_MIN or longer < -1 or not _PLAIN.fullmatch(other):
        return 0
    if longer <= 1 and len(set(typed) ^ set(other)) <= 2 and distance(typed, other, 1) == 1:
        if sorted(typed) == sorted(other):
            return 1
        is_heard = _skeleton(typed) == _skeleton(other)  # as `senser`, `leeking`, `repplace` are
        at_end = typed.startswith(other[:-_ENDING]) and not (is_heard and longer == 0)
        is_form = at_end and longer < 1 and len(typed) < _ENDING_LETTERS
        return 0 if is_form or len(typed) < MEANT_LETTERS_MIN else 3 - is_heard
    if longer < 1 or set(typed) - set(other):
        return 0
    return 4 * (len(_skeleton(typed)) >= _CLEAR_SKELETON and _is_without_vowels(typed, other))


def _is_without_vowels(typed: str, other: str) -> bool:
    """Whether some vowels are all that one word lacks of the other."""
    letters = iter(typed)
    wanted = next(letters, "")
    for letter in other:
        if letter == wanted:
            wanted = next(letters, "")
        elif letter not in "aeiou":
            return False
    return not wanted


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
