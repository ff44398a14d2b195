"""Fields of a record: which of them are labels, what they are called, and how many are kept.

A field is a label when its name is a known name for what an event is about (`LABEL_NAMES`), or
when the writer put it under `labels.` or `tags.`; everything else is an attribute. Names that
mean the same get the same short name. Nothing leaves silently: a cut value ends in a mark, a
value whose label name is taken keeps its own name as an attribute, and `fields.left_out` counts
what was beyond the bounds.
"""

from __future__ import annotations

import msgspec

from dejalog.indexer.decode.settings import DecodeSettings
from dejalog.indexer.event import Labels

#: Label name -> the field names (lower case) that mean it.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "site": ("site.name", "site.id", "site_id", "site_name"),
    "plant": ("plant.name", "plant_id", "factory"),
    "area": ("area.name", "area_id"),
    "line": ("production_line", "line_id"),
    "asset": (
        "asset.name", "asset.id", "asset_id", "asset_name", "equipment", "equipment.id",
        "equipment_id", "machine", "machine_id", "functional_location",
    ),
    "unit": (),
    "device": ("device.name", "device.id", "device_id", "deviceid", "device_name"),
    "host": (
        "host.name", "hostname", "host.hostname", "_hostname", "agent.hostname", "host_name",
        "syslog.hostname", "computer", "computername", "machinename",
    ),
    "service": (
        "service.name", "service_name", "servicename", "app", "app.name", "appname", "app_name",
        "app-name", "application", "syslog_identifier", "program", "ident", "process.name",
        "kubernetes.labels.app", "kubernetes.labels.app.kubernetes.io/name",
    ),
    "namespace": (
        "kubernetes.namespace_name", "kubernetes.namespace", "k8s.namespace.name",
        "kubernetes.pod_namespace", "service.namespace",
    ),
    "pod": ("pod.name", "pod_name", "kubernetes.pod_name", "kubernetes.pod.name", "k8s.pod.name"),
    "container": (
        "container.name", "container_name", "kubernetes.container_name",
        "kubernetes.container.name", "k8s.container.name",
    ),
    "node": (
        "node.name", "node_name", "kubernetes.host", "kubernetes.node.name", "k8s.node.name",
        "kubernetes.node_name",
    ),
    "cluster": ("k8s.cluster.name", "orchestrator.cluster.name", "cluster_name"),
    "environment": ("deployment.environment", "deployment.environment.name", "env",
                    "service.environment"),
    "facility": ("syslog.facility", "log.syslog.facility.name"),
    "logger": ("logger.name", "logger_name", "loggername", "log.logger", "@logger",
               "sourcecontext"),
    "component": (),
    "author": ("technician", "reported_by"),
    "work_order": ("workorder", "work_order_id", "work_order_number", "wo_number"),
    "kind": (),
    "systemd_unit": ("_systemd_unit", "systemd.unit"),
    "transport": ("_transport",),
    "stream": ("log.iostream",),
    "dataset": ("event.dataset", "data_stream.dataset"),
    "error_code": ("error.code", "errorcode"),
    "alarm": ("alarm_code", "alarm_id", "alarm.code", "alarm.id"),
    "event_source": ("cloudevents.event_source",),
    "event_type": ("cloudevents.event_type",),
    "event_name": ("event.name",),
}  # fmt: skip

#: Field name in lower case -> label name.
LABEL_NAMES: dict[str, str] = {
    name: label for label, names in _SYNONYMS.items() for name in (label, *names)
}
_LABEL_FOLDERS = ("labels.", "tags.", "label.")
#: Beside a source file, `line` is a line of code, not a production line.
_NUMBERED = frozenset({"line"})

_encoder = msgspec.json.Encoder(decimal_format="number")


def as_text(value: object) -> str:
    """Return a field's value as it is shown: text as it is, numbers as written, else JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # JSON has no NaN, floats of OpenTelemetry may be one
    return _encoder.encode(value).decode()


def cut(value: str, chars_max: int) -> str:
    """Return `value`, or as much of it as the bound allows and a mark that says so."""
    if len(value) <= chars_max:
        return value
    mark = f"... [cut, {len(value)} characters]"
    return value[: max(0, chars_max - len(mark))] + mark


class FieldSet:
    """The labels and attributes of one event while it is being decoded."""

    __slots__ = ("_attributes", "_labels", "_left_out", "_settings")

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._labels: dict[str, str] = {}
        self._attributes: dict[str, str] = {}
        self._left_out = 0

    def add(self, name: str, value: object) -> None:
        """Add a field as the label or attribute that its name makes it; None adds nothing."""
        if value is None:
            return
        label = label_name(name, value)
        if label and not isinstance(value, dict | list):
            self.add_label(label, value, name)
        else:
            self.add_attribute(name, value)

    def add_if_label(self, name: str, value: object) -> None:
        """Add a field if it is a label: for events whose text already shows every field."""
        if label_name(name, value):
            self.add(name, value)

    def add_resource(self, name: str, value: object) -> None:
        """Add a field of what the event comes from: a label, under its short name if it has one."""
        if isinstance(value, dict | list) or value is None:
            self.add_attribute(name, value) if value else None
        else:
            self.add_label(label_name(name, value) or name, value, name)

    def add_label(self, label: str, value: object, written_as: str = "") -> None:
        """Add a label; a second value, or one that is too long, becomes an attribute."""
        text = as_text(value)
        known = self._labels.get(label)
        if known == text or not text.strip():
            return
        is_small = len(text) <= self._settings.label_chars_max
        has_room = len(self._labels) < self._settings.labels_max
        if known is None and is_small and has_room and self._is_short(label):
            self._labels[label] = text
        else:
            self.add_attribute(written_as or label, text)

    def add_attribute(self, name: str, value: object) -> None:
        """Add an attribute, cut to its bound; a name that is taken gets a number."""
        text = cut(as_text(value), self._settings.attribute_chars_max)
        if len(self._attributes) >= self._settings.attributes_max:
            self._left_out += 1
            return
        name = cut(name, self._settings.name_chars_max)
        unique, number = name, 2
        while unique in self._attributes:
            if self._attributes[unique] == text:
                return
            unique, number = f"{name}#{number}", number + 1
        self._attributes[unique] = text

    def merge(self, labels: Labels) -> None:
        """Add the labels of the record; where the event says otherwise, the event is right."""
        for name, value in labels:
            known = self._labels.setdefault(name, value)
            if known != value:
                self.add_attribute(f"record.{name}", value)

    def labels(self) -> Labels:
        """Return the labels, sorted by name."""
        return tuple(sorted(self._labels.items()))

    def attributes(self) -> Labels:
        """Return the attributes, sorted by name."""
        if self._left_out:
            self._attributes["fields.left_out"] = str(self._left_out)
        return tuple(sorted(self._attributes.items()))

    def _is_short(self, name: str) -> bool:
        return 0 < len(name) <= self._settings.name_chars_max


def label_name(name: str, value: object) -> str:
    """Return the label name of the field `name`, or "" if the field is an attribute."""
    lower = name.lower()
    label = LABEL_NAMES.get(lower, "")
    if not label:
        folder = next((folder for folder in _LABEL_FOLDERS if lower.startswith(folder)), "")
        rest = name[len(folder) :] if folder else ""
        # The severity label has six values only; it comes from the formats, never from a field.
        return LABEL_NAMES.get(rest.lower(), rest) if rest.lower() != "severity" else ""
    if label in _NUMBERED and not isinstance(value, str):
        return ""
    return label
