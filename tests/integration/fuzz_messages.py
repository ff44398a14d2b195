"""Requests that nobody would send, for every method of every service, made from the descriptors.

`methods` is all that a daemon offers. `mutated` changes the bytes of a good message; `extreme`
fills a message of any type with values at and beyond every bound; `wild` is bytes of any kind.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from dejalog.proto.v1 import admin_pb2, ingest_pb2, search_pb2

SECOND = 10**9
MIB = 1 << 20
#: Messages within messages (OTLP values) end here.
DEPTH_MAX = 6

#: By type; those that are right for most fields are given more often.
EXTREMES: dict[str, list[Any]] = {
    "int": [0, 0, 1, 2, 5, 20, -1, 100, 1000, 1001, 2**31 - 1, -(2**31)],
    "long": [0, 1, 20, SECOND, 3_600 * SECOND, -1, 2**63 - 1, -(2**63)],
    "unsigned": [0, 1, 2**31, 2**32 - 1],
    "unsigned_long": [0, 1, 2**32, 2**64 - 1, 1_661_145_496 * SECOND],
    "float": [0.0, 0.5, 1.0, 600.0, 1e9, -1.0, 1e308, 5e-324, float("inf"), float("nan")],
    "enum": [0, 1, 2, 3, 9, 2**31 - 1, -1],
    "bool": [True, False],
    "bytes": [b"", b"pump tripped", b"\xff\xfe\x00", b"{" * 9_999, b"[1,", b"x" * 2 * MIB],
    "text": [
        "",
        "motor overload",
        '"belt slips" severity>=warn -oven site=lodz kind=note',
        "E-12 0x80070005 10.0.0.7:443 P0420",
        '"" "unclosed -"" = != >= <= -- - :',
        "\0\x07\u202e\U0001f527\ufeff" * 20,
        "since yesterday until tomorrow",
        "x " * 4_000,
        "\u00e9" * 8_000,
        "site=lodz",
        "severity>=warn",
        "asset",
        "x" * 100_000,
    ],
}
#: What a client in order would send, by field, and else by type.
PLAIN: dict[str, list[Any]] = {
    "query": ["motor overload", "P0420 severity>=warn", '"Request" kind=log', ""],
    "where": ["asset=engine", "severity>=warn", "kind=note"],
    "asset_labels": ["asset", "host"],
    "page_token": [""],
    "by": ["", "asset", "kind", "severity"],
    "source": ["plc", "cmms"],
    "partition": ["", "1"],
    "encoding": ["", "text", "json", "otlp_proto", "note"],
    "reason": ["", "bad-text"],
    "service": ["", "dejalog.v1.SearchService"],
    "int": [0, 1, 5],
    "long": [0, 1, 20, 100],
    "float": [0.5, 1.0, 600.0],
    "enum": [0, 1],
    "bytes": [b"pump tripped", b'{"message": "valve stuck"}'],
    "text": ["motor overload", "a"],
}
_KINDS = {
    FieldDescriptor.CPPTYPE_INT32: "int",
    FieldDescriptor.CPPTYPE_INT64: "long",
    FieldDescriptor.CPPTYPE_UINT32: "unsigned",
    FieldDescriptor.CPPTYPE_UINT64: "unsigned_long",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_ENUM: "enum",
}


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its path, the class of its requests, and whether they come as a stream.

    `has_end` is false where the answer is a stream that only its client ends.
    """

    path: str
    request: Callable[[], Message]
    is_stream: bool
    has_end: bool
    is_otlp: bool


def methods() -> list[Method]:
    """Every method that a daemon offers, its own and those of health and reflection."""
    modules = (search_pb2, ingest_pb2, admin_pb2, health_pb2, reflection_pb2, logs_service_pb2)
    return [
        Method(
            f"/{service.full_name}/{each.name}",
            getattr(module, each.input_type.name),
            each.client_streaming,
            not each.server_streaming or each.client_streaming,
            module is logs_service_pb2,
        )
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for each in service.methods
    ]


def mutated(data: bytes, random_: random.Random) -> bytes:
    """The bytes with one to four places changed."""
    changed = bytearray(data)
    for _ in range(random_.randint(1, 4)):
        kind = random_.randrange(4)
        place = random_.randrange(len(changed) + 1)
        if kind == 0 and changed:
            changed[place % len(changed)] ^= 1 << random_.randrange(8)
        elif kind == 1:
            changed[place:place] = random_.randbytes(random_.randint(1, 12))
        elif kind == 2:
            del changed[place : place + random_.randint(1, 6)]
        else:
            changed += b"\xff" * random_.randint(1, 10)
    return bytes(changed)


def extreme(
    kind: Callable[[], Any], random_: random.Random, boldness: float = 1.0, depth: int = 0
) -> Any:
    """A message of a type: a share of its values, `boldness`, at and beyond the bounds."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if random_.random() < 0.4 or (field.message_type is not None and depth >= DEPTH_MAX):
            continue
        values = _values(field, is_bold=random_.random() < boldness)
        target = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(target, field, random_, boldness)
        elif field.message_type is not None and _is_repeated(field):
            for _ in range(random_.choice((1, 1, 2))):
                target.add().CopyFrom(extreme(_class_of(field), random_, boldness, depth + 1))
        elif field.message_type is not None:
            target.CopyFrom(extreme(_class_of(field), random_, boldness, depth + 1))
        elif _is_repeated(field):
            target.extend(random_.choices(values, k=2))
        else:
            setattr(message, field.name, random_.choice(values))
    return message


def wild(methods_: list[Method], method: Method, random_: random.Random) -> bytes:
    """Bytes to send to a method: noise, a changed or an extreme request, another's, a large one."""
    kind = random_.randrange(8)
    if kind == 0:
        return random_.randbytes(random_.choice((0, 1, 2, 7, 100, 5_000)))
    if kind == 1:
        other = random_.choice(methods_)
        return bytes(extreme(other.request, random_).SerializeToString())
    boldness = random_.choice((0.0, 0.1, 1.0))
    data: bytes = extreme(method.request, random_, boldness).SerializeToString()
    if kind == 2:
        return data + unknown_fields(random_)
    if kind == 3:
        return data + b"\x0a\x02\xff\xfe" * random_.randint(1, 3)
    if kind == 4:
        # Thousands of repeated values, or one field that is set thousands of times.
        return (data[:200] or b"\x08\x01") * random_.choice((2, 50, 3_000))
    return mutated(data, random_) if kind == 5 else data


def unknown_fields(random_: random.Random) -> bytes:
    """Fields that no version knows, of every wire type, groups within groups among them."""
    parts = (
        b"\xf8\x3f\x01",
        b"\xf9\x3f" + b"\x01" * 8,
        b"\xfa\x3f\x03abc",
        b"\xfd\x3f" + b"\x01" * 4,
        b"\xfb\x3f" * 150,
        b"\xfb\x3f\xfc\x3f",
        b"\xfc\x3f",
        b"\x00",
        b"\xf8\x3f" + b"\xff" * 11,
    )
    return b"".join(random_.choices(parts, k=random_.randint(1, 3)))


def _is_repeated(field: FieldDescriptor) -> bool:
    return field.label == FieldDescriptor.LABEL_REPEATED


def _class_of(field: FieldDescriptor) -> Callable[[], Any]:
    return field.message_type._concrete_class  # type: ignore[no-any-return]


def _values(field: FieldDescriptor, *, is_bold: bool) -> list[Any]:
    if field.message_type is not None:
        return []
    kind = _KINDS.get(field.cpp_type, "text")
    if field.type == FieldDescriptor.TYPE_BYTES:
        kind = "bytes"
    if kind == "enum" and field.enum_type.is_closed:
        return [value.number for value in field.enum_type.values]
    if is_bold:
        return EXTREMES[kind]
    return PLAIN.get(field.name) or PLAIN.get(kind) or EXTREMES[kind]


def _fill_map(target: Any, field: FieldDescriptor, random_: random.Random, boldness: float) -> None:
    parts = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    is_bold = random_.random() < boldness
    names, values = (_values(part, is_bold=is_bold) for part in parts)
    for number in range(random_.choice((1, 2, 65)) if is_bold else 1):
        target[f"{random_.choice(names)}{number}"] = random_.choice(values)
