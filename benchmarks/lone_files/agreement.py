"""How near the outputs of two model files are. Pure functions."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError

from ..results import Agreement
from .tensor_matching import laid_out, layout


def agreement(
    outputs: Sequence[NDArray[Any]], reference_outputs: Sequence[NDArray[Any]], source: str, items: int | None = None
) -> Agreement:
    """Compares a file's outputs with the reference's, which may be laid out otherwise (NCHW and NHWC).

    The signal-to-noise ratio is 10 log10(sum of squares of the reference / sum of squares of the difference), over all
    values of all outputs. Infinite values and NaN that both have in the same places count as equal.

    Args:
        outputs: The file's, in the reference's order.
        reference_outputs: The reference's.
        source: What was asked.
        items: How many were asked; None for the first output's first size.

    Raises:
        BackendError: If numbers or shapes of outputs differ, or one has NaN or infinity where the other has not.
    """
    if len(outputs) != len(reference_outputs) or not outputs:
        raise BackendError(f"it gave {len(outputs)} outputs, the reference {len(reference_outputs)}")
    pairs = [_alike(*pair) for pair in zip(outputs, reference_outputs, strict=True)]
    difference = np.concatenate([_difference(*pair) for pair in pairs])
    signal = np.concatenate([theirs[np.isfinite(theirs)] for _, theirs in pairs])
    noise, power = float(np.sum(difference**2)), float(np.sum(signal**2))
    first = pairs[0][0]
    return Agreement(
        items=items if items is not None else (len(first) if first.ndim else 1),
        source=source,
        top1_agreement=next((_top1(*pair) for pair in pairs if pair[0].ndim and pair[0].shape[-1] > 1), None),
        max_abs_difference=float(np.abs(difference).max(initial=0.0)),
        # Without a signal there is no ratio either.
        snr_db=10 * math.log10(power / noise) if noise and power else None,
    )


def _alike(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns both as real numbers of one shape."""
    way = layout(ours.shape, theirs.shape)
    if way is None or laid_out(ours, way).shape != theirs.shape:
        raise BackendError(f"it gave an output of shape {ours.shape}, the reference one of {theirs.shape}")
    return laid_out(ours, way).astype(np.float64), theirs.astype(np.float64)


def _difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the differences of all values, (n,): zero where both are the same infinity, or NaN."""
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    if not np.isfinite(ours[~same]).all() or not np.isfinite(theirs[~same]).all():
        raise BackendError("its outputs hold NaN or infinity where the reference's do not, or the reverse")
    difference = np.zeros(ours.size)
    difference[~same.ravel()] = ours[~same] - theirs[~same]
    return difference


def _top1(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    return float((ours.argmax(axis=-1) == theirs.argmax(axis=-1)).mean())
