"""Serialised ONNX attributes as plain values, and back: just enough of protobuf's wire format.

The IR keeps the attributes of operators it has no class for as bytes, and knows no ONNX library. The field
numbers are those of ``AttributeProto`` in onnx.proto; the wire format is that of
https://protobuf.dev/programming-guides/encoding.
"""

import math
import struct
from collections.abc import Iterator
from typing import cast

Plain = int | float | str | list[int] | list[float] | list[str]

_NAME, _FLOAT, _INT, _STRING, _FLOATS, _INTS, _STRINGS, _TYPE = 1, 2, 3, 4, 7, 8, 9, 20
_KINDS = {_FLOAT: 1, _INT: 2, _STRING: 3, _FLOATS: 6, _INTS: 7, _STRINGS: 8}  # AttributeType of each field
_VARINT, _BYTES, _FIXED32 = 0, 2, 5


def decode(name: str, data: bytes) -> Plain | None:
    """The number, string or list a serialised attribute holds; None when it cannot be said exactly so."""
    try:
        fields = list(_fields(data))
        values = [_value(number, raw) for number, raw in fields if number not in (_NAME, _TYPE)]
    except (IndexError, ValueError, struct.error):
        return None
    if any(isinstance(value, float) and math.isnan(value) for value in values):  # a payload has no text
        return None
    kinds = {number for number, _ in fields} - {_NAME, _TYPE}
    if len(kinds) != 1 or not values:
        return None
    value = cast("Plain", values if kinds.pop() in (_FLOATS, _INTS, _STRINGS) else values[0])
    return value if encode(name, value) == data else None


def encode(name: str, value: Plain) -> bytes:
    """The serialised attribute that holds a number, a string or a list of at least one."""
    items = value if isinstance(value, list) else [value]
    first = items[0]
    number = _INT if isinstance(first, int) else _FLOAT if isinstance(first, float) else _STRING
    if isinstance(value, list):
        number += _INTS - _INT
    body = b"".join(_field(number, item) for item in items)
    return _field(_NAME, name) + body + _field(_TYPE, _KINDS[number])


def _field(number: int, value: float | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    if isinstance(value, str):
        raw = value.encode()
        return _varint(number << 3 | _BYTES) + _varint(len(raw)) + raw
    return _varint(number << 3 | _FIXED32) + struct.pack("<f", value)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # a negative number is its two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers with their raw contents: a number, or bytes."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _read_varint(data, position)
            yield key >> 3, value
            continue
        if kind not in (_BYTES, _FIXED32):
            raise ValueError(kind)
        length, position = _read_varint(data, position) if kind == _BYTES else (4, position)
        yield key >> 3, data[position : position + length]
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << shift
        shift, position = shift + 7, position + 1
    return value | data[position] << shift, position + 1


def _value(number: int, raw: int | bytes) -> int | float | str:
    if isinstance(raw, int):
        return raw - 2**64 if raw >= 2**63 else raw
    if number in (_FLOAT, _FLOATS):
        return float(struct.unpack("<f", raw)[0])
    if number in (_STRING, _STRINGS):
        return raw.decode()
    raise ValueError(number)
