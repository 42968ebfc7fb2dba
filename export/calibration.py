"""The samples that integer variants are calibrated on, and those that every variant is verified on.

Calibration data fixes the ranges of activations, so it must look like what the model will see: it is drawn from the
train split (or from what the user gives), never made up, and never from the test split. Verification uses samples that
neither training nor calibration has seen, where there are any.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, LiteportWarning
from liteport.runtime import Preprocessing, TensorSpec
from liteport.runtime.inputs import Input
from liteport.runtime.records import CalibrationInfo, Stability

from .given_data import ImageFolder, Samples, opened, pools

_FEW = 100


def prepared(
    samples: Samples, specs: Sequence[TensorSpec], preprocessing: Mapping[str, Preprocessing]
) -> dict[str, NDArray[Any]]:
    """Returns model input as the runtime makes it from raw pixels; floating values pass as they are.

    Args:
        samples: What was drawn.
        specs: The model's inputs.
        preprocessing: Of each floating input.
    """
    return {spec.name: Input(spec, preprocessing.get(spec.name)).prepare(samples.inputs[spec.name]) for spec in specs}


def gather(
    calibration: Any, verify: Any, *, specs: Sequence[TensorSpec], count: int, verify_count: int, seed: int
) -> tuple[Samples | None, Samples | None]:
    """Draws calibration and verification data from what the user gives.

    Args:
        calibration: See `given_data.pools`; or None.
        verify: The same; None for what `calibration` holds out: a data set's validation split, or the samples that
            were not drawn.
        specs: The model's inputs.
        count: How many samples to calibrate on; fewer if there are fewer.
        verify_count: How many samples to verify on.
        seed: Which ones are drawn.

    Returns:
        Calibration data and verification data; None where nothing was given for it.

    Raises:
        InvalidInputError: If samples do not fit the model, or none are there.
    """
    if count < 1 or verify_count < 1:
        raise InvalidInputError(f"sample counts are {count} and {verify_count}, expected at least 1")
    drawn = rest = None
    if calibration is not None:
        pool, validation = pools(calibration, "calibration", specs, count + verify_count)
        drawn, left = _drawn(pool, specs, seed, count, verify_count if validation is None else 0)
        rest = left if validation is None else _drawn(validation, specs, seed, verify_count, 0)[0]
        if len(drawn) < _FEW:
            warnings.warn(
                f"calibrating on {len(drawn)} samples; ranges of activations want at least {_FEW}",
                LiteportWarning,
                stacklevel=4,
            )
    if verify is not None:
        pool, validation = pools(verify, "verification", specs, verify_count)
        rest = _drawn(validation or pool, specs, seed, verify_count, 0)[0]
    return drawn, rest


def describe(
    samples: Samples, seed: int, method: str = "minmax", stability: Stability | None = None
) -> CalibrationInfo:
    """Returns what the manifest says of calibration data; the digest covers the samples in their order."""
    digest = hashlib.sha256()
    for name, array in samples.inputs.items():
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return CalibrationInfo(samples.source, samples.split, len(samples), seed, digest.hexdigest(), method, stability)


def halves(samples: Samples) -> tuple[Samples, Samples]:
    """Deals the samples out into two halves, as balanced by class as the whole is."""
    order = _balanced_order(samples.labels, len(samples), seed=0)
    return samples.take(order[: len(order) // 2]), samples.take(order[len(order) // 2 :])


def _drawn(
    pool: Samples | ImageFolder, specs: Sequence[TensorSpec], seed: int, count: int, more: int
) -> tuple[Samples, Samples | None]:
    """Draws samples, and if wished more that are not among them; None where none are left."""
    total = len(pool.files) if isinstance(pool, ImageFolder) else len(pool)
    order = _balanced_order(pool.labels, total, seed)
    first, second = order[:count], order[count : count + more]
    if isinstance(pool, ImageFolder):
        return opened(pool, first, specs[0]), opened(pool, second, specs[0]) if len(second) else None
    return pool.take(first), pool.take(second) if len(second) else None


def _balanced_order(labels: NDArray[np.integer] | None, total: int, seed: int) -> NDArray[np.intp]:
    """An order of all samples whose every beginning holds the classes as evenly as there are samples of them."""
    order = np.random.default_rng(seed).permutation(total)
    if labels is None:
        return order
    labels = labels[order]
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels[by_class], side="left")
    turn = np.empty(len(order), np.intp)  # how many of its class come before it
    turn[by_class] = np.arange(len(order)) - starts
    return order[np.argsort(turn, kind="stable")]
