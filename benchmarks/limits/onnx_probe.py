"""An ONNX file that holds one matrix product, written from ONNX's schema (onnx/onnx.proto)."""

import numpy as np
from numpy.typing import NDArray

from liteport.runtime.contents.onnx import (
    GRAPH_INITIALIZERS,
    GRAPH_INPUTS,
    GRAPH_NODES,
    GRAPH_OUTPUTS,
    MODEL_GRAPH,
    MODEL_IR_VERSION,
    MODEL_OPSETS,
    NODE_INPUTS,
    NODE_OPERATOR,
    NODE_OUTPUTS,
    OPSET_VERSION,
)
from liteport.runtime.contents.onnx_tensors import DIMENSIONS, RAW, TENSOR_NAME, TENSOR_TYPE
from liteport.runtime.contents.protobuf import bytes_field

_GRAPH_NAME = 2
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _ELEMENT, _SHAPE, _DIMENSION, _SIZE = 1, 2, 1, 1, 2, 1, 1
_IR, _OPSET = 7, 13  # of 2020, which every ONNX Runtime since 1.5 reads
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}  # TensorProto.DataType


def product_file(weights: NDArray[np.float32] | NDArray[np.int8], rows: int) -> bytes:
    """Writes a model that multiplies a matrix by a constant one.

    Args:
        weights: `(K, N)`; float32 makes it one MatMul, int8 one MatMulInteger of a uint8 input, which engines multiply
            fastest on x86, and an int32 output.
        rows: How many rows the input `(rows, K)` has, and so the output `(rows, N)`.
    """
    depth, outputs = weights.shape
    quantized = weights.dtype == np.int8
    node = (
        _text(NODE_INPUTS, "x")
        + _text(NODE_INPUTS, "w")
        + _text(NODE_OUTPUTS, "y")
        + _text(NODE_OPERATOR, "MatMulInteger" if quantized else "MatMul")
    )
    constant = (
        b"".join(_number(DIMENSIONS, size) for size in weights.shape)
        + _number(TENSOR_TYPE, _TYPES[weights.dtype.name])
        + _text(TENSOR_NAME, "w")
        + bytes_field(RAW, weights.tobytes())
    )
    graph = (
        bytes_field(GRAPH_NODES, node)
        + _text(_GRAPH_NAME, "product")
        + bytes_field(GRAPH_INITIALIZERS, constant)
        + bytes_field(GRAPH_INPUTS, _value("x", "uint8" if quantized else "float32", (rows, depth)))
        + bytes_field(GRAPH_OUTPUTS, _value("y", "int32" if quantized else "float32", (rows, outputs)))
    )
    opset = bytes_field(MODEL_OPSETS, _number(OPSET_VERSION, _OPSET))
    return _number(MODEL_IR_VERSION, _IR) + opset + bytes_field(MODEL_GRAPH, graph)


def _value(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(bytes_field(_DIMENSION, _number(_SIZE, size)) for size in shape)
    tensor = _number(_ELEMENT, _TYPES[dtype]) + bytes_field(_SHAPE, dimensions)
    return _text(_VALUE_NAME, name) + bytes_field(_VALUE_TYPE, bytes_field(_TYPE_TENSOR, tensor))


def _text(number: int, text: str) -> bytes:
    return bytes_field(number, text.encode())


def _number(number: int, value: int) -> bytes:
    """Writes an integer field: its number with wire type 0, then seven bits a byte, the lowest first."""
    written = bytearray([number << 3])
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
