"""ONNX's TensorProto: which type, which shape, where the data lies, and, for quantization parameters, the numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .description import Tensor
from .limits import MOST_DIMENSIONS, Source
from .protobuf import Message

DIMENSIONS, TENSOR_TYPE, TENSOR_NAME, RAW, EXTERNAL, LOCATION = 1, 2, 8, 9, 13, 14
FLOATS, INT32S, STRINGS, INT64S, DOUBLES, UINT64S = 4, 5, 6, 7, 10, 11
SPARSE_VALUES, SPARSE_DIMENSIONS = 1, 3

# TensorProto.DataType: the name, and how many bits an element takes (0: it varies).
_TYPES = {
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    8: ("string", 0),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    17: ("float8_e4m3fn", 8),
    18: ("float8_e4m3fnuz", 8),
    19: ("float8_e5m2", 8),
    20: ("float8_e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4_e2m1", 4),
    24: ("float8_e8m0", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
    27: ("float6_e2m3", 6),
    28: ("float6_e3m2", 6),
}
BITS = dict(_TYPES.values())
_INTEGERS = {f"{sign}{bits}" for sign in ("int", "uint") for bits in (2, 4, 8, 16, 32, 64)}
_READABLE = _INTEGERS | {"float16", "bfloat16", "float32", "float64"}

# A Constant node's attributes with plain numbers: the type, and AttributeProto's field.
_PLAIN = {
    "value_float": ("float32", 2),
    "value_floats": ("float32", 7),
    "value_int": ("int64", 3),
    "value_ints": ("int64", 8),
    "value_string": ("string", 4),
    "value_strings": ("string", 9),
}
_ATTRIBUTE_TENSOR, _ATTRIBUTE_SPARSE = 5, 22
OUTSIDE = 1  # TensorProto.DataLocation


def dtype_name(code: int) -> str:
    """Returns the name of a TensorProto.DataType; "" for "undefined"."""
    return _TYPES[code][0] if code in _TYPES else f"type {code}" if code else ""


def check_sizes(source: Source, name: str, sizes: Sequence[int]) -> None:
    """Refuses shapes that no tensor has.

    Raises:
        IntegrityError: If there are too many sizes or one is negative.
    """
    if len(sizes) > MOST_DIMENSIONS or min(sizes, default=0) < 0:
        raise source.damaged(f"{name[:80]!r} has shape {list(sizes[:MOST_DIMENSIONS])}")


@dataclass(frozen=True)
class Constant:
    """A tensor whose data is in the file, or in one beside it.

    Attributes:
        tensor: What it is.
        data: The TensorProto with its data; None where that is elsewhere.
        values: The data, where an attribute gave it as plain numbers.
    """

    tensor: Tensor
    data: Message | None
    values: tuple[float, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether `numbers` can read it: no string, no float of 8 bits or fewer, nothing outside the file."""
        return bool(self.values) or (self.data is not None and self.tensor.dtype in _READABLE)

    def numbers(self) -> NDArray[Any]:
        """Returns the elements in C order; meant for quantization parameters, which are few.

        Raises:
            IntegrityError: If there are more or fewer than the shape says.
        """
        if self.data is None:
            return np.array(self.values)
        count = math.prod(size or 0 for size in self.tensor.shape)
        self.data.source.spend(count)
        values = _from_raw(self.data, self.tensor.dtype) if RAW in self.data.fields else _typed(self.data, self.tensor)
        padding = 0 if BITS[self.tensor.dtype] >= 8 else len(values) - count
        if len(values) != count + padding or not 0 <= padding < 4:
            raise self.data.source.damaged(f"{self.tensor.name[:80]!r} has {len(values)} elements, expected {count}")
        return values[:count]


def of_tensor(message: Message) -> Constant:
    """Reads a TensorProto; its data stays where it is."""
    name, sizes, code = message.text(TENSOR_NAME), message.integers(DIMENSIONS), message.integer(TENSOR_TYPE)
    check_sizes(message.source, name, sizes)
    tensor = Tensor(name, dtype_name(code), tuple(sizes), constant=True)
    external = message.integer(LOCATION) == OUTSIDE
    size = _external_size(message) if external else _size(message, tensor)
    return Constant(replace(tensor, size_bytes=size), None if external else message)


def of_sparse(message: Message) -> Constant:
    """Reads a SparseTensorProto: named, typed and measured by its values, shaped by its own dimensions."""
    values = message.message(SPARSE_VALUES)
    if values is None:
        raise message.source.damaged("a sparse tensor has no values")
    sizes = message.integers(SPARSE_DIMENSIONS)
    check_sizes(message.source, values.text(TENSOR_NAME), sizes)
    return Constant(replace(of_tensor(values).tensor, shape=tuple(sizes)), None)


def of_attribute(name: str, kind: str, attribute: Message) -> Constant | None:
    """Reads a Constant node's attribute, or returns None where it is of another kind than ONNX has for data.

    Args:
        name: The node's output.
        kind: The attribute's name, which says what it holds.
        attribute: The AttributeProto.
    """
    if kind in ("value", "sparse_value"):
        message = attribute.message(_ATTRIBUTE_TENSOR if kind == "value" else _ATTRIBUTE_SPARSE)
        if message is None:
            raise attribute.source.damaged(f"the constant {name[:80]!r} has no value")
        found = of_tensor(message) if kind == "value" else of_sparse(message)
        return replace(found, tensor=replace(found.tensor, name=name))
    if kind not in _PLAIN:
        return None
    dtype, number = _PLAIN[kind]
    values: Sequence[float] = ()
    if dtype == "string":
        size = sum(end - start for start, end in attribute.spans(number))
        count = len(attribute.fields.get(number, []))
    else:
        values = attribute.reals(number) if dtype == "float32" else attribute.integers(number)
        count = len(values)
        size = count * BITS[dtype] // 8
    shape = (count,) if kind.endswith("s") else ()
    return Constant(Tensor(name, dtype, shape, constant=True, size_bytes=size), None, tuple(values))


def _size(message: Message, tensor: Tensor) -> int:
    """Returns how many bytes a tensor's data takes; ONNX may store small types wider than they are."""
    if RAW in message.fields or tensor.dtype == "string":
        return sum(end - start for start, end in message.spans(RAW) or message.spans(STRINGS))
    bits = math.prod(size or 0 for size in tensor.shape) * BITS.get(tensor.dtype, 0)
    return -(-bits // 8)


def _external_size(message: Message) -> int:
    entries = {entry.text(1): entry.text(2) for entry in message.messages(EXTERNAL)}
    length = entries.get("length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def int64s(message: Message) -> NDArray[np.int64]:
    """Returns the elements of a TensorProto of int64.

    Raises:
        IntegrityError: If it is damaged.
    """
    values = _from_raw(message, "int64") if RAW in message.fields else np.array(message.integers(INT64S), np.int64)
    return values.astype(np.int64, copy=False)


def _from_raw(message: Message, dtype: str) -> NDArray[Any]:
    start, end = message.spans(RAW)[-1]
    message.source.spend((end - start) // 64)
    return _decoded(message.source.content[start:end], dtype, message.source)


def _typed(message: Message, tensor: Tensor) -> NDArray[Any]:
    """Reads elements from the field that ONNX keeps for their type."""
    if tensor.dtype in ("float32", "float64"):
        wide = tensor.dtype == "float64"
        return np.array(message.reals(DOUBLES if wide else FLOATS, "d" if wide else "f"))
    if tensor.dtype in ("int64", "uint32", "uint64"):
        return np.array(message.integers(INT64S if tensor.dtype == "int64" else UINT64S), np.int64)
    # Narrow types are stored as int32: the bits of one element each, or of a byte's elements where they are narrower.
    stored = np.array(message.integers(INT32S), np.int64).astype(f"<u{max(BITS[tensor.dtype], 8) // 8}")
    return _decoded(stored.tobytes(), tensor.dtype, message.source)


def _decoded(data: bytes, dtype: str, source: Source) -> NDArray[Any]:
    """Turns little-endian bytes into elements."""
    bits = BITS[dtype]
    if len(data) * 8 % bits:
        raise source.damaged(f"{len(data)} bytes are no row of {dtype}")
    if bits < 8:  # several a byte, the lowest bits first
        parts = (np.frombuffer(data, np.uint8)[:, None] >> np.arange(0, 8, bits)) & (1 << bits) - 1
        values = parts.ravel().astype(np.int64)
        return values - (values >> bits - 1 << bits) if dtype.startswith("int") else values
    if dtype == "bfloat16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))
