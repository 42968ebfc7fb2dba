"""A TFLite file that holds one matrix product, written from the schema: what TFLite engines reach at most.

FlatBuffers (https://flatbuffers.dev/internals/) may be laid out in any order as long as tables, vectors and texts
lie after what refers to them; here each table's children follow it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liteport.runtime.contents.tflite import (
    BUFFER_DATA,
    GRAPH_INPUTS,
    GRAPH_OPERATORS,
    GRAPH_OUTPUTS,
    GRAPH_TENSORS,
    IDENTIFIER,
    MODEL_BUFFERS,
    MODEL_CODES,
    MODEL_SUBGRAPHS,
    OPERATOR_CODE,
    OPERATOR_INPUTS,
    OPERATOR_OUTPUTS,
    TENSOR_BUFFER,
    TENSOR_NAME,
    TENSOR_QUANTIZATION,
    TENSOR_SHAPE,
    TENSOR_TYPE,
)
from liteport.runtime.contents.tflite_names import BUILTIN_OPERATORS, TENSOR_TYPES

_MODEL_VERSION, _SCHEMA = 0, 3
_CODE_OLD, _CODE_VERSION, _CODE = 0, 2, 3
_SCALE, _ZERO_POINT = 2, 3
_OPTIONS_TYPE, _OPTIONS, _FULLY_CONNECTED_OPTIONS = 3, 4, 8
_ALIGNMENT = 16  # of constants, which engines map where they lie
_INT8_VERSION = 4  # of FULLY_CONNECTED, the first with int8 all through; 1 is float32's


@dataclass(frozen=True)
class _Number:
    code: str  # as for struct
    value: int


@dataclass(frozen=True)
class _Vector:
    data: bytes
    count: int
    alignment: int


_Table = dict[int, "_Node"]
_Node = _Number | _Vector | Sequence[_Table] | _Table


def product_file(weights: NDArray[np.float32] | NDArray[np.int8], rows: int) -> bytes:
    """Writes a model that multiplies a matrix by a constant one: one FULLY_CONNECTED, all in the weights' type.

    Args:
        weights: `(N, K)`, float32 or int8; int8 stands for steps of 1/128, and so do input and output.
        rows: How many rows the input `(rows, K)` has, and so the output `(rows, N)`.
    """
    outputs, depth = weights.shape
    quantized = weights.dtype == np.int8
    bias = np.zeros(outputs, np.int32 if quantized else np.float32)
    tensors = [
        _tensor("x", (rows, depth), weights.dtype, 0, 1 / 128 if quantized else None),
        _tensor("w", (outputs, depth), weights.dtype, 1, 1 / 128 if quantized else None),
        _tensor("b", (outputs,), bias.dtype, 2, 1 / 128**2 if quantized else None),
        _tensor("y", (rows, outputs), weights.dtype, 0, 1 / 128 if quantized else None),
    ]
    operator: _Table = {
        OPERATOR_CODE: _Number("I", 0),
        OPERATOR_INPUTS: _numbers("i", [0, 1, 2]),
        OPERATOR_OUTPUTS: _numbers("i", [3]),
        _OPTIONS_TYPE: _Number("B", _FULLY_CONNECTED_OPTIONS),
        _OPTIONS: {},
    }
    code = BUILTIN_OPERATORS.index("FULLY_CONNECTED")
    graph: _Table = {
        GRAPH_TENSORS: tensors,
        GRAPH_INPUTS: _numbers("i", [0]),
        GRAPH_OUTPUTS: _numbers("i", [3]),
        GRAPH_OPERATORS: [operator],
    }
    version = _INT8_VERSION if quantized else 1
    model: _Table = {
        _MODEL_VERSION: _Number("I", _SCHEMA),
        MODEL_CODES: [{_CODE_OLD: _Number("b", code), _CODE_VERSION: _Number("i", version), _CODE: _Number("i", code)}],
        MODEL_SUBGRAPHS: [graph],
        MODEL_BUFFERS: [{}, {BUFFER_DATA: _data(weights)}, {BUFFER_DATA: _data(bias)}],  # the first is nobody's
    }
    written = bytearray(4) + IDENTIFIER
    struct.pack_into("<I", written, 0, _write_table(written, model))
    return bytes(written)


def _tensor(name: str, shape: Sequence[int], dtype: np.dtype, buffer: int, scale: float | None) -> _Table:
    table: _Table = {
        TENSOR_SHAPE: _numbers("i", shape),
        TENSOR_TYPE: _Number("b", TENSOR_TYPES.index(dtype.name)),
        TENSOR_BUFFER: _Number("I", buffer),
        TENSOR_NAME: _Vector(name.encode() + b"\0", len(name), 4),  # the NUL after a text is not counted
    }
    if scale is not None:
        table[TENSOR_QUANTIZATION] = {_SCALE: _numbers("f", [scale]), _ZERO_POINT: _numbers("q", [0])}
    return table


def _numbers(code: str, values: Sequence[float]) -> _Vector:
    return _Vector(struct.pack(f"<{len(values)}{code}", *values), len(values), struct.calcsize(code))


def _data(array: NDArray[np.generic]) -> _Vector:
    return _Vector(array.tobytes(), array.nbytes, _ALIGNMENT)


def _write(out: bytearray, node: _Node) -> int:
    """Appends a table or a vector and returns where it starts."""
    if isinstance(node, dict):
        return _write_table(out, node)
    if isinstance(node, _Vector):
        _pad(out, node.alignment, after=4)
        start = len(out)
        out += struct.pack("<I", node.count) + node.data
        return start
    assert not isinstance(node, _Number)
    _pad(out, 4)
    start = len(out)
    out += struct.pack("<I", len(node)) + bytes(4 * len(node))
    for index, table in enumerate(node):
        _point(out, start + 4 + 4 * index, _write_table(out, table))
    return start


def _write_table(out: bytearray, fields: _Table) -> int:
    """Appends a vtable and its table, each field of which takes four bytes, then what they refer to."""
    slots = max(fields, default=-1) + 1
    places = {slot: 4 + 4 * index for index, slot in enumerate(fields)}
    _pad(out, 4, after=4 + 2 * slots)  # so that the table, right after its vtable, is aligned
    vtable = len(out)
    out += struct.pack(f"<HH{slots}H", 4 + 2 * slots, 4 + 4 * len(fields), *(places.get(i, 0) for i in range(slots)))
    start = len(out)
    out += struct.pack("<i", start - vtable) + bytes(4 * len(fields))
    for slot, node in fields.items():
        if isinstance(node, _Number):
            struct.pack_into(f"<{node.code}", out, start + places[slot], node.value)
    for slot, node in fields.items():
        if not isinstance(node, _Number):
            _point(out, start + places[slot], _write(out, node))
    return start


def _point(out: bytearray, at: int, target: int) -> None:
    struct.pack_into("<I", out, at, target - at)


def _pad(out: bytearray, alignment: int, after: int = 0) -> None:
    """Appends zeros so that what follows in `after` bytes is aligned."""
    out += bytes(-(len(out) + after) % max(alignment, 4))
