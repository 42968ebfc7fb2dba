"""Protocol Buffers' wire format, without generated code; read without trust.

The format (https://protobuf.dev/programming-guides/encoding/): a message is a row of fields, each with its number and
one of four wire types. Nothing is shared and nothing points anywhere, so that skipping a field is free, however large.
"""

import struct
from typing import NamedTuple

import numpy as np

from .limits import Source

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIELD_COST = 8  # items; a field becomes an object of some hundred bytes
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Its number in the schema.
        wire: Its wire type.
        value: Of a varint, as an unsigned number of 64 bits.
        tag: Where the field starts in the file.
        start: Where its content starts.
        end: Where its content and the field end.
    """

    number: int
    wire: int
    value: int
    tag: int
    start: int
    end: int


class Message:
    """A message, its fields by their number in the schema; every access may raise `IntegrityError`.

    A field of another wire type than the schema's, and text that is not UTF-8, are damage. Where a field that may
    stand once stands several times, the last one counts, as the format wants it.
    """

    def __init__(self, source: Source, start: int = 0, end: int | None = None) -> None:
        """Reads the fields between two bytes of the file, without looking into them."""
        self.source = source
        self.fields: dict[int, list[Field]] = {}
        end = len(source.content) if end is None else end
        while start < end:
            source.spend(_FIELD_COST)
            field = _field(source, start, end)
            self.fields.setdefault(field.number, []).append(field)
            start = field.end

    def integer(self, number: int, default: int = 0) -> int:
        """Returns a signed integer."""
        found = self._of(number, _VARINT)
        return _signed(found[-1].value) if found else default

    def integers(self, number: int) -> list[int]:
        """Returns a repeated signed integer, packed or not."""
        values = []
        for field in self._of(number, _VARINT, _BYTES):
            if field.wire == _VARINT:
                values.append(_signed(field.value))
            at = field.start
            while field.wire == _BYTES and at < field.end:
                self.source.spend(1)
                value, at = _varint(self.source, at, field.end)
                values.append(_signed(value))
        return values

    def reals(self, number: int, code: str = "f") -> list[float]:
        """Returns a repeated floating number, packed or not; `code` is "f" or "d", as for `struct`."""
        values: list[float] = []
        size = struct.calcsize(f"<{code}")
        for field in self._of(number, _BYTES, _FIXED32 if code == "f" else _FIXED64):
            count, rest = divmod(field.end - field.start, size)
            if rest:
                raise self.source.damaged(f"the {field.end - field.start} bytes at {field.start} are no row of numbers")
            self.source.spend(count)
            values += struct.unpack_from(f"<{count}{code}", self.source.content, field.start)
        return values

    def count(self, number: int, size: int | None) -> int:
        """Returns how many numbers a repeated field has, packed or not, without reading them.

        Args:
            number: The field.
            size: How many bytes each takes; None where it varies, as of integers.
        """
        total = 0
        for field in self._of(number, _VARINT, _BYTES, _FIXED32, _FIXED64):
            if field.wire != _BYTES:
                total += 1
            elif size is None:  # only the last byte of a number is below 128
                content = np.frombuffer(self.source.content, np.uint8, field.end - field.start, field.start)
                total += int((content < 0x80).sum())
            else:
                count, rest = divmod(field.end - field.start, size)
                if rest:
                    raise self.source.damaged(
                        f"the {field.end - field.start} bytes at {field.start} are no row of numbers"
                    )
                total += count
        return total

    def spans(self, number: int) -> list[tuple[int, int]]:
        """Returns where each occurrence of a field of bytes starts and ends."""
        return [(field.start, field.end) for field in self._of(number, _BYTES)]

    def messages(self, number: int) -> list["Message"]:
        """Returns a repeated message."""
        return [Message(self.source, start, end) for start, end in self.spans(number)]

    def message(self, number: int) -> "Message | None":
        """Returns a message, or None where there is none."""
        spans = self.spans(number)
        return Message(self.source, *spans[-1]) if spans else None

    def texts(self, number: int) -> list[str]:
        """Returns a repeated string."""
        found = []
        for start, end in self.spans(number):
            self.source.spend(1)
            try:
                found.append(self.source.content[start:end].decode())
            except UnicodeDecodeError as error:
                raise self.source.damaged(f"the text at byte {start} is not UTF-8") from error
        return found

    def text(self, number: int) -> str:
        """Returns a string, "" where there is none."""
        return (self.texts(number) or [""])[-1]

    def _of(self, number: int, *wires: int) -> list[Field]:
        found = self.fields.get(number, [])
        for field in found:
            if field.wire not in wires:
                raise self.source.damaged(f"field {number} at byte {field.tag} has wire type {field.wire}")
        return found


def _field(source: Source, tag: int, end: int) -> Field:
    key, start = _varint(source, tag, end)
    number, wire = key >> 3, key & 7
    value, size = 0, _FIXED_SIZES.get(wire, 0)
    if wire == _VARINT:
        value, after = _varint(source, start, end)
        size = after - start
    elif wire == _BYTES:
        size, start = _varint(source, start, end)
    elif wire not in _FIXED_SIZES:
        raise source.damaged(f"the field at byte {tag} has the unknown wire type {wire}")
    if number == 0 or start + size > end:
        raise source.damaged(f"the field {number} at byte {tag} reaches past the end of what holds it")
    return Field(number, wire, value, tag, start, start + size)


def _varint(source: Source, at: int, end: int) -> tuple[int, int]:
    """Returns the number at a byte, seven bits a byte and the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = source.content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise source.damaged(f"the number that ends at byte {at} is cut off or too long")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def bytes_field(number: int, content: bytes) -> bytes:
    """Writes a field that holds bytes, which may be a text or a message."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
