"""Turn a pattern or a query into text that a word-piece vocabulary reads well.

1. Placeholders (`<time>`, `<ip>` ...) are left out: they tell nothing of what happened, and each
   would pull the pooled vector towards itself (on short notes with a placeholder or two in front,
   nDCG@10 of the pooled vector fell by 0.03 to 0.10 when they were read as words).
2. Words glued together by case, underscores or a trailing number are set apart
   (`BadUserAccessDenied` -> `Bad User Access Denied`, `axis3` -> `axis 3`). Codes (`SRVE0255E`,
   `0x80070005`, `P-101`) and units (`kW`, `GHz`) stay as they are.
3. If asked to, maintenance shorthand is written out (`C/O brg` -> `change out bearing`).

Every character of the rendered text knows which character of the original it stands for.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from dejalog.indexer.mask import PLACEHOLDERS
from dejalog.indexer.shorthand import readings

#: Changes whenever the same text would be rendered differently: stored vectors are then stale.
RENDERING = 1

_PLACE = re.compile(
    # Where a blank stands on both sides, one of them goes too: some vocabularies hold blanks.
    rf"(?<![^ ])(?:{'|'.join(map(re.escape, PLACEHOLDERS))})[ ]"
    rf"|(?:{'|'.join(map(re.escape, PLACEHOLDERS))})"
    r"|_"
    # A gap after a lower-case pair, so that units such as kW and mA stay whole.
    r"|(?<=[a-z]{2})(?=[A-Z])"
    # A gap between an acronym and a word, not inside MHz.
    r"|(?<=[A-Z]{2})(?=[A-Z][a-z]{2})"
    # A gap between a word and its number; shorter names (P101, E1034, ax3) are codes.
    r"|(?<=[a-z]{3})(?=[0-9])"
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rendered text with its way back to the original.

    The text is a row of pieces. Piece i starts at `starts[i]` and is a copy of the original from
    `origins[i]` on, except where it is a single blank that stands for what was left out there, or
    words that stand for all of the `widths[i]` characters there; `widths[i]` is 0 for the others.
    """

    text: str
    starts: tuple[int, ...]
    origins: tuple[int, ...]
    widths: tuple[int, ...]

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Returns the original's characters that rendered characters `start` to `end` stand for."""
        first, _ = self._place(start)
        return first, max(first, self._place(end - 1)[1]) if end > start else first

    def _place(self, place: int) -> tuple[int, int]:
        piece = bisect_right(self.starts, place) - 1
        origin, width = self.origins[piece], self.widths[piece]
        if width:
            return origin, origin + width
        origin += place - self.starts[piece]
        return origin, origin + 1


def render(text: str, *, reads_shorthand: bool = False) -> Rendered:
    """Returns the text as the encoder is to read it, with its way back to `text`."""
    return replaced(text, _changes(text, reads_shorthand=reads_shorthand))


def replaced(text: str, changes: Iterable[tuple[int, int, str]]) -> Rendered:
    """Returns the text with changes, in text order: start, end, and what stands there instead.

    A change that begins within the one before it is left out.
    """
    parts: list[str] = []
    starts: list[int] = []
    origins: list[int] = []
    widths: list[int] = []
    size = copied = 0

    def put(piece: str, origin: int, width: int = 0) -> None:
        nonlocal size
        parts.append(piece)
        starts.append(size)
        origins.append(origin)
        widths.append(width)
        size += len(piece)

    for start, end, words in changes:
        if start < copied:
            continue
        if start > copied:
            put(text[copied:start], copied)
        if words:
            put(words, start, 0 if words == " " else end - start)
        copied = end
    if copied < len(text) or not parts:
        put(text[copied:], copied)
    return Rendered("".join(parts), tuple(starts), tuple(origins), tuple(widths))


def _changes(text: str, *, reads_shorthand: bool) -> list[tuple[int, int, str]]:
    """What is read otherwise, in text order: start, end, and what stands there instead."""
    changes = [
        (match.start(), match.end(), "" if match[0].endswith(" ") else " ")
        for match in _PLACE.finditer(text)
    ]
    if reads_shorthand:
        changes += readings(text)
        changes.sort(key=lambda change: change[:2])
    return changes
