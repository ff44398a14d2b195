"""A daemon ended under load with `IndexError: string index out of range`, out of the stemmer.

Its search threads shared one stemmer, which keeps the word that it works on in itself.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from dejalog.indexer.stemming import stem

WORDS = ["leaking", "bearings", "hydraulically", "overheated", "generalizations", "trips", "as"]


@pytest.mark.parametrize(("word", "expected"), [("leaking", "leak"), ("bearings", "bear")])
def test_inflected_words_have_the_stem_of_their_word(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_threads_that_stem_at_once_get_the_stems_of_their_own_words() -> None:
    expected = [stem(word) for word in WORDS]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            rounds = pool.map(lambda _: [stem(word) for word in WORDS], range(2_000))
            assert all(found == expected for found in rounds)
    finally:
        sys.setswitchinterval(interval)
