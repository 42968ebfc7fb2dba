"""FlatBuffers, read without generated code and without trust.

The format (https://flatbuffers.dev/internals/): a file starts with the offset of its root table. A table starts with
the distance back to its vtable, which lists where in the table each field lies, 0 for one left at its default. Fields
that are strings, vectors or tables hold the distance forward to them.
"""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .limits import Source

_SIZES = {code: struct.calcsize(f"<{code}") for code in "bBhHiIqQf"}
BYTES_PER_ITEM = 64  # bytes that are looked at as a block count less than numbers that become objects
_TEXT_COST = 8  # items, of a string that may be empty
_TABLE_COST = 16  # items; a table becomes an object of some hundred bytes


def number(source: Source, code: str, position: int) -> int:
    """Reads one little-endian integer.

    Raises:
        IntegrityError: If it does not lie within the file.
    """
    if not 0 <= position <= len(source.content) - _SIZES[code]:
        raise source.damaged(f"it points to byte {position} of {len(source.content)}")
    value: int = struct.unpack_from(f"<{code}", source.content, position)[0]
    return value


def follow(source: Source, position: int) -> int:
    """Returns where the distance forward that stands at a position leads.

    Raises:
        IntegrityError: If it leads out of the file.
    """
    target = position + number(source, "I", position)
    if target >= len(source.content):
        raise source.damaged(f"it points to byte {target} of {len(source.content)}")
    return target


def root(source: Source, identifier: bytes | None) -> "Table":
    """Returns the root table of a file.

    Args:
        source: The file.
        identifier: The four bytes that name its schema; None where the schema has none.

    Raises:
        IntegrityError: If the file has another identifier, or is damaged.
    """
    if identifier is not None and (found := source.content[4:8]) != identifier:
        raise source.damaged(f"bytes 4 to 8 are {found!r}, expected {identifier!r}")
    return Table(source, follow(source, 0))


class Table:
    """A table, its fields by the number of their slot in the schema; every access may raise `IntegrityError`."""

    def __init__(self, source: Source, position: int) -> None:
        """Finds the table at a byte of the file, and its vtable."""
        source.spend(_TABLE_COST)
        self.source = source
        self.position = position
        self._vtable = position - number(source, "i", position)
        self._slots = (number(source, "H", self._vtable) - 4) // 2

    def __len__(self) -> int:
        """Returns how many slots the file's writer knew of."""
        return max(self._slots, 0)

    def field(self, slot: int) -> int | None:
        """Returns where a field lies in the file, or None where it is left at its default."""
        if slot >= self._slots:
            return None
        offset = number(self.source, "H", self._vtable + 4 + 2 * slot)
        return self.position + offset if offset else None

    def integer(self, slot: int, code: str, default: int = 0) -> int:
        """Returns an integer; `code` is its type, as for `struct`."""
        where = self.field(slot)
        return default if where is None else number(self.source, code, where)

    def target(self, slot: int) -> int | None:
        """Returns where the string, vector or table of a field lies, or None where there is none."""
        where = self.field(slot)
        return None if where is None else follow(self.source, where)

    def table(self, slot: int) -> "Table | None":
        """Returns a field's table."""
        where = self.target(slot)
        return None if where is None else Table(self.source, where)

    def tables(self, slot: int) -> "Tables":
        """Returns a field's vector of tables, empty where there is none."""
        return Tables(self.source, *self._vector(slot, 4))

    def numbers(self, slot: int, code: str) -> tuple[int, ...]:
        """Returns a field's vector of integers; `code` is their type, as for `struct`."""
        return self._values(slot, code)

    def reals(self, slot: int) -> tuple[float, ...]:
        """Returns a field's vector of float32 numbers."""
        return self._values(slot, "f")

    def text(self, slot: int) -> str:
        """Returns a field's string, "" where there is none."""
        where = self.target(slot)
        return "" if where is None else self._text(where)

    def span(self, slot: int) -> tuple[int, int]:
        """Returns where a field's vector of bytes starts and ends; both are 0 where there is none."""
        start, count = self._vector(slot, 1)
        return start, start + count

    def count(self, slot: int, size: int) -> int:
        """Returns how many items of `size` bytes a field's vector has, none of which is read."""
        return self._vector(slot, size)[1]

    def texts(self, slot: int) -> tuple[str, ...]:
        """Returns a field's vector of strings."""
        start, count = self._vector(slot, 4)
        return tuple(self._text(follow(self.source, start + 4 * index)) for index in range(count))

    def array(self, slot: int, size: int) -> NDArray[np.void]:
        """Returns a field's vector of items of `size` bytes as it lies in the file, empty where there is none.

        Raises:
            IntegrityError: If it does not lie within the file, or not where such items may lie.
        """
        start, count = self._vector(slot, size)
        if start % min(size, 4):
            raise self.source.damaged(f"the vector at byte {start} is not aligned")
        self.source.spend(count * size // BYTES_PER_ITEM)
        return np.frombuffer(self.source.content, f"V{size}", count, start)

    def _text(self, where: int) -> str:
        start, end = where + 4, where + 4 + number(self.source, "I", where)
        if end > len(self.source.content):
            raise self.source.damaged(f"the text at byte {where} reaches past its end")
        self.source.spend(_TEXT_COST + end - start)
        try:
            return self.source.content[start:end].decode()
        except UnicodeDecodeError as error:
            raise self.source.damaged(f"the text at byte {start} is not UTF-8") from error

    def _values(self, slot: int, code: str) -> tuple[int, ...]:
        start, count = self._vector(slot, _SIZES[code])
        self.source.spend(count)
        return struct.unpack_from(f"<{count}{code}", self.source.content, start)

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        """Returns where a vector's first item lies, and how many items of `size` bytes it has."""
        where = self.target(slot)
        if where is None:
            return 0, 0
        count = number(self.source, "I", where)
        if count * size > len(self.source.content) - where - 4:
            raise self.source.damaged(f"the {count} items at byte {where} reach past its end")
        return where + 4, count


class Tables:
    """A vector of tables, each read when it is asked for."""

    def __init__(self, source: Source, start: int, count: int) -> None:
        """Takes the place of the first of `count` offsets, all of which lie within the file."""
        self._source = source
        self._start = start
        self._count = count

    def __len__(self) -> int:
        """Returns how many tables there are."""
        return self._count

    def __getitem__(self, index: int) -> Table:
        """Returns a table.

        Raises:
            IntegrityError: If there is none of that index.
        """
        return Table(self._source, self.position(index))

    def __iter__(self) -> Iterator[Table]:
        """Goes through the tables in order."""
        return (self[index] for index in range(self._count))

    def position(self, index: int) -> int:
        """Returns where a table lies in the file."""
        if not 0 <= index < self._count:
            raise self._source.damaged(f"it refers to entry {index} of {self._count}")
        return follow(self._source, self._start + 4 * index)
