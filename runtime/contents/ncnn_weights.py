"""The weights of an ncnn model: arrays one after the other, whose sizes follow from the layers.

Some arrays begin with a tag that tells their type, others are float32 always; which are which is each layer's own way
(`load_model` of each in https://github.com/Tencent/ncnn/tree/master/src/layer).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .limits import Source
from .ncnn_params import Layer

_FLOAT16, _INT8, _FLOAT32 = 0x01306B47, 0x000D4B38, 0x0002C056
_TAG_BYTES = 4
_TABLE_BYTES = 256 * 4  # where the tag is another number: bytes that stand for entries of a table before them
_MOST = 1 << 31


@dataclass(frozen=True)
class Array:
    """One array of a layer.

    Attributes:
        name: What it is.
        count: Its elements.
        tagged: Whether its type is told.
        rows: What its first dimension is; 0 where it has but one.
        window: Its last dimensions.
    """

    name: str
    count: int
    tagged: bool = False
    rows: int = 0
    window: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stored:
    """An array where it lies.

    Attributes:
        layer: The index of its layer.
        name: The layer's name and what it is of it.
        dtype: Its type.
        shape: Its dimensions.
        size_bytes: How many bytes it takes, its tag included.
        tag_bytes: How many of these come before the first element.
    """

    layer: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    tag_bytes: int


def read_weights(source: Source, layers: Sequence[Layer], start: int, end: int) -> tuple[list[Stored], bool]:
    """Finds the arrays.

    Args:
        source: The whole model.
        layers: All of them.
        start: Where in it the weights start.
        end: Where they end.

    Returns:
        The arrays, and whether these are all: behind a layer of a kind that is not known here, nothing is found.

    Raises:
        IntegrityError: If there is less than the layers need.
    """
    found: list[Stored] = []
    for index, layer in enumerate(layers):
        arrays = _arrays(layer)
        if arrays is None:
            return found, False
        for array in arrays:
            source.spend(1)
            stored = _stored(source, index, layer, array, start, end)
            found.append(stored)
            start += stored.size_bytes
    if start != end:
        raise source.damaged(f"its layers need {end - start} bytes of weights less than there are: two models' files?")
    return found, True


def _stored(source: Source, index: int, layer: Layer, array: Array, start: int, end: int) -> Stored:
    dtype, size = "float32", 4 * array.count
    if array.tagged and 0 < array.count < _MOST:
        dtype, size = _tagged(int.from_bytes(source.content[start : start + _TAG_BYTES], "little"), array.count)
    if not 0 < array.count < _MOST or start + size > end:
        raise source.damaged(
            f"layer {layer.name[:80]!r} needs {array.count} numbers as its {array.name}, {max(0, end - start)} bytes "
            "are left: two models' files?"
        )
    return Stored(index, f"{layer.name}/{array.name}", dtype, _shape(array), size, _TAG_BYTES if array.tagged else 0)


def _shape(array: Array) -> tuple[int, ...]:
    rest, left = divmod(array.count, max(1, array.rows) * math.prod(array.window))
    if left or array.rows <= 0:
        return (array.count,)
    return array.rows, rest, *array.window


def _tagged(tag: int, count: int) -> tuple[str, int]:
    """Returns the type that a tag stands for, and the bytes of tag and array, which are padded to four."""
    if tag == _FLOAT16:
        return "float16", _TAG_BYTES + -(-2 * count // 4) * 4
    if tag == _INT8:
        return "int8", _TAG_BYTES + -(-count // 4) * 4
    if tag in (_FLOAT32, 0):
        return "float32", _TAG_BYTES + 4 * count
    return "uint8", _TAG_BYTES + _TABLE_BYTES + -(-count // 4) * 4


def _arrays(layer: Layer) -> list[Array] | None:
    """Returns a layer's arrays in their order; None where that is not known."""
    if layer.kind in _WITHOUT:
        return []
    known = _WITH.get(layer.kind)
    return None if known is None or layer.integer(_INT8_SCALES.get(layer.kind, -1)) else list(known(layer))


def channels_taken(layer: Layer) -> int | None:
    """Returns how many channels a layer's weights are for, of a dense one how many features; None where any will do."""
    if layer.kind == "BatchNorm":
        return layer.integer(0)
    if layer.kind == "InnerProduct":
        return layer.integer(2) // max(1, layer.integer(0))
    if layer.kind not in ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise"):
        return None
    width = max(1, layer.integer(1))
    places = layer.integer(0) * width * max(1, layer.integer(11, width))
    return layer.integer(6) * max(1, layer.integer(7, 1)) // max(1, places)


def _convolution(layer: Layer) -> Iterator[Array]:
    width = max(1, layer.integer(1))
    window = (width,) if layer.kind.endswith("1D") else (max(1, layer.integer(11, width)), width)
    yield Array("weights", layer.integer(6), tagged=True, rows=layer.integer(0), window=window)
    if layer.integer(5):
        yield Array("bias", layer.integer(0))


def _dense(layer: Layer) -> Iterator[Array]:
    yield Array("weights", layer.integer(2), tagged=True, rows=layer.integer(0))
    if layer.integer(1):
        yield Array("bias", layer.integer(0))


def _batch_norm(layer: Layer) -> Iterator[Array]:
    yield from (Array(name, layer.integer(0)) for name in ("gamma", "mean", "variance", "beta"))


def _scale(layer: Layer) -> Iterator[Array]:
    if layer.integer(0) > 0:  # else it takes its factors from another layer
        yield Array("factors", layer.integer(0))
        if layer.integer(1):
            yield Array("bias", layer.integer(0))


def _single(name: str) -> Callable[[Layer], Iterator[Array]]:
    return lambda layer: iter([Array(name, layer.integer(0))])


def _affine(size: int, wanted: int, *names: str) -> Callable[[Layer], Iterator[Array]]:
    """A normalization; the parameter `wanted` says whether it has factors, of `size` each."""
    return lambda layer: (Array(name, layer.integer(size)) for name in (names if layer.integer(wanted, 1) else ()))


def _embedding(layer: Layer) -> Iterator[Array]:
    yield Array("weights", layer.integer(3), tagged=True, rows=layer.integer(1))
    if layer.integer(2):
        yield Array("bias", layer.integer(0))


def _constant(layer: Layer) -> Iterator[Array]:
    count = 1
    for key in (0, 1, 11, 2):
        count *= layer.integer(key) or 1
    yield Array("values", count, tagged=layer.integer(21, 1) == 0)


def _product(layer: Layer) -> Iterator[Array]:
    """Gemm, whose factors and summand may each be a constant."""
    rows, columns, depth = (layer.integer(key) for key in (7, 8, 9))
    summand = {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}.get(layer.integer(10), 0)
    for key, name, count in ((4, "a", rows * depth), (5, "b", columns * depth), (6, "c", summand)):
        if layer.integer(key) and count:
            yield Array(name, count, tagged=True)


def _recurrent(gates: int, bias_rows: int) -> Callable[[Layer], Iterator[Array]]:
    def arrays(layer: Layer) -> Iterator[Array]:
        output, directions = layer.integer(0), 2 if layer.integer(2) == 2 else 1
        hidden = layer.integer(3, output)
        rows = gates * hidden * directions
        yield Array("input weights", layer.integer(1), tagged=True, rows=rows)
        yield Array("bias", hidden * bias_rows * directions, tagged=True)
        yield Array("state weights", rows * output, tagged=True, rows=rows)
        if gates == 4 and output != hidden:  # an LSTM whose result is projected
            yield Array("projection", hidden * output * directions, tagged=True, rows=output * directions)

    return arrays


_CONVOLUTIONS = [
    f"{kind}{size}" for kind in ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise")
    for size in ("", "1D", "3D")
]  # fmt: skip
_WITH: dict[str, Callable[[Layer], Iterator[Array]]] = {
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
    "InnerProduct": _dense,
    "BatchNorm": _batch_norm,
    "Scale": _scale,
    "Bias": _single("bias"),
    "PReLU": _single("slopes"),
    "LayerNorm": _affine(0, 2, "gamma", "beta"),
    "RMSNorm": _affine(0, 2, "gamma"),
    "InstanceNorm": _affine(0, 2, "gamma", "beta"),
    "GroupNorm": _affine(1, 3, "gamma", "beta"),
    "Embed": _embedding,
    "MemoryData": _constant,
    "Gemm": _product,
    "LSTM": _recurrent(4, 4),
    "GRU": _recurrent(3, 4),
    "RNN": _recurrent(1, 1),
}
# The parameter that says whether a layer's weights are quantized, and then come with scales.
_INT8_SCALES = dict.fromkeys((*_CONVOLUTIONS, "InnerProduct", "LSTM", "GRU", "RNN"), 8) | {"Gemm": 18, "Embed": 18}
_WITHOUT = frozenset(
    """
    Input Split Noop Dropout Concat Slice Crop Padding Permute Reshape Flatten Squeeze ExpandDims Packing Cast Tile
    Pooling Pooling1D Pooling3D ReLU Clip Sigmoid HardSigmoid TanH Swish HardSwish Mish ELU SELU CELU GELU Softplus
    Softmax LogSoftmax BinaryOp UnaryOp Eltwise Reduction MatMul Interp PixelShuffle ShuffleChannel Reorg AbsVal BNLL
    Exp Log Power Threshold ArgMax Einsum Fold Unfold GridSample CumulativeSum CopyTo LRN GLU Erf Shrink Diag Flip
    Softsign Spectrogram InverseSpectrogram
    """.split()  # noqa: SIM905 - a name a line would fill a page
)
