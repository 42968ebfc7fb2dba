"""Whether the data of ONNX's tensors is in the file, and as much as their shapes and types say."""

import math

import numpy as np

from .limits import Source
from .onnx_tensors import (
    BITS,
    DIMENSIONS,
    DOUBLES,
    EXTERNAL,
    FLOATS,
    INT32S,
    INT64S,
    LOCATION,
    OUTSIDE,
    RAW,
    SPARSE_DIMENSIONS,
    SPARSE_VALUES,
    STRINGS,
    TENSOR_NAME,
    TENSOR_TYPE,
    UINT64S,
    check_sizes,
    dtype_name,
    int64s,
)
from .protobuf import Message

_SPARSE_INDICES = 2
_MOST_ELEMENTS = 2**31 - 1

# By type: the field of plain numbers, bytes of each (None: it varies), and how many there are of an element.
_FIELDS: dict[str, tuple[int, int | None, int]] = {
    "float32": (FLOATS, 4, 1),
    "complex64": (FLOATS, 4, 2),
    "float64": (DOUBLES, 8, 1),
    "complex128": (DOUBLES, 8, 2),
    "int64": (INT64S, None, 1),
    "uint32": (UINT64S, None, 1),
    "uint64": (UINT64S, None, 1),
}


def check_tensor(message: Message) -> str:
    """Checks a TensorProto, and returns its name.

    Raises:
        IntegrityError: If its data does not fit its shape and type, or is kept in another file.
    """
    name, sizes = message.text(TENSOR_NAME), message.integers(DIMENSIONS)
    _check_place(message, name)
    check_sizes(message.source, name, sizes)
    dtype, elements = dtype_name(message.integer(TENSOR_TYPE)), math.prod(sizes)
    if dtype not in BITS or elements > _MOST_ELEMENTS:
        raise message.source.damaged(f"{name[:80]!r} is {dtype or 'of no type'} {sizes}")
    found, expected = _found(message, dtype, elements)
    if found != expected:
        raise message.source.damaged(f"{name[:80]!r} has data of size {found}, expected {expected} for {dtype} {sizes}")
    return name


def _check_place(message: Message, name: str) -> None:
    if message.integer(LOCATION) == OUTSIDE or message.spans(EXTERNAL):
        entries = {entry.text(1): entry.text(2) for entry in message.messages(EXTERNAL)}
        raise message.source.incomplete(f"another file, {entries.get('location', '')[:80]!r} for {name[:80]!r}")


def _found(message: Message, dtype: str, elements: int) -> tuple[int, int]:
    """Returns how much data there is, and how much there should be: in bytes, or in numbers where they are typed."""
    if dtype == "string":
        return len(message.spans(STRINGS)), elements
    whole = -(-elements * BITS[dtype] // 8)
    if RAW in message.fields:
        start, end = message.spans(RAW)[-1]
        return end - start, whole
    if dtype in _FIELDS:
        field, size, each = _FIELDS[dtype]
        return message.count(field, size), each * elements
    # Narrow types as int32: one a number, or a byte's worth of them.
    return message.count(INT32S, None), elements if BITS[dtype] >= 8 else whole


def check_sparse(message: Message) -> str:
    """Checks a SparseTensorProto, and returns its name.

    Raises:
        IntegrityError: If values, indices and shape do not fit together, or data is kept in another file.
    """
    values, indices = message.message(SPARSE_VALUES), message.message(_SPARSE_INDICES)
    sizes = message.integers(SPARSE_DIMENSIONS)
    check_sizes(message.source, "a sparse tensor", sizes)
    if values is None:
        raise message.source.damaged("a sparse tensor has no values")
    name = check_tensor(values)
    count = math.prod(values.integers(DIMENSIONS))
    if indices is None and count:
        raise message.source.damaged(f"{name[:80]!r} has no indices")
    if indices is not None:
        check_tensor(indices)
        _check_indices(message.source, name, indices, count, sizes)
    return name


def _check_indices(source: Source, name: str, indices: Message, count: int, sizes: list[int]) -> None:
    """Checks indices: one a value counted through the whole tensor, or one for each of its dimensions."""
    shape = indices.integers(DIMENSIONS)
    if shape not in ([count], [count, len(sizes)]) or dtype_name(indices.integer(TENSOR_TYPE)) != "int64":
        raise source.damaged(f"{name[:80]!r} has {count} values and indices of shape {shape}")
    found = int64s(indices).reshape(shape)
    if (found < 0).any() or (found >= np.array(sizes if len(shape) == 2 else [math.prod(sizes)])).any():
        raise source.damaged(f"{name[:80]!r} has indices that do not lie in its shape {sizes}")
