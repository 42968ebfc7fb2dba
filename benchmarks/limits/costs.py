"""What each operation of a model file needs: multiply-accumulates, constants and values, counted from the file."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from liteport.runtime.contents import Op
from liteport.runtime.contents.tflite_names import BUILTIN_OPERATORS
from liteport.runtime.layer_names import LayerNames

from ..results import LayerCost
from .values import Value, Values
from .winograd import OF_ITEM, by_winograd

# Types by what they are multiplied in: signed and unsigned alike; fewer than 8 bits are widened first.
_COMPUTE = {"uint8": "int8", "uint4": "int8", "int4": "int8", "int2": "int8", "uint2": "int8", "uint16": "int16"}
# Operations that hold what cannot be counted here: other graphs, or an equation.
_OPAQUE = (
    *("IF", "WHILE", "CALL", "If", "Loop", "Scan", "SequenceMap", "Einsum", "MultiHeadAttention", "SDPA"),
    *("Convolution3D", "ConvolutionDepthWise3D", "Deconvolution1D", "DeconvolutionDepthWise1D", "Deconvolution3D"),
    *("DeconvolutionDepthWise3D", "ConvTranspose3D", "ConvInt8", "DepthwiseConvInt8", "While", "Extra", "Plugin"),
    *("Attention", "LinearAttention", "MoE", "RNNSequenceGRU"),
)
_FACTORS = 2
_OF_ONNX_RUNTIME = "com.microsoft."


@dataclass(frozen=True)
class _Operands:
    """What an operation multiplies, and what it makes of that."""

    data: Value
    weights: Value
    result: Value


@dataclass(frozen=True)
class _Product:
    """How often an operation multiplies and adds.

    Attributes:
        count: Tells it by the shapes.
        data: Which input its data is.
        weights: Which input its weights are, or the other factor.
    """

    count: Callable[[_Operands], int]
    data: int = 0
    weights: int = 1


def _conv(of: _Operands) -> int:  # weights (out, in / groups, ...) or (out, ..., in)
    return of.result.elements * math.prod(of.weights.shape[1:])


def _depthwise(of: _Operands) -> int:  # weights (1, height, width, channels)
    return of.result.elements * math.prod(of.weights.shape[1:3])


def _spread(of: _Operands) -> int:  # weights (out, height, width, in)
    return of.data.elements * math.prod(of.weights.shape[:-1])


def _spread_onnx(of: _Operands) -> int:  # weights (in, out / groups, ...)
    return of.data.elements * math.prod(of.weights.shape[1:])


def _everywhere(of: _Operands) -> int:  # data (height, width, in) or (items, in, height, width), all weights at each
    shape = of.data.shape
    return of.data.elements // max(1, shape[1] if len(shape) > OF_ITEM else shape[-1]) * of.weights.elements


def _conv_3d(of: _Operands) -> int:  # weights (depth, height, width, in, out)
    return of.result.elements * math.prod(of.weights.shape[:-1])


def _dense(of: _Operands) -> int:  # weights (out, in)
    return of.result.elements * of.weights.shape[-1]


def _matmul(of: _Operands) -> int:  # data (..., rows, depth), or (depth,)
    return of.result.elements * of.data.shape[-1]


def _either_way(of: _Operands) -> int:  # data (..., rows, depth) or transposed
    return of.result.elements * (math.prod(of.data.shape[-2:]) // of.result.shape[-2]) if of.result.elements else 0


_PRODUCTS = {
    "CONV_2D": _Product(_conv),
    "DEPTHWISE_CONV_2D": _Product(_depthwise),
    "TRANSPOSE_CONV": _Product(_spread, data=2),
    "CONV_3D": _Product(_conv_3d),
    "CONV_3D_TRANSPOSE": _Product(_spread, data=2),
    "FULLY_CONNECTED": _Product(_dense),
    "BATCH_MATMUL": _Product(_either_way),
    "Conv": _Product(_conv),
    "ConvTranspose": _Product(_spread_onnx),
    "ConvInteger": _Product(_conv),
    "QLinearConv": _Product(_conv, weights=3),
    "Gemm": _Product(_either_way),
    "MatMul": _Product(_matmul),
    "MatMulInteger": _Product(_matmul),
    "QLinearMatMul": _Product(_matmul, weights=3),
    "com.microsoft.FusedConv": _Product(_conv),
    "com.microsoft.FusedGemm": _Product(_either_way),
    "com.microsoft.FusedMatMul": _Product(_either_way),
    "com.microsoft.QLinearConv": _Product(_conv, weights=3),
    "com.microsoft.QGemm": _Product(_either_way, weights=3),
    "com.microsoft.DynamicQuantizeMatMul": _Product(_matmul),
    "com.microsoft.MatMulIntegerToFloat": _Product(_matmul),
    "Convolution": _Product(_conv),
    "ConvolutionDepthWise": _Product(_conv),
    "Convolution1D": _Product(_conv),
    "ConvolutionDepthWise1D": _Product(_conv),
    "Deconvolution": _Product(_everywhere),
    "DeconvolutionDepthWise": _Product(_everywhere),
    "InnerProduct": _Product(_dense),
    "ConvolutionDepthwise": _Product(_conv),
    "DeconvolutionDepthwise": _Product(_spread_onnx),
    "BatchMatMul": _Product(_either_way),
}
# Operations that multiply each step's data by all their matrices: those of rank 2 or more among their constants.
_RECURRENT = frozenset(
    """
    LSTM RNN SVDF UNIDIRECTIONAL_SEQUENCE_LSTM UNIDIRECTIONAL_SEQUENCE_RNN BIDIRECTIONAL_SEQUENCE_LSTM
    BIDIRECTIONAL_SEQUENCE_RNN GRU
    """.split()  # noqa: SIM905
)


def count_costs(content: bytes, suffix: str) -> tuple[LayerCost, ...]:
    """Counts what each operation of a model file needs for one item.

    The engine runs the file once, to tell the shapes that the file leaves open. Operations on constants alone are not
    counted: engines do them when they load a file. A convolution or dense layer between DQ and Q operations counts as
    int8, and so does one whose input is quantized anew at each call; the bytes of a value are those of the smallest
    form that it takes on the way, since engines do elementwise operations on the fly.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Returns:
        In the file's order; nothing where an operation's cost cannot be known: an input other than the number of
        items has a free size, or the operation holds a graph of its own, an equation, or is of an unknown set.

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If the file is damaged.
        MissingDependencyError: If the engine that runs such files is not installed.
        BackendError: If the engine refuses the file or fails.
    """
    return costs_of(Values(content, suffix))


def costs_of(values: Values) -> tuple[LayerCost, ...]:
    """Returns the same of values that are there already; see `count_costs`."""
    if not values.known() or any(_opaque(op, values.contents.format) for op in values.ops):
        return ()
    tensors = values.contents.tensors
    names = LayerNames(tensor.name for tensor in tensors if not tensor.constant)
    return tuple(
        LayerCost(
            # what MNN's converter puts in between has names of its own, and the operation its layer's
            name=names.of(values.contents, _main(op), (op.name,) if values.contents.format == "mnn" else ()),
            kind=op.kind,
            compute=_compute(values, op) if _multiplies(op) else "",
            macs=_macs(values, op),
            constant_bytes=sum(_constants(values, op).values()),
            activation_bytes=_activations(values, op),
        )
        for op in values.ops
    )


def _main(op: Op) -> int:
    """Returns what an operation is named by: its first result, or what it reads where it only changes a variable."""
    return next(index for index in (*op.outputs, *op.inputs) if index >= 0)


def _opaque(op: Op, engine: str) -> bool:
    unread = op.kind in _RECURRENT or op.kind == "InnerProduct" or (op.kind in _PRODUCTS and len(op.inputs) < _FACTORS)
    if engine == "mnn" and unread:
        return True  # whose weights are stored in ways that are not known here
    if op.kind in _PRODUCTS or op.kind.startswith(f"{_OF_ONNX_RUNTIME}QLinear"):
        return False
    foreign = "." in op.kind or (op.version is not None and op.kind not in BUILTIN_OPERATORS)
    return foreign or op.kind in _OPAQUE or op.kind.startswith("STABLEHLO_")


def _multiplies(op: Op) -> bool:
    return op.kind in _PRODUCTS or op.kind in _RECURRENT


def _macs(values: Values, op: Op) -> int:
    if op.kind in _PRODUCTS:
        product = _PRODUCTS[op.kind]
        places = op.inputs[product.data], op.inputs[product.weights], op.outputs[0]
        return product.count(_Operands(*(values.of(index) for index in places)))
    if op.kind not in _RECURRENT:
        return 0
    data = values.of(op.inputs[0])
    steps = data.elements // data.shape[-1]
    return steps * sum(value.elements for value in _matrices(values, op).values())


def _matrices(values: Values, op: Op) -> dict[int, Value]:
    """Returns an operation's constants of rank 2 or more."""
    found = {index: values.of(index) for index in _constants(values, op)}
    return {index: value for index, value in found.items() if len(value.shape) > 1}


def _compute(values: Values, op: Op) -> str:
    """Returns the type that an operation multiplies in."""
    product = _PRODUCTS.get(op.kind)
    if product is not None:
        data, weights = op.inputs[product.data], op.inputs[product.weights]
    else:
        data, weights = op.inputs[0], next(iter(_matrices(values, op)), op.inputs[0])
    kinds = [_kind(values, index) for index in (data, weights)]
    if quick := by_winograd(values, op):
        return f"{kinds[0]}{quick}"
    if all(map(_integer, kinds)) or _integer(_kind(values, weights, itself=True)):
        kind = kinds[0] if _integer(kinds[0]) else kinds[1]  # float data is quantized like the weights
        return _COMPUTE.get(kind, kind)
    return _kind(values, data, itself=True)


def _kind(values: Values, index: int, *, itself: bool = False) -> str:
    """Returns the type of a tensor, or of the integers that it is dequantized from."""
    integers = None if itself else values.graph.integers(index)
    return values.of(index if integers is None else integers).dtype


def _integer(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _constants(values: Values, op: Op) -> dict[int, int]:
    """Returns the constants that an operation reads, and their bytes as the file has them.

    What operations on constants made of them takes as much as it does then.
    """
    found: dict[int, int] = {}
    for index in op.inputs:
        if index >= 0 and not values.live([index]):
            constant = values.graph.constant(index)
            source = index if constant is None else constant
            found[source] = values.size(source)
    return found


def _activations(values: Values, op: Op) -> int:
    """Returns the bytes of the values that an operation reads and writes, each in its smallest form."""
    stored = values.stored
    sources, results = ({stored[index] for index in values.live(indices)} for indices in (op.inputs, op.outputs))
    return sum(map(values.size, sources ^ results))  # what it only passes on takes no bytes
