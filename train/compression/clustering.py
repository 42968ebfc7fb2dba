"""Few different int8 codes for a kernel: pure functions of numpy arrays.

Symmetric int8 quantization per channel divides a channel's weights by their largest magnitude over 127. Clusters of
the weights as they are fall apart there, as each channel divides by something else; so the codes are clustered instead,
and a channel's weights are its scale times them. The file then has these codes and no others, also when a batch norm,
which multiplies whole channels, is folded into the kernel.
"""

import numpy as np
from numpy.typing import NDArray

LARGEST_CODE = 127
_MOST_ITERATIONS = 100


def codes_of(kernel: NDArray[np.float32], channels: tuple[int, ...]) -> NDArray[np.int8]:
    """Quantizes a kernel as an int8 export does: symmetric, per channel, narrow range.

    Args:
        kernel: Any shape.
        channels: Axes, each combination of whose indices has a scale of its own.
    """
    return np.rint(_on_grid(kernel, channels)).astype(np.int8)


def clustered_codes(kernel: NDArray[np.float32], channels: tuple[int, ...], clusters: int) -> NDArray[np.int8]:
    """Quantizes a kernel to few codes, those which k-means chooses.

    -127 and 127 are among them, so that a channel's largest weight stays what its scale comes from. Zeros stay zero,
    and zero is then a code too.

    Args:
        kernel: Any shape.
        channels: As for `codes_of`.
        clusters: How many codes there are at most, from three.
    """
    values = _on_grid(kernel, channels)
    stays = kernel != 0
    levels = k_means(values[stays], clusters if stays.all() else clusters - 1)
    nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, values)
    return np.where(stays, np.rint(levels)[nearest], 0).astype(np.int8)


def k_means(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Returns the levels (count,), ascending, to the nearest of which values (N,) from -127 to 127 are moved.

    Lloyd's iterations from a linear start, which S. Han et al., "Deep Compression" (arXiv 1510.00149), section 3.2,
    found best as it leaves levels for the few large weights. The two outermost levels stay where they are.
    """
    rising = np.sort(values)
    sums = np.concatenate([[0.0], np.cumsum(rising)])
    levels = np.linspace(-LARGEST_CODE, LARGEST_CODE, count)
    for _ in range(_MOST_ITERATIONS):
        edges = np.searchsorted(rising, (levels[1:] + levels[:-1]) / 2)
        members = np.diff(edges)  # of all levels but the outermost
        moved = levels.copy()
        moved[1:-1] = np.where(members > 0, np.diff(sums[edges]) / np.maximum(members, 1), levels[1:-1])
        if np.allclose(moved, levels, rtol=0, atol=1e-3):  # they are rounded to whole numbers
            break
        levels = moved
    return levels


def _on_grid(kernel: NDArray[np.float32], channels: tuple[int, ...]) -> NDArray[np.float64]:
    """Divides each channel by its scale: the largest magnitude becomes 127."""
    largest = np.abs(kernel).max(axis=other_axes(kernel.ndim, channels), keepdims=True).astype(np.float64)
    return kernel * (LARGEST_CODE / np.where(largest > 0, largest, 1))


def other_axes(dimensions: int, channels: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the axes of a kernel that are not among its channels'; negative ones count from the last."""
    kept = {axis % dimensions for axis in channels}
    return tuple(axis for axis in range(dimensions) if axis not in kept)
