"""Convolutions that an engine may compute by Winograd's algorithm, and what that saves at most.

A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308.
"""

from liteport.runtime.contents import Op

from .values import Values

OF_ITEM = 3
"""Dimensions of the images of ncnn, which has no batches."""

_NCNN_WINDOW = 3
_TILE = 8  # the largest that engines use: 6×6 results of a 3×3 convolution take 64 multiplications instead of 324
_ENDS = {window: " by Winograd" + ("" if window == _NCNN_WINDOW else f", {window}×{window}") for window in range(2, 8)}

GAINS = {end: (window * (_TILE + 1 - window) / _TILE) ** 2 for window, end in _ENDS.items()}
"""By what share multiplications are fewer at most, by what the type of such a convolution ends in."""


def by_winograd(values: Values, op: Op) -> str:
    """Returns what the type of an operation ends in that may be computed by Winograd's algorithm, or "".

    ncnn does so with windows of 3×3 that are applied at each place, MNN with any that are square and not too large.
    """
    if op.kind != "Convolution":
        return ""
    data, weights, result = (values.of(index) for index in (*op.inputs[:2], op.outputs[0]))
    height, width = weights.shape[-2:]
    ncnn = len(data.shape) == OF_ITEM
    if height != width or (width != _NCNN_WINDOW if ncnn else width not in _ENDS):
        return ""
    sides = slice(0, 2) if ncnn else slice(-2, None)
    dense = all(got > size - width for got, size in zip(result.shape[sides], data.shape[sides], strict=True))
    return _ENDS[width] if dense else ""
