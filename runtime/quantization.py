"""Affine quantization, `real = scale * (q - zero_point)`, as in Jacob et al. 2018 (arXiv 1712.05877, equation 1)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import Preprocessing, TensorSpec

_SIGN_BIT = np.array(128, np.uint8)  # an array, as a plain number would be converted at each call


def quantize(values: NDArray[np.floating], spec: TensorSpec) -> NDArray[np.integer]:
    """Rounds real values to the tensor's integer grid; values beyond its range saturate.

    Args:
        values: Real values, any shape.
        spec: A quantized tensor.

    Returns:
        Integers of the tensor's dtype, same shape.
    """
    limits = np.iinfo(spec.dtype)
    # In float64, which holds every int32; float32 would round the limit up past the range.
    grid = np.rint(np.divide(values, np.float64(spec.scale), dtype=np.float64)) + spec.zero_point
    quantized: NDArray[np.integer] = np.clip(grid, limits.min, limits.max).astype(spec.dtype)
    return quantized


def dequantize(values: NDArray[np.integer], spec: TensorSpec) -> NDArray[np.float32]:
    """Returns the real values, float32, that quantized ones stand for; same shape."""
    return (values.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)


def decoder(spec: TensorSpec) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Returns the fastest way from an output tensor to real values: see `dequantize`.

    Of 8 bits there are 256 values, so they are looked up. Half precision becomes float32; other types stay.
    """
    if spec.scale is None:
        return partial(np.asarray, dtype=np.float32) if spec.dtype == "float16" else _same
    if np.dtype(spec.dtype).itemsize > 1:
        return partial(dequantize, spec=spec)
    table = dequantize(np.arange(256, dtype=np.uint8).view(spec.dtype), spec)
    return table.take  # int8 below zero counts from the table's end, where its bits put it


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


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


def pixel_encoder(table: NDArray[np.generic]) -> Callable[[NDArray[np.uint8]], NDArray[np.generic]]:
    """Returns the fastest way to look every pixel of NHWC images up in a table from `pixel_table`.

    Where int8 stands for the pixel less 128 (scale 1/255 and zero point -128) that is the flip of one bit.
    The result is contiguous, as engines want it, whatever the images are.
    """
    if table.ndim > 1:
        return lambda images: np.stack([row[images[..., channel]] for channel, row in enumerate(table)], axis=-1)
    if table.dtype == np.int8 and (table.view(np.uint8) == np.arange(256) ^ 128).all():
        return lambda images: np.bitwise_xor(images, _SIGN_BIT, order="C").view(np.int8)
    return lambda images: np.ascontiguousarray(table[images])
