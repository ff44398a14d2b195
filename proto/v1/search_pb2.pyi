from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEARCH_MODE_UNSPECIFIED: _ClassVar[SearchMode]
    SEARCH_MODE_HYBRID: _ClassVar[SearchMode]
    SEARCH_MODE_SEMANTIC: _ClassVar[SearchMode]
    SEARCH_MODE_LEXICAL: _ClassVar[SearchMode]

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_LOG: _ClassVar[Kind]
    KIND_NOTE: _ClassVar[Kind]

class TimeOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIME_ORIGIN_UNSPECIFIED: _ClassVar[TimeOrigin]
    TIME_ORIGIN_EVENT: _ClassVar[TimeOrigin]
    TIME_ORIGIN_RECEIVED: _ClassVar[TimeOrigin]
SEARCH_MODE_UNSPECIFIED: SearchMode
SEARCH_MODE_HYBRID: SearchMode
SEARCH_MODE_SEMANTIC: SearchMode
SEARCH_MODE_LEXICAL: SearchMode
KIND_UNSPECIFIED: Kind
KIND_LOG: Kind
KIND_NOTE: Kind
TIME_ORIGIN_UNSPECIFIED: TimeOrigin
TIME_ORIGIN_EVENT: TimeOrigin
TIME_ORIGIN_RECEIVED: TimeOrigin

class SearchRequest(_message.Message):
    __slots__ = ("query", "limit", "occurrences", "since_unix_nano", "until_unix_nano", "where", "mode")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    query: str
    limit: int
    occurrences: int
    since_unix_nano: int
    until_unix_nano: int
    where: _containers.RepeatedScalarFieldContainer[str]
    mode: SearchMode
    def __init__(self, query: _Optional[str] = ..., limit: _Optional[int] = ..., occurrences: _Optional[int] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., where: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[SearchMode, str]] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("hits", "events_total", "events_matched", "patterns_scored", "shards_searched", "elapsed_s", "is_partial", "is_cut", "damaged_shards")
    HITS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    EVENTS_MATCHED_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_SCORED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_SEARCHED_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_SHARDS_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    events_total: int
    events_matched: int
    patterns_scored: int
    shards_searched: int
    elapsed_s: float
    is_partial: bool
    is_cut: bool
    damaged_shards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., events_total: _Optional[int] = ..., events_matched: _Optional[int] = ..., patterns_scored: _Optional[int] = ..., shards_searched: _Optional[int] = ..., elapsed_s: _Optional[float] = ..., is_partial: bool = ..., is_cut: bool = ..., damaged_shards: _Optional[_Iterable[str]] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("pattern_id", "pattern", "scores", "count", "first_seen_unix_nano", "last_seen_unix_nano", "occurrences", "evidence", "is_cut")
    PATTERN_ID_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    pattern_id: str
    pattern: str
    scores: Scores
    count: int
    first_seen_unix_nano: int
    last_seen_unix_nano: int
    occurrences: _containers.RepeatedCompositeFieldContainer[Occurrence]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    is_cut: bool
    def __init__(self, pattern_id: _Optional[str] = ..., pattern: _Optional[str] = ..., scores: _Optional[_Union[Scores, _Mapping]] = ..., count: _Optional[int] = ..., first_seen_unix_nano: _Optional[int] = ..., last_seen_unix_nano: _Optional[int] = ..., occurrences: _Optional[_Iterable[_Union[Occurrence, _Mapping]]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., is_cut: bool = ...) -> None: ...

class Scores(_message.Message):
    __slots__ = ("total", "semantic", "pooled", "lexical", "exact")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_FIELD_NUMBER: _ClassVar[int]
    POOLED_FIELD_NUMBER: _ClassVar[int]
    LEXICAL_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    total: float
    semantic: float
    pooled: float
    lexical: float
    exact: float
    def __init__(self, total: _Optional[float] = ..., semantic: _Optional[float] = ..., pooled: _Optional[float] = ..., lexical: _Optional[float] = ..., exact: _Optional[float] = ...) -> None: ...

class Occurrence(_message.Message):
    __slots__ = ("event_id", "time_unix_nano", "time_origin", "kind", "text", "source", "partition", "offset", "sub", "labels", "attributes")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    TIME_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SUB_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    time_unix_nano: int
    time_origin: TimeOrigin
    kind: Kind
    text: str
    source: str
    partition: str
    offset: int
    sub: int
    labels: _containers.ScalarMap[str, str]
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, event_id: _Optional[int] = ..., time_unix_nano: _Optional[int] = ..., time_origin: _Optional[_Union[TimeOrigin, str]] = ..., kind: _Optional[_Union[Kind, str]] = ..., text: _Optional[str] = ..., source: _Optional[str] = ..., partition: _Optional[str] = ..., offset: _Optional[int] = ..., sub: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("query_start", "query_end", "text_start", "text_end", "similarity")
    QUERY_START_FIELD_NUMBER: _ClassVar[int]
    QUERY_END_FIELD_NUMBER: _ClassVar[int]
    TEXT_START_FIELD_NUMBER: _ClassVar[int]
    TEXT_END_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    query_start: int
    query_end: int
    text_start: int
    text_end: int
    similarity: float
    def __init__(self, query_start: _Optional[int] = ..., query_end: _Optional[int] = ..., text_start: _Optional[int] = ..., text_end: _Optional[int] = ..., similarity: _Optional[float] = ...) -> None: ...
