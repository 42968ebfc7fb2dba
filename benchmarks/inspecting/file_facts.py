"""What is in a model file: read from its bytes, without an engine and without asking what was wanted of it."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liteport.runtime.activations import is_quantized, may_be_real
from liteport.runtime.contents import Contents, Op, Tensor, read_contents
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.protobuf import Message
from liteport.runtime.embedded import read_embedded
from liteport.runtime.layer_names import LayerNames
from liteport.runtime.matching import DEQUANTIZE, QUANTIZE, WEIGHTED, Graph

_IR_VERSION = 1  # field of onnx.proto's ModelProto
NARROW = 16  # output channels: as many int32 sums fill a 512-bit register
# Operations that move values, look at their shape or choose among them: they compute nothing, in float or otherwise.
_MOVES = (
    *("RESHAPE", "SQUEEZE", "TRANSPOSE", "SHAPE", "STRIDED_SLICE", "SLICE", "PACK", "PAD", "CONCATENATION", "SPLIT"),
    *("EXPAND_DIMS", "GATHER", "CAST", "MAX_POOL_2D", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Shape", "Slice"),
    *("Concat", "Pad", "Flatten", "Gather", "Cast", "Split", "Identity", "MaxPool", "Constant"),
)


@dataclass(frozen=True)
class OpCount:
    """How often an operation occurs: its kind and, in TFLite, its version."""

    kind: str
    version: int | None
    count: int


@dataclass(frozen=True)
class FloatOp:
    """An operation of a quantized file with a float input or output.

    Attributes:
        kind: The operation.
        layer: The layer that it belongs to.
        tensor: Its result.
        hybrid: Whether its weights are integers all the same: it quantizes its input anew at each call.
    """

    kind: str
    layer: str
    tensor: str
    hybrid: bool


@dataclass(frozen=True)
class FileFacts:
    """What is in a model file.

    Attributes:
        format: "tflite", "onnx", "ncnn" or "mnn".
        size_bytes: Of the file.
        sha256: Of the file.
        producer: What the file says of the program that made it.
        minimum_runtime: The oldest TensorFlow Lite that the converter vouches for, where a TFLite file says.
        opsets: ONNX operator sets by domain.
        ir_version: Of the ONNX format.
        ops: Operations by kind and version, the most frequent first.
        dtypes: How many tensors of each type, constants included; "" are those whose type the file leaves open.
        constant_bytes: Bytes of constants of each type.
        per_tensor: Tensors with one scale.
        per_channel: Tensors with a scale for each channel or block.
        quantize_ops: Q operations.
        dequantize_ops: DQ operations, of values that are computed.
        dequantized_constants: DQ operations of constants.
        qdq_pairs: Values that are quantized and dequantized again.
        float_ops: Operations that compute on real values though the file holds quantized ones; those that only move
            values do not count. Between Q/DQ pairs an engine may compute in integers: such do not count either.
        convolutions: Operations with weights that are convolutions.
        narrow_convolutions: Those with fewer than 16 output channels.
        inputs: The graph's inputs as the file has them.
        outputs: Its outputs.
        tensors: All tensors.
        embedded: The document that liteport embedded, or None.
    """

    format: str
    size_bytes: int
    sha256: str
    producer: str
    minimum_runtime: str | None
    opsets: Mapping[str, int]
    ir_version: int | None
    ops: tuple[OpCount, ...]
    dtypes: Mapping[str, int]
    constant_bytes: Mapping[str, int]
    per_tensor: int
    per_channel: int
    quantize_ops: int
    dequantize_ops: int
    dequantized_constants: int
    qdq_pairs: int
    float_ops: tuple[FloatOp, ...]
    convolutions: int
    narrow_convolutions: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]
    embedded: Mapping[str, Any] | None


def read_facts(content: bytes, suffix: str) -> FileFacts:
    """Reads what is in a model file.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If the file is damaged, or is not as liteport wrote it.
    """
    contents = read_contents(content, suffix)
    tensors, ops = contents.tensors, contents.ops
    kinds = Counter((op.kind, op.version) for op in ops)
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.size_bytes
    undone = [op for op in ops if op.kind in DEQUANTIZE]
    of_constants = sum(tensors[op.inputs[0]].constant for op in undone)
    widths = _widths(contents)
    quantized = {op.outputs[0] for op in ops if op.kind in QUANTIZE}
    return FileFacts(
        format=contents.format,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        producer=contents.producer,
        minimum_runtime=contents.minimum_runtime,
        opsets=contents.opsets,
        ir_version=Message(Source(content, "the ONNX file")).integer(_IR_VERSION) if suffix == ".onnx" else None,
        ops=tuple(OpCount(*key, count) for key, count in kinds.most_common()),
        dtypes=dict(Counter(tensor.dtype for tensor in tensors).most_common()),
        constant_bytes={dtype: size for dtype, size in sizes.most_common() if size},
        per_tensor=sum(is_quantized(tensor) and len(tensor.scales) == 1 for tensor in tensors),
        per_channel=sum(is_quantized(tensor) and len(tensor.scales) > 1 for tensor in tensors),
        quantize_ops=sum(op.kind in QUANTIZE for op in ops),
        dequantize_ops=len(undone) - of_constants,
        dequantized_constants=of_constants,
        qdq_pairs=len(quantized & {op.inputs[0] for op in undone}),
        float_ops=_float_ops(contents),
        convolutions=len(widths),
        narrow_convolutions=sum(width < NARROW for width in widths),
        inputs=tuple(tensors[index] for index in contents.inputs),
        outputs=tuple(tensors[index] for index in contents.outputs),
        tensors=tensors,
        embedded=read_embedded(content, suffix),
    )


def _float_ops(contents: Contents) -> tuple[FloatOp, ...]:
    if not any(map(is_quantized, contents.tensors)):
        return ()
    graph = Graph(contents)
    names = LayerNames(tensor.name for tensor in contents.tensors if not tensor.constant)
    found = []
    for op in contents.ops:
        if op.kind in (*QUANTIZE, *DEQUANTIZE) or op.kind in _MOVES or not _in_float(graph, op):
            continue
        result = op.outputs[0]
        hybrid = any(is_quantized(contents.tensors[index]) for index in op.inputs if index >= 0)
        found.append(FloatOp(op.kind, names.of(contents, result), contents.tensors[result].name, hybrid))
    return tuple(found)


def _widths(contents: Contents) -> list[int]:
    """Returns how many output channels each convolution has."""
    graph = Graph(contents)
    weights = [(op, graph.weights(op)) for op in contents.ops if "conv" in op.kind.lower()]
    shapes = [(op, contents.tensors[index].shape) for op, index in weights if index is not None]
    return [shape[WEIGHTED[op.kind]] or 0 for op, shape in shapes if len(shape) > 2]


def _in_float(graph: Graph, op: Op) -> bool:
    """Tells whether an operation computes on real values: its inputs or weights, or else what it makes of integers.

    An operation whose inputs and weights are integers, or are dequantized right before it, is what engines replace by
    an integer kernel, with a result in float where no Q follows. One without weights needs a Q after it as well. All
    work on constants or shapes is neither.
    """
    tensors = graph.contents.tensors
    sources = graph.sources(op)
    outputs = [index for index in op.outputs if index >= 0]
    if not sources or not any(may_be_real(tensors[index]) for index in outputs):
        return False
    weights = graph.weights(op)
    if weights is not None and not is_quantized(tensors[weights]):
        return True
    concerned = sources if weights is not None else (*sources, *outputs)
    return any(graph.integers(index) is None for index in concerned if _real(graph, index))


def _real(graph: Graph, index: int) -> bool:
    tensor = graph.contents.tensors[index]
    return may_be_real(tensor) and tensor.dtype not in ("int64", "bool")
