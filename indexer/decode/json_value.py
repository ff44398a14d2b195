"""JSON text to Python values and to flat fields, bounded in depth.

Numbers with a fraction stay decimal, so that an epoch time keeps its nanoseconds and a value is
shown as it was written.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from dejalog.indexer.decode.draft import Refusal

#: Deeper objects stay one field with a JSON value; ECS and Kubernetes records go to 5.
DEPTH_MAX = 8

Flat = dict[str, object]


def _number(written: str) -> Decimal | str:
    try:
        return Decimal(written)
    except InvalidOperation:  # an exponent beyond what even Decimal can hold
        return written


_decoder = msgspec.json.Decoder(float_hook=_number)
_encoder = msgspec.json.Encoder(decimal_format="number")

#: What the decoder raises on bad input; RecursionError comes from nesting.
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(data: bytes) -> object | Refusal:
    """Return the value of the JSON text `data`, or why it has none."""
    try:
        value: object = _decoder.decode(data)
    except RecursionError:
        return Refusal("json-too-deep", "JSON nested too deep to be decoded", data)
    except _FAULTS as error:
        return Refusal("bad-json", f"not JSON: {error}", data)
    return value


def write(value: object) -> str:
    """Return `value` as compact JSON."""
    return _encoder.encode(value).decode()


def flatten(value: dict[str, object]) -> Flat:
    """Return the fields of an object with dotted names: `{"host": {"name": 1}}` is `host.name`."""
    flat: Flat = {}
    _flatten(value, "", flat, DEPTH_MAX)
    return flat


def _flatten(value: dict[str, object], prefix: str, flat: Flat, depth: int) -> None:
    for name, inner in value.items():
        dotted = prefix + name
        if isinstance(inner, dict) and inner and depth > 1:
            _flatten(inner, dotted + ".", flat, depth - 1)
            continue
        while dotted in flat:  # both {"a.b": 1} and {"a": {"b": 2}}
            dotted += "#"
        flat[dotted] = inner
