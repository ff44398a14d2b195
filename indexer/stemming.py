"""The stem of a plain English word (`leaking`: leak)."""

from __future__ import annotations

import threading

import snowballstemmer


class _Stemmers(threading.local):
    """One for each thread: a stemmer keeps the word in itself while it works."""

    def __init__(self) -> None:
        self.stem_word = snowballstemmer.stemmer("english").stemWord


_stemmers = _Stemmers()


def stem(word: str) -> str:
    """Returns the word's stem; the word is in lower case."""
    found: str = _stemmers.stem_word(word)
    return found
