"""The [alerts] section, checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from dejalog.indexer.errors import ConfigError, QueryError
from dejalog.indexer.query import parse_text
from dejalog.indexer.request import FollowRequest, Mode

#: What a deliver that names a topic begins with.
KAFKA_PREFIX: Final = "kafka:"

#: Names go into headers, keys and file names of others.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_MODES = [mode.value for mode in Mode]
#: More make 5,000 events/s more than half a core's work.
_QUERIES_MAX: Final = 64
#: A year: longer pauses are a mistake.
_SECONDS_MAX: Final = 366 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A standing query, and where its matches go; raises ConfigError.

    `query`, `where`, `mode` and `score_min` (0: the default) say what matches; with `is_new` only
    the first event of a pattern does. `deliver` is a webhook's URL or `kafka:TOPIC`, or else
    `command` is a program with its arguments. `secret` signs what a webhook gets. At most
    `alerts_max` alerts go out in each `per_s`, and one of each pattern in `quiet_s`.
    """

    name: str = ""
    query: str = ""
    where: tuple[str, ...] = ()
    mode: str = Mode.HYBRID.value
    score_min: float = 0.0
    is_new: bool = False
    deliver: str = ""
    command: tuple[str, ...] = ()
    secret: str = ""
    alerts_max: int = 10
    per_s: float = 60.0
    quiet_s: float = 300.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise _bad(f"name {self.name!r} is not 1 to 64 letters, digits, '.', '_' or '-'")
        if self.mode not in _MODES:
            raise self._wrong(f"mode {self.mode!r} is none of {', '.join(_MODES)}")
        if not 0 <= self.score_min <= 1:
            raise self._wrong(f"score_min {self.score_min:g} is not within 0 to 1")
        if not self.query.strip() and not self.where and not self.is_new:
            raise self._wrong("has neither a query nor where, and would match every event")
        if self.alerts_max < 1 or not 0 < self.per_s <= _SECONDS_MAX:
            raise self._wrong("alerts_max must be at least 1, and per_s above 0")
        if not 0 <= self.quiet_s <= _SECONDS_MAX:
            raise self._wrong("quiet_s must be 0 or more seconds, a year at most")
        try:
            parse_text(self.query, self.where)
        except QueryError as error:
            raise self._wrong(str(error)) from error
        self._check_target()

    @property
    def target(self) -> str:
        """Names where alerts go: rules with the same target share its way out."""
        return self.deliver or "command:" + "\0".join(self.command)

    def request(self) -> FollowRequest:
        """Returns the question that it asks of new events."""
        return FollowRequest(
            text=self.query,
            where=self.where,
            mode=Mode(self.mode),
            score_min=self.score_min or None,
        )

    def _check_target(self) -> None:
        if bool(self.deliver) == bool(self.command):
            raise self._wrong("has to have either deliver or command")
        if self.command and not self.command[0]:
            raise self._wrong("command begins with the program")
        if self.deliver.startswith(KAFKA_PREFIX):
            topic = self.deliver.removeprefix(KAFKA_PREFIX)
            if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
                raise self._wrong(f"{topic!r} cannot be the name of a topic")
        elif self.deliver:
            self._check_url()
        if self.secret and not self.deliver.startswith("http"):
            raise self._wrong("secret goes with a webhook only")

    def _check_url(self) -> None:
        try:
            url = urlsplit(self.deliver)
            port = url.port
        except ValueError as error:
            # The URL itself may be a secret.
            raise self._wrong("deliver is not a URL") from error
        if url.scheme not in ("http", "https") or not url.hostname or port == 0:
            raise self._wrong(
                "deliver is neither http://HOST/..., https://HOST/... nor kafka:TOPIC"
            )
        if url.username is not None or url.fragment:
            raise self._wrong("deliver must not have a user or a fragment in its URL")
        if not self.deliver.isascii() or re.search(r"[\x00-\x20\x7f]", self.deliver):
            raise self._wrong("deliver has characters that a URL must escape")

    def _wrong(self, reason: str) -> ConfigError:
        return _bad(f"{self.name}: {reason}")


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Which queries stand, and how alerts are delivered; raises ConfigError.

    `timeout_s` bounds one delivery. What cannot be delivered is tried again after a second, then
    after twice as long each time, up to `retry_max_s`. `waiting_max` alerts of each target wait at
    most, each up to `keep_s`; beyond, the oldest are dropped, counted and reported. `tls_ca` (PEM)
    is trusted besides the system's authorities.
    """

    queries: tuple[AlertRule, ...] = ()
    timeout_s: float = 10.0
    retry_max_s: float = 300.0
    waiting_max: int = 1_000
    keep_s: float = 3 * 24 * 3600.0
    tls_ca: str = ""

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.queries]
        for name in names:
            if names.count(name) > 1:
                raise _bad(f"two queries are named {name}")
        if len(names) > _QUERIES_MAX:
            raise _bad(f"{len(names)} queries, and at most {_QUERIES_MAX} are taken")


def _bad(reason: str) -> ConfigError:
    return ConfigError("alerts", "queries", reason)
