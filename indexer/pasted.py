"""Raw text as a question: log lines that were pasted, or the text of an event.

Nothing in them is an operator of the query language, whatever quotes and `name=value` they have.
"""

from __future__ import annotations

from dejalog.indexer.framing import LineFramer
from dejalog.indexer.hit import Evidence
from dejalog.indexer.mask import TIME_TYPES, mask_pattern
from dejalog.indexer.query import TEXT_CHARACTERS_MAX, is_pasted


def as_pasted(text: str) -> str:
    """Returns a query that has the same words at the same places, and no operators.

    A text with a line break is taken as pasted: one takes the place of a blank, which changes
    neither words nor offsets. A text without any blank gets a line of its own behind it.
    """
    text = text[: TEXT_CHARACTERS_MAX - 2]
    if is_pasted(text):
        return text
    begin = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    for place in range(begin, end):
        if text[place].isspace():
            return f"{text[:place]}\n{text[place + 1 :]}"
    return f"{text}\n."


def has_time(text: str) -> bool:
    """Whether a time is written in a line, so that no other event has the same text."""
    _, spans = mask_pattern(text.encode("utf-8", "replace").decode())
    return any(kind in TIME_TYPES for kind in spans[0::3])


def without_times(text: str) -> str:
    """Returns the text with blanks in place of its times, unless they are all of it.

    Patterns have no word for a time, and its dozen tokens would decide what a pasted line means.
    """
    blanked = text
    _, spans = mask_pattern(text)
    for kind, start, end in zip(spans[0::3], spans[1::3], spans[2::3], strict=True):
        if kind in TIME_TYPES:
            blanked = blanked[:start] + " " * (end - start) + blanked[end:]
    return blanked if blanked.strip() else text


def within(evidence: tuple[Evidence, ...], text: str) -> tuple[Evidence, ...]:
    """Returns the evidence that points into the text, and not at what was put behind it."""
    return tuple(each for each in evidence if each.query_end <= len(text))


def split_lines(text: str, count_max: int) -> list[str]:
    """Returns the first `count_max` events that a text is made of.

    Lines that belong to the one above, as in a stack trace, are one event with it. Of events with
    one pattern the first one counts: the others ask nothing new.
    """
    data = text.encode("utf-8", "replace")
    framer = LineFramer(record_bytes_max=max(len(data), 1))
    lines: dict[str, str] = {}
    for frame in (*framer.feed(data), *framer.flush()):
        line = frame.data.decode("utf-8", "replace")
        if line.strip():
            lines.setdefault(mask_pattern(line)[0], line)
    return list(lines.values())[:count_max]
