"""Affine quantization, `real = scale * (q - zero_point)`, as in Jacob et al. 2018 (arXiv 1712.05877, equation 1)."""

import numpy as np
from numpy.typing import NDArray

from .manifest import Preprocessing, TensorSpec


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


def apply_table(images: NDArray[np.uint8], table: NDArray[np.generic]) -> NDArray[np.generic]:
    """Looks every pixel of NHWC images up; see `pixel_table`."""
    if table.ndim == 1:
        return table[images]
    return np.stack([table[channel][images[..., channel]] for channel in range(len(table))], axis=-1)
