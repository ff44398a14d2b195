"""Turn a pattern or a query into text that a word-piece vocabulary reads well.

1. A placeholder (`<time>`, `<ip>` ...) becomes one plain word, so that it costs one token and
   still tells its neighbours what stood there.
2. Words glued together by case, underscores or a trailing number are set apart
   (`BadUserAccessDenied` -> `Bad User Access Denied`, `axis3` -> `axis 3`). Codes (`SRVE0255E`,
   `0x80070005`, `P-101`) and units (`kW`, `GHz`) stay as they are.

Every character of the rendered text knows which characters of the original it stands for.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from dejalog.indexer.mask import PLACEHOLDERS

#: Changes whenever the same text would be rendered differently: stored vectors are then stale.
RENDERING = 1

#: The one word that is read in a placeholder's stead. A placeholder that is not named here is read
#: as its own name, which suits every one that is an English word (`<time>`, `<email>`, `<token>`).
PLACEHOLDER_WORDS = {
    "dur": "duration",
    "hex": "number",
    "ip": "address",
    "mac": "address",
    "num": "number",
    "uuid": "id",
}

_NAMES = frozenset(PLACEHOLDERS)

_PLACE = re.compile(
    r"(?P<placeholder><[a-z]+>)"
    r"|(?P<underscore>_)"
    # A gap after a lower-case pair, so that units such as kW and mA stay whole.
    r"|(?P<gap>(?<=[a-z]{2})(?=[A-Z])"
    # A gap between an acronym and a word, not inside MHz.
    r"|(?<=[A-Z]{2})(?=[A-Z][a-z]{2})"
    # A gap between a word and its number; shorter names (P101, E1034, ax3) are codes.
    r"|(?<=[a-z]{3})(?=[0-9]))"
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rendered text with its way back to the original.

    The text is a row of segments; segment i starts at `starts[i]` and stands for the original's
    characters from `origins[i]` to `ends[i]`. A segment is either a copy, as long as what it stands
    for, or a replacement, which stands for all of it. `placeholders` are the segments that stand
    for a placeholder.
    """

    text: str
    starts: tuple[int, ...]
    origins: tuple[int, ...]
    ends: tuple[int, ...]
    placeholders: frozenset[int]

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Returns the original's characters that rendered characters `start` to `end` stand for.

        What begins or ends inside a replacement stands for all that was replaced.
        """
        first = self._segment(start)
        last = self._segment(max(start, end - 1))
        return self._lower(first, start), max(self._lower(first, start), self._upper(last, end))

    def is_placeholder(self, start: int, end: int) -> bool:
        """Tells whether rendered characters `start` to `end` lie within one placeholder's word."""
        if not self.placeholders:
            return False
        first = self._segment(start)
        return first in self.placeholders and self._segment(max(start, end - 1)) == first

    def _segment(self, place: int) -> int:
        return bisect_right(self.starts, place) - 1

    def _is_copy(self, index: int) -> bool:
        following = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.text)
        length = self.ends[index] - self.origins[index]
        return index not in self.placeholders and following - self.starts[index] == length

    def _lower(self, index: int, place: int) -> int:
        shift = place - self.starts[index] if self._is_copy(index) else 0
        return self.origins[index] + shift

    def _upper(self, index: int, place: int) -> int:
        if self._is_copy(index):
            return self.origins[index] + place - self.starts[index]
        return self.ends[index]


def render(text: str) -> Rendered:
    """Returns the text as the encoder is to read it, with its way back to `text`."""
    starts: list[int] = []
    origins: list[int] = []
    ends: list[int] = []
    parts: list[str] = []
    placeholders: set[int] = set()
    size = 0
    for piece, origin, end, is_placeholder in _segments(text):
        if is_placeholder:
            placeholders.add(len(parts))
        parts.append(piece)
        starts.append(size)
        origins.append(origin)
        ends.append(end)
        size += len(piece)
    return Rendered(
        "".join(parts), tuple(starts), tuple(origins), tuple(ends), frozenset(placeholders)
    )


def _segments(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """Yields (rendered piece, origin start, origin end, is placeholder), none of them empty."""
    copied = 0
    for match in _PLACE.finditer(text):
        start, end = match.span()
        if match["placeholder"] and match["placeholder"] not in _NAMES:
            continue
        if start > copied:
            yield text[copied:start], copied, start, False
        if match["placeholder"]:
            # Word pieces must not join the word to a neighbour: `v<num>x` reads `v number x`.
            if start and not text[start - 1].isspace():
                yield " ", start, start, False
            name = match["placeholder"][1:-1]
            yield PLACEHOLDER_WORDS.get(name, name), start, end, True
            if end < len(text) and not text[end].isspace():
                yield " ", end, end, False
        else:
            yield " ", start, end, False
        copied = end
    if copied < len(text) or not text:
        yield text[copied:], copied, len(text), False
