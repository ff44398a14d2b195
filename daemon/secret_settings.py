"""Settings as others may see them: without passwords, tokens and what URLs hide.

A setting is secret by its name, at any depth of a table, so that a new one is not shown before
somebody has thought of it. Names that end in _file, and those of PATHS, say where a secret lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import urlsplit

#: Stands in place of a secret that is set.
SHOWN = "(set)"

PATHS = frozenset({"tls_key"})
_SECRET = re.compile(
    r"(?:^|[-_])(?:pass|password|passwd|passphrase|secrets?|tokens?|keys?|authorization|"
    r"credentials?|headers?|cookies?)$",
    re.IGNORECASE,
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
#: A shorter text would be found, and taken out, in the midst of words.
SCRUBBED_CHARS_MIN = 4
#: A shorter path ("/api") is no secret, and stands in many other places.
URL_PART_CHARS_MIN = 8


def is_secret(key: str) -> bool:
    """Whether a setting of this name must not be shown."""
    return key not in PATHS and _SECRET.search(key) is not None


def shown(key: str, value: object) -> object:
    """Returns a setting's value with `(set)` in place of what is secret; tables become mappings."""
    if is_secret(key) and value:
        return SHOWN
    if isinstance(value, str):
        return _URL.sub(lambda match: _shown_url(match[0]), value)
    if key == "command" and isinstance(value, list | tuple) and len(value) > 1:
        # Programs are given passwords and URLs as arguments, and nobody can tell which.
        return (value[0], SHOWN)
    if isinstance(value, list | tuple):
        return tuple(shown(key, each) for each in value)
    table = _table(value)
    return value if table is None else {name: shown(name, each) for name, each in table.items()}


def scrub(content: bytes, secrets: list[bytes]) -> bytes:
    """Returns the content with `(set)` in place of each secret, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        content = content.replace(secret, SHOWN.encode())
    return content


def secrets_of(settings: object) -> list[bytes]:
    """Returns every text in the settings that is not shown, for a last look over what is sent."""
    found = {text for text in _secrets("", settings) if len(text) >= SCRUBBED_CHARS_MIN}
    return [text.encode("utf-8", "surrogateescape") for text in found]


def _secrets(key: str, value: object) -> Iterator[str]:
    if is_secret(key):
        yield from _texts(value)
    elif isinstance(value, str):
        for url in _URL.findall(value):
            yield from _hidden_of(url)
    elif isinstance(value, list | tuple):
        hidden = value[1:] if key == "command" else ()
        yield from (text for each in hidden for text in _texts(each))
        for each in value:
            yield from _secrets(key, each)
    else:
        for name, each in (_table(value) or {}).items():
            yield from _secrets(name, each)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    else:
        for each in (_table(value) or {}).values():
            yield from _texts(each)


def _table(value: Any) -> Mapping[str, object] | None:
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    return None


def _hidden_of(url: str) -> Iterator[str]:
    """What a URL hides, whole and in parts: a message may have spelled the rest otherwise."""
    if _shown_url(url) == url:
        return
    yield url
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    yield parts.password or ""
    yield from (part for part in (parts.path, parts.query) if len(part) >= URL_PART_CHARS_MIN)


def _shown_url(url: str) -> str:
    """Scheme, host and port: users, passwords, and webhooks' paths, are as good as a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return SHOWN
    address = f"[{host}]" if ":" in host else host
    shown_url = f"{parts.scheme}://{address}" + (f":{port}" if port is not None else "")
    is_whole = parts.path in ("", "/") and not parts.query and not parts.username
    return shown_url + (parts.path if is_whole else f"/{SHOWN}")
