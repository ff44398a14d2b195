"""Maintenance notes: a JSON object that a person's words are in (docs/INGEST.md has the form).

{"kind": "note", "asset": "P-101", "time": "2024-05-02T10:15:00Z", "author": "M. Silva",
 "text": "pump trips on overload", "action": "bearing replaced", "work_order": "WO-4711"}
"""

from __future__ import annotations

from dejalog.indexer.decode.draft import Draft, Refusal
from dejalog.indexer.decode.fields import FieldSet
from dejalog.indexer.decode.json_object import SEVERITY_NAMES, Reading, take, take_time, value_of
from dejalog.indexer.decode.json_value import Flat, flatten, write
from dejalog.indexer.decode.text import strip_newline
from dejalog.indexer.event import Kind

TEXT_NAMES = ("text", "note", "description", "message", "body", "problem", "fault", "title")
ACTION_NAMES = ("action", "action_taken", "resolution", "fix", "work_done", "remedy")
AUTHOR_NAMES = ("author", "technician", "reported_by", "user", "user.name", "created_by")
WORK_ORDER_NAMES = ("work_order", "workorder", "work_order_id", "work_order_number", "wo")

#: `action` alone is also a field of audit logs; beside one of these, a person wrote it.
_BESIDE_ACTION = frozenset(("asset", "author", "technician", "text", "problem", "equipment"))
#: What stands between what was found and what was done about it.
ACTION_PREFIX = "Action taken: "


def is_note(value: dict[str, object]) -> bool:
    """Tell whether a JSON object is a note: it says so, or has what only notes have."""
    names = {name.lower() for name in value}
    kind = next((value[name] for name in value if name.lower() == "kind"), None)
    if isinstance(kind, str):
        return kind.lower() in ("note", "maintenance_note")
    if not names.isdisjoint(SEVERITY_NAMES):
        return False
    if not names.isdisjoint(("note", *WORK_ORDER_NAMES[:-1])):
        return True
    has_action = not names.isdisjoint(("action", "action_taken"))
    return has_action and not names.isdisjoint(_BESIDE_ACTION)


def read(value: dict[str, object], reading: Reading) -> Draft | Refusal:
    """Return the draft of a note; one with neither text nor action is refused."""
    flat = flatten(value)
    names = {name.lower(): name for name in reversed(flat)}
    action = _take_action(flat, names)
    text = take(flat, names, TEXT_NAMES)
    parts = [strip_newline(text)] if text else []
    if action:
        parts.append(ACTION_PREFIX + strip_newline(action))
    if not parts:
        return Refusal("empty", "a note with neither text nor action", write(value).encode())
    draft = Draft("\n".join(parts), kind=Kind.NOTE)
    take_time(draft, flat, names, reading)
    draft.fields = FieldSet(reading.settings)
    for label, wanted in (("author", AUTHOR_NAMES), ("work_order", WORK_ORDER_NAMES)):
        draft.fields.add_label(label, take(flat, names, wanted))
    if action:
        draft.fields.add_attribute("action", action)
    if "kind" in names:
        flat.pop(names["kind"], None)
    for name, rest in flat.items():
        draft.fields.add(name, rest)
    return draft


def _take_action(flat: Flat, names: dict[str, str]) -> str:
    for name in ACTION_NAMES:
        value = value_of(flat, names, name)
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            del flat[names[name]]
            return "; ".join(map(str, value))
    return take(flat, names, ACTION_NAMES)
