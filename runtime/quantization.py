"""Affine quantization, `real = scale * (q - zero_point)`, as in Jacob et al. 2018 (arXiv 1712.05877, equation 1)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import Preprocessing, TensorSpec

_LIMITS = {
    name: (int(np.iinfo(name).min), int(np.iinfo(name).max))
    for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
}
_SIGN_BIT = np.array(128, np.uint8)  # an array, as a plain number would be converted at each call


def quantize(values: NDArray[np.floating], spec: TensorSpec) -> NDArray[np.integer]:
    """Rounds real values to the tensor's integer grid; values beyond its range saturate.

    Args:
        values: Real values, any shape.
        spec: A quantized tensor.

    Returns:
        Integers of the tensor's dtype, same shape.
    """
    low, high = _LIMITS[spec.dtype]
    # In float64, which holds every int32; float32 would round the limit up past the range.
    grid = np.divide(values, np.float64(spec.scale), dtype=np.float64)
    np.rint(grid, out=grid)
    np.add(grid, np.float64(spec.zero_point or 0), out=grid)
    np.maximum(grid, low, out=grid)
    np.minimum(grid, high, out=grid)
    quantized: NDArray[np.integer] = grid.astype(spec.dtype)
    return quantized


def dequantize(values: NDArray[np.integer], spec: TensorSpec) -> NDArray[np.float32]:
    """Returns the real values, float32, that quantized ones stand for; same shape."""
    return (values.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)


def decoder(spec: TensorSpec) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Returns the fastest way from an output tensor to a copy with real values: see `dequantize`.

    Of 8 bits there are 256 values, so they are looked up. Half precision becomes float32; other types stay.
    """
    if spec.scale is None:
        return partial(np.array, dtype=np.float32) if spec.dtype == "float16" else np.ndarray.copy
    if np.dtype(spec.dtype).itemsize > 1:
        return partial(dequantize, spec=spec)
    table = dequantize(np.arange(256, dtype=np.uint8).view(spec.dtype), spec)
    return table.take  # int8 below zero counts from the table's end, where its bits put it


def pixel_table(preprocessing: Preprocessing, spec: TensorSpec, channels: int) -> NDArray[np.generic]:
    """Folds preprocessing and input quantization into one look-up table.

    Args:
        preprocessing: What turns raw pixels into model input.
        spec: The input tensor, quantized or float.
        channels: How many channels an image has.

    Returns:
        Shape (256,) where all channels are treated alike, else (channels, 256); dtype of the tensor.
    """
    pixels = np.arange(256, dtype=np.float64)
    scale = np.broadcast_to(preprocessing.scale, channels)[:, None]
    offset = np.broadcast_to(preprocessing.offset, channels)[:, None]
    real = (pixels * scale + offset).astype(np.float32)
    table = real.astype(spec.dtype) if spec.scale is None else quantize(real, spec)
    return table[0] if (table == table[0]).all() else table


def pixel_writer(table: NDArray[np.generic], out: NDArray[Any]) -> Callable[[NDArray[np.uint8]], object]:
    """Returns the fastest way to look every pixel of images up in a table from `pixel_table`.

    Where int8 stands for the pixel less 128 (scale 1/255 and zero point -128) that is the flip of one bit.

    Args:
        table: Of `out`'s dtype.
        out: Where the values are written, of the images' shape; contiguous where there is one table for all channels.
    """
    if table.ndim > 1:
        writers = [pixel_writer(row, out[..., channel]) for channel, row in enumerate(table)]
        return partial(_write_channels, writers)
    if table.dtype == np.int8 and (table.view(np.uint8) == np.arange(256) ^ 128).all():
        flip, bits = np.bitwise_xor, out.view(np.uint8)
        return lambda images: flip(images, _SIGN_BIT, bits)
    take = table.take
    return lambda images: take(images, None, out, "clip")  # no pixel is beyond the table: "clip" spares a buffer


def _write_channels(writers: Sequence[Callable[[NDArray[np.uint8]], object]], images: NDArray[np.uint8]) -> None:
    for channel, write in enumerate(writers):
        write(images[..., channel])
