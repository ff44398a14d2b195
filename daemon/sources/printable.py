"""Write paths as text that can be stored and shown, whatever bytes their names hold.

A file name is bytes, and Python carries those that are not UTF-8 as lone surrogates, which neither
JSON nor a label nor a terminal takes. Here such a byte becomes a backslash, an x and two digits.
"""

from __future__ import annotations

import os
import re

#: Only bytes from 0x80 on are ever escaped: all others are UTF-8 by themselves.
_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")


def printable(path: str) -> str:
    """Returns a path as valid text; all that is valid already stays as it is."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def paths_printed_as(text: str) -> list[str]:
    """Returns the paths that `printable` gives this text for: as it stands, and unescaped.

    A name that holds both real backslashes of that form and other bytes is not among them.
    """
    data = os.fsencode(text)
    unescaped = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), data)
    return [text] if unescaped == data else [text, os.fsdecode(unescaped)]
