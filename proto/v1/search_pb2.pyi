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

class PatternOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATTERN_ORDER_UNSPECIFIED: _ClassVar[PatternOrder]
    PATTERN_ORDER_COUNT: _ClassVar[PatternOrder]
    PATTERN_ORDER_NEWEST: _ClassVar[PatternOrder]
    PATTERN_ORDER_FIRST: _ClassVar[PatternOrder]

class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_UNSPECIFIED: _ClassVar[Change]
    CHANGE_APPEARED: _ClassVar[Change]
    CHANGE_VANISHED: _ClassVar[Change]
    CHANGE_MORE: _ClassVar[Change]
    CHANGE_LESS: _ClassVar[Change]
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
PATTERN_ORDER_UNSPECIFIED: PatternOrder
PATTERN_ORDER_COUNT: PatternOrder
PATTERN_ORDER_NEWEST: PatternOrder
PATTERN_ORDER_FIRST: PatternOrder
CHANGE_UNSPECIFIED: Change
CHANGE_APPEARED: Change
CHANGE_VANISHED: Change
CHANGE_MORE: Change
CHANGE_LESS: Change

class SearchRequest(_message.Message):
    __slots__ = ("query", "limit", "occurrences", "since_unix_nano", "until_unix_nano", "where", "mode", "page_token", "without_evidence")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    query: str
    limit: int
    occurrences: int
    since_unix_nano: int
    until_unix_nano: int
    where: _containers.RepeatedScalarFieldContainer[str]
    mode: SearchMode
    page_token: str
    without_evidence: bool
    def __init__(self, query: _Optional[str] = ..., limit: _Optional[int] = ..., occurrences: _Optional[int] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., where: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., page_token: _Optional[str] = ..., without_evidence: bool = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("hits", "events_total", "events_matched", "patterns_scored", "shards_searched", "elapsed_s", "is_partial", "is_cut", "damaged_shards", "next_page_token", "misspellings")
    HITS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    EVENTS_MATCHED_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_SCORED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_SEARCHED_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_SHARDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MISSPELLINGS_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    events_total: int
    events_matched: int
    patterns_scored: int
    shards_searched: int
    elapsed_s: float
    is_partial: bool
    is_cut: bool
    damaged_shards: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    misspellings: _containers.RepeatedCompositeFieldContainer[Misspelling]
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., events_total: _Optional[int] = ..., events_matched: _Optional[int] = ..., patterns_scored: _Optional[int] = ..., shards_searched: _Optional[int] = ..., elapsed_s: _Optional[float] = ..., is_partial: bool = ..., is_cut: bool = ..., damaged_shards: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ..., misspellings: _Optional[_Iterable[_Union[Misspelling, _Mapping]]] = ...) -> None: ...

class Misspelling(_message.Message):
    __slots__ = ("typed", "read")
    TYPED_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    typed: str
    read: str
    def __init__(self, typed: _Optional[str] = ..., read: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("total", "semantic", "pooled", "lexical", "exact", "marks", "reranked")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_FIELD_NUMBER: _ClassVar[int]
    POOLED_FIELD_NUMBER: _ClassVar[int]
    LEXICAL_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    MARKS_FIELD_NUMBER: _ClassVar[int]
    RERANKED_FIELD_NUMBER: _ClassVar[int]
    total: float
    semantic: float
    pooled: float
    lexical: float
    exact: float
    marks: float
    reranked: float
    def __init__(self, total: _Optional[float] = ..., semantic: _Optional[float] = ..., pooled: _Optional[float] = ..., lexical: _Optional[float] = ..., exact: _Optional[float] = ..., marks: _Optional[float] = ..., reranked: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("query_start", "query_end", "text_start", "text_end", "similarity", "share")
    QUERY_START_FIELD_NUMBER: _ClassVar[int]
    QUERY_END_FIELD_NUMBER: _ClassVar[int]
    TEXT_START_FIELD_NUMBER: _ClassVar[int]
    TEXT_END_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    query_start: int
    query_end: int
    text_start: int
    text_end: int
    similarity: float
    share: float
    def __init__(self, query_start: _Optional[int] = ..., query_end: _Optional[int] = ..., text_start: _Optional[int] = ..., text_end: _Optional[int] = ..., similarity: _Optional[float] = ..., share: _Optional[float] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("events_total", "events_matched", "shards_searched", "elapsed_s", "is_partial", "damaged_shards")
    EVENTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    EVENTS_MATCHED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_SEARCHED_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_SHARDS_FIELD_NUMBER: _ClassVar[int]
    events_total: int
    events_matched: int
    shards_searched: int
    elapsed_s: float
    is_partial: bool
    damaged_shards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, events_total: _Optional[int] = ..., events_matched: _Optional[int] = ..., shards_searched: _Optional[int] = ..., elapsed_s: _Optional[float] = ..., is_partial: bool = ..., damaged_shards: _Optional[_Iterable[str]] = ...) -> None: ...

class SimilarRequest(_message.Message):
    __slots__ = ("event_id", "limit", "occurrences", "since_unix_nano", "until_unix_nano", "where", "mode", "page_token", "without_evidence")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    limit: int
    occurrences: int
    since_unix_nano: int
    until_unix_nano: int
    where: _containers.RepeatedScalarFieldContainer[str]
    mode: SearchMode
    page_token: str
    without_evidence: bool
    def __init__(self, event_id: _Optional[int] = ..., limit: _Optional[int] = ..., occurrences: _Optional[int] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., where: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., page_token: _Optional[str] = ..., without_evidence: bool = ...) -> None: ...

class SimilarResponse(_message.Message):
    __slots__ = ("event", "result")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    event: Occurrence
    result: SearchResponse
    def __init__(self, event: _Optional[_Union[Occurrence, _Mapping]] = ..., result: _Optional[_Union[SearchResponse, _Mapping]] = ...) -> None: ...

class PrecedentsRequest(_message.Message):
    __slots__ = ("query", "event_id", "limit", "course", "notes", "occurrences", "since_unix_nano", "until_unix_nano", "where", "mode", "asset_labels", "gap_s", "horizon_s", "page_token")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    COURSE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ASSET_LABELS_FIELD_NUMBER: _ClassVar[int]
    GAP_S_FIELD_NUMBER: _ClassVar[int]
    HORIZON_S_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    query: str
    event_id: int
    limit: int
    course: int
    notes: int
    occurrences: int
    since_unix_nano: int
    until_unix_nano: int
    where: _containers.RepeatedScalarFieldContainer[str]
    mode: SearchMode
    asset_labels: _containers.RepeatedScalarFieldContainer[str]
    gap_s: float
    horizon_s: float
    page_token: str
    def __init__(self, query: _Optional[str] = ..., event_id: _Optional[int] = ..., limit: _Optional[int] = ..., course: _Optional[int] = ..., notes: _Optional[int] = ..., occurrences: _Optional[int] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., where: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., asset_labels: _Optional[_Iterable[str]] = ..., gap_s: _Optional[float] = ..., horizon_s: _Optional[float] = ..., page_token: _Optional[str] = ...) -> None: ...

class PrecedentsResponse(_message.Message):
    __slots__ = ("event", "precedents", "incidents_total", "coverage", "is_cut", "next_page_token")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    PRECEDENTS_FIELD_NUMBER: _ClassVar[int]
    INCIDENTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    event: Occurrence
    precedents: _containers.RepeatedCompositeFieldContainer[Precedent]
    incidents_total: int
    coverage: Coverage
    is_cut: bool
    next_page_token: str
    def __init__(self, event: _Optional[_Union[Occurrence, _Mapping]] = ..., precedents: _Optional[_Iterable[_Union[Precedent, _Mapping]]] = ..., incidents_total: _Optional[int] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., is_cut: bool = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Precedent(_message.Message):
    __slots__ = ("asset_label", "asset", "source", "start_unix_nano", "end_unix_nano", "score", "events", "hits", "course", "notes", "is_cut")
    ASSET_LABEL_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    START_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    END_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    COURSE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    asset_label: str
    asset: str
    source: str
    start_unix_nano: int
    end_unix_nano: int
    score: float
    events: int
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    course: _containers.RepeatedCompositeFieldContainer[CourseStep]
    notes: _containers.RepeatedCompositeFieldContainer[FollowingNote]
    is_cut: bool
    def __init__(self, asset_label: _Optional[str] = ..., asset: _Optional[str] = ..., source: _Optional[str] = ..., start_unix_nano: _Optional[int] = ..., end_unix_nano: _Optional[int] = ..., score: _Optional[float] = ..., events: _Optional[int] = ..., hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., course: _Optional[_Iterable[_Union[CourseStep, _Mapping]]] = ..., notes: _Optional[_Iterable[_Union[FollowingNote, _Mapping]]] = ..., is_cut: bool = ...) -> None: ...

class CourseStep(_message.Message):
    __slots__ = ("pattern_id", "pattern", "count", "first_seen_unix_nano", "unusual", "example")
    PATTERN_ID_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNUSUAL_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    pattern_id: str
    pattern: str
    count: int
    first_seen_unix_nano: int
    unusual: float
    example: Occurrence
    def __init__(self, pattern_id: _Optional[str] = ..., pattern: _Optional[str] = ..., count: _Optional[int] = ..., first_seen_unix_nano: _Optional[int] = ..., unusual: _Optional[float] = ..., example: _Optional[_Union[Occurrence, _Mapping]] = ...) -> None: ...

class FollowingNote(_message.Message):
    __slots__ = ("note", "after_s", "score")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    AFTER_S_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    note: Occurrence
    after_s: float
    score: float
    def __init__(self, note: _Optional[_Union[Occurrence, _Mapping]] = ..., after_s: _Optional[float] = ..., score: _Optional[float] = ...) -> None: ...

class PatternsRequest(_message.Message):
    __slots__ = ("query", "limit", "since_unix_nano", "until_unix_nano", "where", "is_new", "order", "buckets", "page_token")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    query: str
    limit: int
    since_unix_nano: int
    until_unix_nano: int
    where: _containers.RepeatedScalarFieldContainer[str]
    is_new: bool
    order: PatternOrder
    buckets: int
    page_token: str
    def __init__(self, query: _Optional[str] = ..., limit: _Optional[int] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., where: _Optional[_Iterable[str]] = ..., is_new: bool = ..., order: _Optional[_Union[PatternOrder, str]] = ..., buckets: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class PatternsResponse(_message.Message):
    __slots__ = ("patterns", "patterns_total", "start_unix_nano", "width_nano", "coverage", "is_cut", "next_page_token")
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    START_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WIDTH_NANO_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    patterns: _containers.RepeatedCompositeFieldContainer[PatternSummary]
    patterns_total: int
    start_unix_nano: int
    width_nano: int
    coverage: Coverage
    is_cut: bool
    next_page_token: str
    def __init__(self, patterns: _Optional[_Iterable[_Union[PatternSummary, _Mapping]]] = ..., patterns_total: _Optional[int] = ..., start_unix_nano: _Optional[int] = ..., width_nano: _Optional[int] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., is_cut: bool = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PatternSummary(_message.Message):
    __slots__ = ("pattern_id", "pattern", "count", "first_seen_unix_nano", "last_seen_unix_nano", "first_ever_unix_nano", "counts", "example", "is_cut")
    PATTERN_ID_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVER_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    pattern_id: str
    pattern: str
    count: int
    first_seen_unix_nano: int
    last_seen_unix_nano: int
    first_ever_unix_nano: int
    counts: _containers.RepeatedScalarFieldContainer[int]
    example: Occurrence
    is_cut: bool
    def __init__(self, pattern_id: _Optional[str] = ..., pattern: _Optional[str] = ..., count: _Optional[int] = ..., first_seen_unix_nano: _Optional[int] = ..., last_seen_unix_nano: _Optional[int] = ..., first_ever_unix_nano: _Optional[int] = ..., counts: _Optional[_Iterable[int]] = ..., example: _Optional[_Union[Occurrence, _Mapping]] = ..., is_cut: bool = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("since_unix_nano", "until_unix_nano")
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    since_unix_nano: int
    until_unix_nano: int
    def __init__(self, since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("before", "after", "query", "where", "limit", "false_share", "page_token")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FALSE_SHARE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    before: Window
    after: Window
    query: str
    where: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    false_share: float
    page_token: str
    def __init__(self, before: _Optional[_Union[Window, _Mapping]] = ..., after: _Optional[_Union[Window, _Mapping]] = ..., query: _Optional[str] = ..., where: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., false_share: _Optional[float] = ..., page_token: _Optional[str] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ("changes", "changes_total", "patterns_compared", "events_before", "events_after", "coverage", "is_cut", "next_page_token")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_COMPARED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[PatternChange]
    changes_total: int
    patterns_compared: int
    events_before: int
    events_after: int
    coverage: Coverage
    is_cut: bool
    next_page_token: str
    def __init__(self, changes: _Optional[_Iterable[_Union[PatternChange, _Mapping]]] = ..., changes_total: _Optional[int] = ..., patterns_compared: _Optional[int] = ..., events_before: _Optional[int] = ..., events_after: _Optional[int] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., is_cut: bool = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PatternChange(_message.Message):
    __slots__ = ("pattern_id", "pattern", "change", "count_before", "count_after", "rate_ratio", "p_value", "first_ever_unix_nano", "example", "is_cut")
    PATTERN_ID_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    COUNT_AFTER_FIELD_NUMBER: _ClassVar[int]
    RATE_RATIO_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVER_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    pattern_id: str
    pattern: str
    change: Change
    count_before: int
    count_after: int
    rate_ratio: float
    p_value: float
    first_ever_unix_nano: int
    example: Occurrence
    is_cut: bool
    def __init__(self, pattern_id: _Optional[str] = ..., pattern: _Optional[str] = ..., change: _Optional[_Union[Change, str]] = ..., count_before: _Optional[int] = ..., count_after: _Optional[int] = ..., rate_ratio: _Optional[float] = ..., p_value: _Optional[float] = ..., first_ever_unix_nano: _Optional[int] = ..., example: _Optional[_Union[Occurrence, _Mapping]] = ..., is_cut: bool = ...) -> None: ...

class HistogramRequest(_message.Message):
    __slots__ = ("query", "since_unix_nano", "until_unix_nano", "where", "buckets", "by", "values")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    query: str
    since_unix_nano: int
    until_unix_nano: int
    where: _containers.RepeatedScalarFieldContainer[str]
    buckets: int
    by: str
    values: int
    def __init__(self, query: _Optional[str] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., where: _Optional[_Iterable[str]] = ..., buckets: _Optional[int] = ..., by: _Optional[str] = ..., values: _Optional[int] = ...) -> None: ...

class HistogramResponse(_message.Message):
    __slots__ = ("series", "start_unix_nano", "width_nano", "coverage")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    START_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    WIDTH_NANO_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    start_unix_nano: int
    width_nano: int
    coverage: Coverage
    def __init__(self, series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., start_unix_nano: _Optional[int] = ..., width_nano: _Optional[int] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("value", "counts", "is_rest")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    IS_REST_FIELD_NUMBER: _ClassVar[int]
    value: str
    counts: _containers.RepeatedScalarFieldContainer[int]
    is_rest: bool
    def __init__(self, value: _Optional[str] = ..., counts: _Optional[_Iterable[int]] = ..., is_rest: bool = ...) -> None: ...

class ContextRequest(_message.Message):
    __slots__ = ("event_id", "before", "after")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    before: int
    after: int
    def __init__(self, event_id: _Optional[int] = ..., before: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class ContextResponse(_message.Message):
    __slots__ = ("event", "before", "after", "is_complete", "is_cut")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    IS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    event: Occurrence
    before: _containers.RepeatedCompositeFieldContainer[Occurrence]
    after: _containers.RepeatedCompositeFieldContainer[Occurrence]
    is_complete: bool
    is_cut: bool
    def __init__(self, event: _Optional[_Union[Occurrence, _Mapping]] = ..., before: _Optional[_Iterable[_Union[Occurrence, _Mapping]]] = ..., after: _Optional[_Iterable[_Union[Occurrence, _Mapping]]] = ..., is_complete: bool = ..., is_cut: bool = ...) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("query", "where", "mode", "score_min", "after_event_id", "without_evidence")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    SCORE_MIN_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    query: str
    where: _containers.RepeatedScalarFieldContainer[str]
    mode: SearchMode
    score_min: float
    after_event_id: int
    without_evidence: bool
    def __init__(self, query: _Optional[str] = ..., where: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., score_min: _Optional[float] = ..., after_event_id: _Optional[int] = ..., without_evidence: bool = ...) -> None: ...

class FollowResponse(_message.Message):
    __slots__ = ("matches", "last_event_id", "is_partial")
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    matches: _containers.RepeatedCompositeFieldContainer[Match]
    last_event_id: int
    is_partial: bool
    def __init__(self, matches: _Optional[_Iterable[_Union[Match, _Mapping]]] = ..., last_event_id: _Optional[int] = ..., is_partial: bool = ...) -> None: ...

class Match(_message.Message):
    __slots__ = ("occurrence", "pattern_id", "pattern", "scores", "evidence", "is_new_pattern", "is_cut")
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    PATTERN_ID_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_PATTERN_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    occurrence: Occurrence
    pattern_id: str
    pattern: str
    scores: Scores
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    is_new_pattern: bool
    is_cut: bool
    def __init__(self, occurrence: _Optional[_Union[Occurrence, _Mapping]] = ..., pattern_id: _Optional[str] = ..., pattern: _Optional[str] = ..., scores: _Optional[_Union[Scores, _Mapping]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., is_new_pattern: bool = ..., is_cut: bool = ...) -> None: ...
