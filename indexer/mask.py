"""Mask: event text -> pattern, with a typed placeholder in place of each volatile value.

What is volatile and what is meaning is listed in docs/MASKING.md. Masking a pattern again gives
the same pattern, and time grows with the length of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dejalog.indexer.kernel import _native

#: The placeholders; the index of each is the type id in the spans of `mask_pattern`.
PLACEHOLDERS: tuple[str, ...] = _native.PLACEHOLDERS

#: Any of them, in a pattern.
PLACEHOLDER = re.compile("|".join(map(re.escape, PLACEHOLDERS)))

#: Type ids of times: these are found by time range, and every event has one, so their digits are
#: not indexed as words.
TIME_TYPES = frozenset({PLACEHOLDERS.index("<time>")})

#: Raised whenever the same text could give another pattern; stored in the index.
MASK_VERSION: int = _native.MASK_VERSION


class Span(NamedTuple):
    """One masked value: code-point offsets into the text, and what stands for it."""

    start: int
    end: int
    placeholder: str


class Masked(NamedTuple):
    """A pattern and the values that were masked, in the order of the text."""

    pattern: str
    spans: tuple[Span, ...]

    def values(self, text: str) -> tuple[str, ...]:
        """Return the masked values; `text` is the text that was masked."""
        return tuple(text[span.start : span.end] for span in self.spans)


def mask(text: str) -> Masked:
    """Mask one text; raises ValueError where it holds a lone surrogate."""
    pattern, flat = mask_pattern(text)
    spans = (Span(flat[i + 1], flat[i + 2], PLACEHOLDERS[flat[i]]) for i in range(0, len(flat), 3))
    return Masked(pattern, tuple(spans))


def mask_pattern(text: str) -> tuple[str, tuple[int, ...]]:
    """Mask one text for storage: the pattern, and type id, start and end of each value, flat.

    Raises ValueError where the text holds a lone surrogate.
    """
    return _native.mask_pattern(text)
