"""The numbers that an MNN file holds: constants, and the weights among the parameters of operations."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .flatbuffer import Table
from .limits import MOST_DIMENSIONS
from .mnn_names import CONVOLUTIONS, FLOATS, TYPES, VALUES

_BLOB_SHAPE, _BLOB_TYPE, _BLOB_BYTES, _BLOB_EXTERNAL = 0, 2, 3, 9
_COMMON, _WEIGHTS, _BIAS, _QUANTIZED, _EXTERNAL = 0, 1, 2, 3, 6  # of a convolution
_KERNEL_X, _KERNEL_Y, _GROUP, _OUTPUTS, _INPUTS = 2, 3, 9, 10, 11  # of what its kinds have in common
_STORED_BYTES, _STORED_AS = 0, 2  # of weights that are not float32
_HALF = 3
_FLOAT = 1
_TRANSPOSED = ("Deconvolution", "DeconvolutionDepthwise")


@dataclass(frozen=True)
class Stored:
    """Numbers of a file.

    Attributes:
        name: What they are.
        dtype: Their type.
        shape: Their dimensions.
        size: How many bytes they take.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


def blob(table: Table, name: str) -> Stored:
    """Reads a constant.

    Raises:
        IntegrityError: If it is damaged, has fewer numbers than it states, or keeps them elsewhere.
    """
    if table.count(_BLOB_EXTERNAL, 8):
        raise table.source.incomplete("other files")
    number, shape = table.integer(_BLOB_TYPE, "i", _FLOAT), table.numbers(_BLOB_SHAPE, "i")
    dtype = TYPES.get(number, f"type {number}")
    if min(shape, default=0) < 0 or len(shape) > MOST_DIMENSIONS:
        raise table.source.damaged(f"the constant {name[:80]!r} has shape {list(shape[:MOST_DIMENSIONS])}")
    if dtype == "float16":
        size = table.count(_BLOB_BYTES, 1)
        found = size // 2
    elif dtype in VALUES:
        slot, width = VALUES[dtype]
        found = table.count(slot, width)
        size = width * found
    else:
        raise table.source.damaged(f"the constant {name[:80]!r} is {dtype}, expected one of {', '.join(VALUES)}")
    if found < math.prod(shape):
        raise table.source.damaged(f"the constant {name[:80]!r} has {found} numbers for shape {list(shape)}")
    return Stored(name, dtype, shape, size)


def weights_of(kind: str, name: str, parameters: Table) -> Iterator[Stored]:
    """Gives an operation's weights.

    Args:
        kind: What it is.
        name: What it is called.
        parameters: Its own, of the kind that goes with it.

    Raises:
        IntegrityError: If they are damaged, fewer than the sizes that are stated, or kept elsewhere.
    """
    if kind in CONVOLUTIONS:
        yield from _of_convolution(kind, name, parameters)
    for place, slot in enumerate(FLOATS.get(kind, ())):
        if count := parameters.count(slot, 4):
            yield Stored(f"{name}/{place}", "float32", (count,), 4 * count)


def _of_convolution(kind: str, name: str, parameters: Table) -> Iterator[Stored]:
    common = parameters.table(_COMMON)
    if common is None:
        raise parameters.source.damaged(f"operation {name[:80]!r} states no sizes")
    if parameters.count(_EXTERNAL, 8):
        raise parameters.source.incomplete("other files")
    shape = _shape(kind, common)
    quantized = parameters.table(_QUANTIZED)
    if quantized is None:
        found, dtype = parameters.count(_WEIGHTS, 4), "float32"
        size = 4 * found
    else:
        size = quantized.count(_STORED_BYTES, 1)
        half = quantized.integer(_STORED_AS, "i") == _HALF
        found, dtype = (size // 2, "float16") if half else (math.prod(shape), "int8")  # packed in a way of its own
    if not size:
        return  # another operation makes them
    if found != math.prod(shape) or min(shape) < 1:
        raise parameters.source.damaged(f"operation {name[:80]!r} has {found} weights for shape {list(shape)}")
    yield Stored(f"{name}/weights", dtype, shape, size)
    if bias := parameters.count(_BIAS, 4):
        if bias < common.integer(_OUTPUTS, "i"):
            raise parameters.source.damaged(f"operation {name[:80]!r} has a bias of {bias} numbers")
        yield Stored(f"{name}/bias", "float32", (bias,), 4 * bias)


def _shape(kind: str, common: Table) -> tuple[int, ...]:
    """Returns (out, in / groups, height, width), of transposed convolutions (in, out / groups, height, width)."""
    window = common.integer(_KERNEL_Y, "i", 1), common.integer(_KERNEL_X, "i", 1)
    made, taken = common.integer(_OUTPUTS, "i"), common.integer(_INPUTS, "i")
    groups = common.integer(_GROUP, "i", 1)
    if groups < 1:
        raise common.source.damaged(f"a convolution has {groups} groups")
    if kind.endswith("Depthwise"):
        return made, 1, *window
    return (taken, made // groups, *window) if kind in _TRANSPOSED else (made, taken // groups, *window)
