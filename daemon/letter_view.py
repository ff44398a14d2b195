"""How a dead letter is shown: as JSON, as lines of text, its bytes as text or as a hex dump."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import tzinfo

from dejalog.daemon.excerpt import grouped, visible, visible_line
from dejalog.daemon.hit_json import Json
from dejalog.daemon.human_time import format_time, to_rfc3339
from dejalog.indexer.dead_letters import is_cut
from dejalog.indexer.event import DeadLetter

#: Bytes from which the first characters are made; more would not fit into a line.
_EXCERPT_BYTES = 256
_HEX_BYTES = 16


def letter_to_row(number: int, letter: DeadLetter, *, is_resolved: bool) -> dict[str, Json]:
    """Returns a letter without its bytes, as `deadletters list -o json` prints it."""
    return {
        "number": number,
        "received": to_rfc3339(letter.received_at_ns),
        "received_unix_nano": str(letter.received_at_ns),
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "partition": letter.partition,
        "offset": letter.offset,
        "sub": letter.sub,
        "size_bytes": letter.size_bytes,
        "is_cut": is_cut(letter),
        "is_resolved": is_resolved,
        "excerpt": excerpt(letter.data),
    }


def letter_to_json(number: int, letter: DeadLetter, *, is_resolved: bool) -> dict[str, Json]:
    """Returns everything of a letter, bytes in base64, as docs/CLI_JSON.md says."""
    row = letter_to_row(number, letter, is_resolved=is_resolved)
    del row["excerpt"]
    headers: list[Json] = [
        {"name": name, "value": _base64(value)} for name, value in letter.headers
    ]
    key = None if letter.key is None else _base64(letter.key)
    text = text_of(letter.data)
    return {**row, "key": key, "headers": headers, "data": _base64(letter.data), "text": text}


def letter_lines(
    number: int, letter: DeadLetter, *, is_resolved: bool, is_hex: bool, zone: tzinfo | None
) -> Iterator[str]:
    """Yields everything of a letter for a person; bytes that are not UTF-8 as a hex dump."""
    yield f"dead letter {number}{', dealt with' if is_resolved else ''}"
    size = f"{grouped(letter.size_bytes)} bytes"
    if is_cut(letter):
        size += f", of which the first {grouped(len(letter.data))} are kept"
    rows = [
        ("reason", letter.reason),
        ("detail", letter.detail),
        ("received", format_time(letter.received_at_ns, zone)),
        ("source", letter.source),
        ("partition", letter.partition),
        ("offset", f"{letter.offset}, part {letter.sub}"),
        ("size", size),
    ]
    if letter.key is not None:
        rows.append(("key", _spelled(letter.key)))
    rows += [("header", f"{name}: {_spelled(value)}") for name, value in letter.headers]
    for name, value in rows:
        yield f"  {name:<10} {visible_line(value)}"
    yield ""
    text = None if is_hex else text_of(letter.data)
    if text is None:
        yield from hex_dump(letter.data)
    else:
        yield visible(text)


def hex_dump(data: bytes) -> Iterator[str]:
    """Yields 16 bytes a line: their place, their values, and the ASCII characters among them."""
    for start in range(0, len(data), _HEX_BYTES):
        part = data[start : start + _HEX_BYTES]
        values = part[:8].hex(" ") + "  " + part[8:].hex(" ")
        characters = "".join(chr(each) if 0x20 <= each < 0x7F else "." for each in part)
        yield f"{start:08x}  {values:<{3 * _HEX_BYTES}}  |{characters}|"


def excerpt(data: bytes) -> str:
    """Returns the first characters on one line; a byte that is not UTF-8 is spelled out."""
    return visible_line(_spelled(data[:_EXCERPT_BYTES]))


def text_of(data: bytes) -> str | None:
    """Returns the bytes as text, or None if they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _spelled(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
