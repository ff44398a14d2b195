"""The settings as people read them: TOML with origins, and without secrets."""

from __future__ import annotations

from dejalog.daemon.config import Loaded, all_keys, to_toml
from dejalog.daemon.secret_settings import shown


def to_text(loaded: Loaded, *, with_origin: bool) -> str:
    """Returns every setting as TOML, with `(set)` in place of secrets."""
    lines: list[str] = []
    section_before = ""
    for section, key in all_keys():
        if section != section_before:
            lines += [*([""] if section_before else []), f"[{section}]"]
            section_before = section
        value = to_toml(shown(key, getattr(getattr(loaded.settings, section), key)))
        origin = f"  # {loaded.origins[f'{section}.{key}']}" if with_origin else ""
        lines.append(f"{key} = {value}{origin}")
    return "\n".join(lines) + "\n"
