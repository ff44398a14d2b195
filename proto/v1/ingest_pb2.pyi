from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AppendRequest(_message.Message):
    __slots__ = ("source", "partition", "encoding", "labels", "records")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    source: str
    partition: str
    encoding: str
    labels: _containers.ScalarMap[str, str]
    records: _containers.RepeatedCompositeFieldContainer[AppendRecord]
    def __init__(self, source: _Optional[str] = ..., partition: _Optional[str] = ..., encoding: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., records: _Optional[_Iterable[_Union[AppendRecord, _Mapping]]] = ...) -> None: ...

class AppendRecord(_message.Message):
    __slots__ = ("data", "offset")
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    offset: int
    def __init__(self, data: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class AppendResponse(_message.Message):
    __slots__ = ("accepted", "duplicates", "dead_letters", "positions")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    duplicates: int
    dead_letters: int
    positions: _containers.RepeatedCompositeFieldContainer[PartitionPosition]
    def __init__(self, accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., dead_letters: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[PartitionPosition, _Mapping]]] = ...) -> None: ...

class PartitionPosition(_message.Message):
    __slots__ = ("source", "partition", "next_offset")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    source: str
    partition: str
    next_offset: int
    def __init__(self, source: _Optional[str] = ..., partition: _Optional[str] = ..., next_offset: _Optional[int] = ...) -> None: ...
