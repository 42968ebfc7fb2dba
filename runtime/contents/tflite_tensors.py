"""Whether a TFLite tensor's data, quantization and sparsity fit its shape and type."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import tflite_layouts as layouts
from .description import Tensor
from .flatbuffer import BYTES_PER_ITEM, Table, Tables
from .limits import MOST_DIMENSIONS
from .tflite import (
    TENSOR_BUFFER,
    TENSOR_EXTERNAL_BUFFER,
    TENSOR_QUANTIZATION,
    TENSOR_SHAPE,
    TENSOR_SHAPE_SIGNATURE,
    data_span,
    tensor_of,
)
from .tflite_fields import check_fields
from .tflite_names import TENSOR_BITS

_VARIABLE, _SPARSITY, _VARIANTS = 5, 6, 9
_DETAILS_TYPE, _DETAILS = 4, 5
_DETAILS_LAYOUTS = {1: layouts.CUSTOM_QUANTIZATION, 2: layouts.BLOCKWISE}
_ORDER, _BLOCK_MAP, _DIMENSIONS = 0, 1, 2
_FORMAT, _DENSE_SIZE, _SEGMENTS, _INDICES = 0, 1, (2, 3), (4, 5)  # the last two: a union's type and its table
_SPARSE_VECTOR_ITEMS = (0, 4, 2, 1)  # bytes, by the union's type
_HIGHEST_SCALE = 2.0**31  # kernels turn quotients of scales into shifts of up to 31 bits; it is 1e6 times any in use
_MOST_BYTES = 2**31 - 1  # of one tensor: interpreters count in 32 bits here and there


@dataclass(frozen=True)
class Checked:
    """A tensor that was found to be in order.

    Attributes:
        tensor: What it is.
        filled: Whether it holds values before any operation ran: of the file, of an earlier call, or none at all.
    """

    tensor: Tensor
    filled: bool


def check_tensor(table: Table, buffers: Tables) -> Checked:
    """Checks a tensor.

    Raises:
        IntegrityError: If its parts do not fit together, or its data is kept elsewhere.
    """
    check_fields(table, layouts.TENSOR)
    tensor = tensor_of(table, buffers)
    if table.integer(TENSOR_EXTERNAL_BUFFER, "I"):
        raise table.source.incomplete("other files")
    shape = _shape(table, tensor)
    for variant in table.tables(_VARIANTS):
        check_fields(variant, layouts.VARIANT)
    _check_quantization(table, tensor, shape)
    sparsity = table.table(_SPARSITY)
    if tensor.size_bytes:
        start, end = data_span(buffers[table.integer(TENSOR_BUFFER, "I")])
        if tensor.dtype == "string":
            _check_strings(table, start, end)
        else:
            elements = math.prod(shape) if sparsity is None else _sparse_elements(sparsity, shape)
            if tensor.size_bytes != _bytes(tensor.dtype, elements):
                raise table.source.damaged(
                    f"{tensor.name[:80]!r} has {tensor.size_bytes} bytes of data, expected "
                    f"{_bytes(tensor.dtype, elements)} for {tensor.dtype} {list(shape)}"
                )
    return Checked(tensor, tensor.constant or bool(table.integer(_VARIABLE, "b")) or 0 in shape)


def _bytes(dtype: str, elements: int) -> int:
    return -(-elements * TENSOR_BITS[dtype] // 8)


def _shape(table: Table, tensor: Tensor) -> tuple[int, ...]:
    shape, signature = table.numbers(TENSOR_SHAPE, "i"), table.numbers(TENSOR_SHAPE_SIGNATURE, "i")
    fits = not signature or (
        len(shape) == len(signature)
        and all(stated in (-1, size) for size, stated in zip(shape, signature, strict=True))
    )
    if tensor.dtype not in TENSOR_BITS or len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0 or not fits:
        raise table.source.damaged(
            f"{tensor.name[:80]!r} is {tensor.dtype} {list(shape[:MOST_DIMENSIONS])}, "
            f"also stated as {list(signature[:MOST_DIMENSIONS])}"
        )
    if math.prod(size or 1 for size in shape) * max(TENSOR_BITS[tensor.dtype], 8) // 8 > _MOST_BYTES:
        raise table.source.damaged(f"{tensor.name[:80]!r} has shape {list(shape)}, which takes more than 2 GiB")
    return shape


def _check_quantization(table: Table, tensor: Tensor, shape: Sequence[int]) -> None:
    parameters = table.table(TENSOR_QUANTIZATION)
    if parameters is None:
        return
    check_fields(parameters, layouts.QUANTIZATION)
    details = parameters.table(_DETAILS)
    if details is not None:
        check_fields(details, _DETAILS_LAYOUTS.get(parameters.integer(_DETAILS_TYPE, "B"), ""))
    scales, zero_points = np.array(tensor.scales), np.array(tensor.zero_points, np.int64)
    per_channel = tensor.axis is not None and details is None
    axis = tensor.axis if tensor.axis is not None and 0 <= tensor.axis < len(shape) else None
    if per_channel and (axis is None or shape[axis] != len(scales)):
        raise table.source.damaged(
            f"{tensor.name[:80]!r} has {len(scales)} scales along dimension {tensor.axis} of {list(shape)}"
        )
    low, high = _zero_point_range(tensor.dtype)
    scales_fit = ((scales >= 0) & (scales <= _HIGHEST_SCALE)).all()  # NaN compares as false
    if not scales_fit or ((zero_points < low) | (zero_points > high)).any():
        raise table.source.damaged(f"{tensor.name[:80]!r} has scales or zero points that {tensor.dtype} cannot have")


def _zero_point_range(dtype: str) -> tuple[int, int]:
    bits = min(TENSOR_BITS[dtype], 32) if "int" in dtype else 32  # kernels read zero points as int32
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _check_strings(table: Table, start: int, end: int) -> None:
    """Checks a row of texts: how many, where each starts, where the last one ends, counted from the first byte."""
    table.source.spend((end - start) // BYTES_PER_ITEM)
    data = table.source.content[start:end]
    count = int.from_bytes(data[:4], "little", signed=True)
    if count < 0 or 4 * (count + 2) > len(data):
        raise table.source.damaged(f"the {count} texts at byte {start} do not fit into {len(data)} bytes")
    places = np.frombuffer(data, "<i4", count + 1, 4)
    if places[0] < 4 * (count + 2) or (np.diff(places) < 0).any() or places[-1] > len(data):
        raise table.source.damaged(f"the texts at byte {start} do not lie within their data")


def _sparse_elements(sparsity: Table, shape: Sequence[int]) -> int:
    """Checks how a sparse tensor is laid out, and returns how many elements it stores.

    The levels of storage, outermost first, are the dimensions and the blocks that some are cut into; a level is dense,
    or lists which of its indices there are. See SparsityParameters in TFLite's schema.
    """
    check_fields(sparsity, layouts.SPARSITY)
    order, block_map, levels = (
        sparsity.numbers(_ORDER, "i"),
        sparsity.numbers(_BLOCK_MAP, "i"),
        sparsity.tables(_DIMENSIONS),
    )
    rank = len(shape)
    source = sparsity.source
    if not sorted(order) == list(range(rank + len(block_map))) == list(range(len(levels))):
        raise source.damaged(f"a sparse tensor of shape {list(shape)} has {len(levels)} levels in order {list(order)}")
    if not set(block_map) <= set(range(rank)):
        raise source.damaged(f"a sparse tensor of shape {list(shape)} has blocks along {list(block_map)}")
    sizes = list(shape) + [0] * len(block_map)
    for place, level in zip(order, levels, strict=True):
        if place >= rank:
            sizes[place] = max(level.integer(_DENSE_SIZE, "i"), 1)
            sizes[block_map[place - rank]] //= sizes[place]
    stored = 1
    for place, level in zip(order, levels, strict=True):
        stored = _stored(level, stored, sizes[place])
    return stored


def _stored(level: Table, above: int, size: int) -> int:
    """Returns how many entries a level has, of `above` entries of the level above and a dimension of `size`."""
    check_fields(level, layouts.SPARSE_DIMENSION)
    if level.integer(_FORMAT, "b") == 0:
        if level.integer(_DENSE_SIZE, "i") != size:
            raise level.source.damaged(f"a sparse tensor has a dense level of another size than {size}")
        return above * size
    segments, indices = _sparse_vector(level, *_SEGMENTS), _sparse_vector(level, *_INDICES)
    ends_right = len(segments) == above + 1 and segments[0] == 0 and segments[-1] == len(indices)
    if not ends_right or (np.diff(segments) < 0).any() or ((indices < 0) | (indices >= size)).any():
        raise level.source.damaged(f"a sparse tensor lists indices that a dimension of {size} does not have")
    return len(indices)


def _sparse_vector(level: Table, kind: int, slot: int) -> NDArray[np.int64]:
    code = level.integer(kind, "B")
    vector = level.table(slot)
    if vector is None or not 0 < code < len(_SPARSE_VECTOR_ITEMS):
        raise level.source.damaged("a sparse tensor lacks its indices")
    size = _SPARSE_VECTOR_ITEMS[code]
    return vector.array(0, size).view("<i4" if size == 4 else f"<u{size}").astype(np.int64)
