from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("data_directory", "events", "patterns", "tokens", "dead_letters", "shards", "bytes_on_disk", "oldest_unix_nano", "newest_unix_nano", "encoder_fingerprint", "version", "lexical_lag_events", "ingest_rate", "pattern_hit_ratio")
    DATA_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    OLDEST_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    NEWEST_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LEXICAL_LAG_EVENTS_FIELD_NUMBER: _ClassVar[int]
    INGEST_RATE_FIELD_NUMBER: _ClassVar[int]
    PATTERN_HIT_RATIO_FIELD_NUMBER: _ClassVar[int]
    data_directory: str
    events: int
    patterns: int
    tokens: int
    dead_letters: int
    shards: int
    bytes_on_disk: int
    oldest_unix_nano: int
    newest_unix_nano: int
    encoder_fingerprint: str
    version: str
    lexical_lag_events: int
    ingest_rate: float
    pattern_hit_ratio: float
    def __init__(self, data_directory: _Optional[str] = ..., events: _Optional[int] = ..., patterns: _Optional[int] = ..., tokens: _Optional[int] = ..., dead_letters: _Optional[int] = ..., shards: _Optional[int] = ..., bytes_on_disk: _Optional[int] = ..., oldest_unix_nano: _Optional[int] = ..., newest_unix_nano: _Optional[int] = ..., encoder_fingerprint: _Optional[str] = ..., version: _Optional[str] = ..., lexical_lag_events: _Optional[int] = ..., ingest_rate: _Optional[float] = ..., pattern_hit_ratio: _Optional[float] = ...) -> None: ...
