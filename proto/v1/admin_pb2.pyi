from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("data_directory", "events", "patterns", "tokens", "dead_letters", "shards", "bytes_on_disk", "oldest_unix_nano", "newest_unix_nano", "encoder_fingerprint", "version", "lexical_lag_events", "ingest_rate", "pattern_hit_ratio", "partitions")
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
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
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
    partitions: _containers.RepeatedCompositeFieldContainer[PartitionLag]
    def __init__(self, data_directory: _Optional[str] = ..., events: _Optional[int] = ..., patterns: _Optional[int] = ..., tokens: _Optional[int] = ..., dead_letters: _Optional[int] = ..., shards: _Optional[int] = ..., bytes_on_disk: _Optional[int] = ..., oldest_unix_nano: _Optional[int] = ..., newest_unix_nano: _Optional[int] = ..., encoder_fingerprint: _Optional[str] = ..., version: _Optional[str] = ..., lexical_lag_events: _Optional[int] = ..., ingest_rate: _Optional[float] = ..., pattern_hit_ratio: _Optional[float] = ..., partitions: _Optional[_Iterable[_Union[PartitionLag, _Mapping]]] = ...) -> None: ...

class PartitionLag(_message.Message):
    __slots__ = ("source", "partition", "position", "end", "lag", "lost")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    source: str
    partition: str
    position: int
    end: int
    lag: int
    lost: int
    def __init__(self, source: _Optional[str] = ..., partition: _Optional[str] = ..., position: _Optional[int] = ..., end: _Optional[int] = ..., lag: _Optional[int] = ..., lost: _Optional[int] = ...) -> None: ...

class RetryDeadLettersRequest(_message.Message):
    __slots__ = ("numbers", "reason", "source", "since_unix_nano", "until_unix_nano", "all")
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    numbers: _containers.RepeatedCompositeFieldContainer[NumberRange]
    reason: str
    source: str
    since_unix_nano: int
    until_unix_nano: int
    all: bool
    def __init__(self, numbers: _Optional[_Iterable[_Union[NumberRange, _Mapping]]] = ..., reason: _Optional[str] = ..., source: _Optional[str] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., all: bool = ...) -> None: ...

class NumberRange(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class RetryDeadLettersResponse(_message.Message):
    __slots__ = ("retried", "events", "new_dead_letters", "still_dead", "cut", "resolved")
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEW_DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    STILL_DEAD_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    retried: int
    events: int
    new_dead_letters: int
    still_dead: int
    cut: int
    resolved: int
    def __init__(self, retried: _Optional[int] = ..., events: _Optional[int] = ..., new_dead_letters: _Optional[int] = ..., still_dead: _Optional[int] = ..., cut: _Optional[int] = ..., resolved: _Optional[int] = ...) -> None: ...
