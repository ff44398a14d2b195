"""The settings of the decode stage, checked once when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dejalog.indexer.errors import ConfigError

#: Every value that `encoding` may have, of the settings and of a record.
ENCODINGS = (
    "auto",
    "text",
    "json",
    "syslog",
    "otlp_proto",
    "otlp_json",
    "cloudevents",
    "note",
)

#: How dates such as 03/04/2022 are to be read; "none" leaves them unread, since a guess that is
#: right on most days is wrong on the others.
DATE_ORDERS = ("none", "dmy", "mdy", "ymd")


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """Defaults and bounds of decoding; see docs/INGEST.md for what they apply to.

    Raises `ConfigError` for an unknown encoding, timezone or date order and for a bound below 1.
    """

    #: The encoding of records whose own encoding is "auto".
    encoding: str = "auto"
    #: Larger records become dead letters: no log line is 1 MiB of text, a core dump in a log is.
    record_bytes_max: int = 1 << 20
    #: Zone of timestamps without one: an IANA name, or "local" for the machine's own.
    timezone: str = "UTC"
    #: Order of the numbers in dates with slashes.
    date_order: str = "none"
    #: A record of 1 MiB could hold 350,000 empty objects; a batch of logs holds some thousands.
    events_per_record_max: int = 10_000
    #: A clock may run ahead by its zone, which is at most a day.
    future_skew_s: int = 86_400
    #: Labels are indexed, so their number and length cost space in every shard.
    labels_max: int = 32
    #: A longer value is no identity; it is kept as an attribute.
    label_chars_max: int = 256
    #: Attributes are only shown, so the bound is wide: the fields of one large audit record.
    attributes_max: int = 128
    #: A page of text; what is cut off is marked in the value.
    attribute_chars_max: int = 4096
    #: Longer names are file paths or data used as keys.
    name_chars_max: int = 128
    #: As much of a refused record is kept as a person would look at.
    dead_letter_bytes_max: int = 1 << 16

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise _bad("encoding", f"{self.encoding!r} is none of {', '.join(ENCODINGS)}")
        if self.date_order not in DATE_ORDERS:
            raise _bad("date_order", f"{self.date_order!r} is none of {', '.join(DATE_ORDERS)}")
        for name in _BOUNDS:
            if getattr(self, name) < 1:
                raise _bad(name, "must be at least 1")
        zone(self.timezone)


_BOUNDS = (
    "record_bytes_max",
    "events_per_record_max",
    "future_skew_s",
    "labels_max",
    "label_chars_max",
    "attributes_max",
    "attribute_chars_max",
    "name_chars_max",
    "dead_letter_bytes_max",
)


def zone(name: str) -> tzinfo | None:
    """Return the zone called `name`; None stands for the machine's local time."""
    if name == "local":
        return None
    if name == "UTC":  # works without a zone database, which small images do not have
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _bad("timezone", f"{name!r} is not in the zone database") from error


def _bad(key: str, reason: str) -> ConfigError:
    return ConfigError("decode settings", key, reason)
