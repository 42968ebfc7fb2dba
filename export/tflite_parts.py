"""A TFLite file in three parts: the model as it was converted, metadata that is added to it, files that follow it.

Adding metadata with TensorFlow's object interface means to unpack the model and pack it anew, which costs time and
loses the alignment of the weights to 16 bytes. Here the model stays as it is, byte for byte, and a block is put in
front of it: a root table that has the model's own fields and longer lists of metadata and buffers. Offsets in a
FlatBuffer only ever point forward and count from where they stand, so that the block can refer to everything in the
model, and nothing in the model changes. The block is a multiple of 64 bytes, a cache line: weights stay aligned as
they were. It begins like any TFLite file, and says how long it is, so that it can be taken off again:

    0   offset of the root table
    4   "TFL3"
    8   "liteport"
    16  length of the block
    20  the tables, then the model

Files that follow the model, as the official TFLite Metadata wants its label lists, are a zip archive whose offsets
count from the start of the file; they are adjusted when the block's length changes.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from liteport.errors import ConversionError
from liteport.runtime.contents.flatbuffer import Table, root
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.tflite import IDENTIFIER, metadata_spans

_MARK = b"liteport"
_HEADER = struct.Struct("<I4s8sI")
_BLOCK_ALIGNMENT = 64
_DATA_ALIGNMENT = 16  # what the schema asks of buffers
_ANY_LENGTH = 1 << 30  # past the end of any block, so that no distance is negative

# TensorFlow Lite's Model: its version is a number, all else that is known of it are offsets.
_VERSION, _BUFFERS, _METADATA, _KNOWN_SLOTS = 0, 4, 6, 10
_BUFFER_OFFSET = 1
_METADATA_NAME = 0

# vtables: their own size, their table's size, where each field lies.
_METADATA_VTABLE = struct.pack("<4H", 8, 12, 4, 8)
_BUFFER_VTABLE = struct.pack("<3H", 6, 8, 4)

# A zip archive's end record: size and offset of the central directory, length of the comment; and of each member in
# that directory: lengths of its name, extra field and comment, and the offset of its data (PKWARE's APPNOTE.TXT 4.3).
_END_RECORD = struct.Struct("<12xIIH")
_END_OFFSET = 16
_MEMBER = struct.Struct("<28xHHH8xI")


@dataclass(frozen=True)
class Parts:
    """The parts of a file.

    Attributes:
        model: The TFLite file as it was converted.
        metadata: What is added to its metadata, by name; an entry of the model of the same name is hidden.
        archive: A zip archive of associated files, its offsets counted from its own start; empty where there is none.
    """

    model: bytes
    metadata: Mapping[str, bytes]
    archive: bytes


def take_apart(content: bytes) -> Parts:
    """Finds the parts of a TFLite file; of one that has no block, all metadata is the model's own.

    Raises:
        IntegrityError: If the file is damaged.
    """
    spans = metadata_spans(content)
    end = _start_of_archive(content)
    _, _, mark, length = _HEADER.unpack_from(content.ljust(_HEADER.size, b"\0"))
    if mark != _MARK or not _HEADER.size < length < end:
        return Parts(content[:end], {}, _rebased(content[end:], 0))
    added = {name: content[first:last] for name, (first, last) in spans.items() if first < length}
    return Parts(content[length:end], added, _rebased(content[end:], 0))


def put_together(parts: Parts) -> bytes:
    """Makes a file of its parts: the same file every time, in whatever order the parts were come by.

    Raises:
        IntegrityError: If the model is damaged.
        ConversionError: If the model is laid out in a way that cannot be put behind a block.
    """
    block = _block(parts.model, parts.metadata) if parts.metadata else b""
    return block + parts.model + _rebased(parts.archive, len(block) + len(parts.model))


def _block(content: bytes, metadata: Mapping[str, bytes]) -> bytes:
    model = root(Source(content, "the TFLite file"), IDENTIFIER)
    if any(model.field(slot) is not None for slot in range(_KNOWN_SLOTS, len(model))):
        raise ConversionError("the TFLite file is of a newer schema than is known here; metadata cannot be added to it")
    if any(buffer.integer(_BUFFER_OFFSET, "Q") > 1 for buffer in model.tables(_BUFFERS)):
        raise ConversionError(
            "the TFLite file keeps weights after its FlatBuffer, as files over 2 GB do; metadata cannot be added to it"
        )
    draft = _tables(model, metadata, _ANY_LENGTH)  # distances into the model are not right yet, but as long as they are
    return _tables(model, metadata, len(draft))


class _Writer:
    """Bytes that are written one after the other, and distances that are filled in once it is known where to."""

    def __init__(self) -> None:
        self.data = bytearray(_HEADER.size)

    def add(self, layout: str, *values: int | bytes) -> int:
        """Appends values laid out as for `struct`, and returns where they start."""
        at = len(self.data)
        self.data += struct.pack(f"<{layout}", *values)
        return at

    def align(self, size: int, after: int = 0) -> None:
        """Pads so that what comes `after` more bytes is aligned."""
        self.data += bytes(-(len(self.data) + after) % size)

    def offsets(self, count: int) -> list[int]:
        """Appends a vector of distances to be filled in, and returns where each of them is."""
        self.add("I", count)
        return [self.add("I", 0) for _ in range(count)]

    def point(self, at: int, target: int) -> None:
        """Fills in the distance from one place to another."""
        struct.pack_into("<I", self.data, at, target - at)


def _tables(model: Table, metadata: Mapping[str, bytes], length: int) -> bytes:
    """Writes the block of a model that starts after `length` bytes."""
    buffers, entries = model.tables(_BUFFERS), model.tables(_METADATA)
    kept = [entries.position(i) for i in range(len(entries)) if entries[i].text(_METADATA_NAME) not in metadata]
    writer = _Writer()
    places, table = _model_table(writer, model, length)
    writer.point(places[_METADATA], len(writer.data))
    entry_places = writer.offsets(len(kept) + len(metadata))
    writer.point(places[_BUFFERS], len(writer.data))
    buffer_places = writer.offsets(len(buffers) + len(metadata))
    for i, position in enumerate(kept):
        writer.point(entry_places[i], length + position)
    for i in range(len(buffers)):
        writer.point(buffer_places[i], length + buffers.position(i))
    for i, (name, data) in enumerate(sorted(metadata.items())):
        writer.point(entry_places[len(kept) + i], _entry(writer, name, len(buffers) + i))
        writer.point(buffer_places[len(buffers) + i], _buffer(writer, data))
    writer.align(_BLOCK_ALIGNMENT)
    _HEADER.pack_into(writer.data, 0, table, IDENTIFIER, _MARK, len(writer.data))
    return bytes(writer.data)


def _model_table(writer: _Writer, model: Table, length: int) -> tuple[dict[int, int], int]:
    """Writes a root table with the model's fields, and returns where its fields and the table itself are."""
    slots = range(max(len(model), _METADATA + 1))
    used = [slot for slot in slots if slot in (_BUFFERS, _METADATA) or model.field(slot) is not None]
    offsets = [4 + 4 * used.index(slot) if slot in used else 0 for slot in slots]
    vtable = writer.add(f"{2 + len(slots)}H", 4 + 2 * len(slots), 4 + 4 * len(used), *offsets)
    writer.align(4)
    table = writer.add("i", len(writer.data) - vtable)
    places = {slot: writer.add("I", model.integer(_VERSION, "I") if slot == _VERSION else 0) for slot in used}
    for slot, place in places.items():
        target = model.target(slot) if slot != _VERSION else None
        if target is not None:
            writer.point(place, length + target)
    return places, table


def _entry(writer: _Writer, name: str, buffer: int) -> int:
    """Writes a Metadata table, and returns where it is."""
    writer.align(4)
    vtable = writer.add("8s", _METADATA_VTABLE)
    table = writer.add("iII", len(writer.data) - vtable, 0, buffer)
    text = name.encode()
    writer.point(table + 4, writer.add(f"I{len(text)}sx", len(text), text))
    return table


def _buffer(writer: _Writer, data: bytes) -> int:
    """Writes a Buffer table and its data, and returns where the table is."""
    writer.align(4)
    vtable = writer.add("6s2x", _BUFFER_VTABLE)
    table = writer.add("iI", len(writer.data) - vtable, 0)
    writer.align(_DATA_ALIGNMENT, after=4)
    writer.point(table + 4, writer.add(f"I{len(data)}s", len(data), data))
    return table


@dataclass(frozen=True)
class _Directory:
    """The central directory at the end of a zip archive.

    Attributes:
        start: Where it starts.
        end: Where it ends, and the end record starts.
        short: How much its offsets fall short of places in the file: they may count from the archive's start.
        members: For each member where its offset is written, and the offset.
    """

    start: int
    end: int
    short: int
    members: tuple[tuple[int, int], ...]


def _directory(content: bytes) -> _Directory | None:
    """Finds a zip archive at the very end of a file; None where there is none."""
    end = content.rfind(b"PK\5\6", max(0, len(content) - _END_RECORD.size - 0xFFFF))
    if end < 0 or end + _END_RECORD.size > len(content):
        return None
    size, offset, comment = _END_RECORD.unpack_from(content, end)
    start = at = end - size
    if start < 0 or end + _END_RECORD.size + comment != len(content):
        return None
    members = []
    while at + _MEMBER.size <= end and content[at : at + 4] == b"PK\1\2":
        *lengths, member = _MEMBER.unpack_from(content, at)
        members.append((at + _MEMBER.size - 4, member))
        at += _MEMBER.size + sum(lengths)
    found = _Directory(start, end, start - offset, tuple(members))
    return found if at == end and all(0 <= member + found.short <= start for _, member in members) else None


def _start_of_archive(content: bytes) -> int:
    """Returns where the zip archive at the end of a file starts, or the file's length where there is none."""
    found = _directory(content)
    if found is None:
        return len(content)
    return min([found.start, *(offset + found.short for _, offset in found.members)])


def _rebased(archive: bytes, start: int) -> bytes:
    """Returns an archive with its offsets as they are where it starts at a byte of a file."""
    found = _directory(archive)
    if found is None:
        return archive
    changed = bytearray(archive)
    for at, offset in [*found.members, (found.end + _END_OFFSET, found.start - found.short)]:
        struct.pack_into("<I", changed, at, offset + found.short + start)
    return bytes(changed)
