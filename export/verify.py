"""Holding every exported file against the Keras model, through the runtime that users will run it with.

The tolerance asks two things. Outputs may differ by so much on average, and for floating schemes by so much at all; and
the top class may differ where Keras itself was undecided, that is where its two best classes were closer than a margin,
but elsewhere for no more than a small share of the samples. All are relative to the span of the reference's outputs
unless those are probabilities, so that logits are judged by the same numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liteport.errors import VerificationError
from liteport.runtime import Model
from liteport.runtime.manifest import Verification

from .calibration import Samples


@dataclass(frozen=True)
class Tolerance:
    """What is let through.

    Attributes:
        max_abs_error: Largest difference of any output value; None where single values may be far off.
        mean_abs_error: Largest mean difference of output values.
        margin: Top classes may differ where the reference's two best are closer than this.
        flips: Share of samples whose top class may differ all the same.
    """

    max_abs_error: float | None
    mean_abs_error: float
    margin: float
    flips: float


# Floating kernels differ in the order of additions only: single precision keeps 7 digits, and a network of some dozens
# of layers loses two or three of them.
FLOAT32 = Tolerance(max_abs_error=1e-3, mean_abs_error=1e-4, margin=1e-3, flips=0.0)
# Half precision keeps 3 digits of each weight.
FLOAT16 = Tolerance(max_abs_error=5e-2, mean_abs_error=5e-3, margin=5e-2, flips=0.0)
# 8 bits keep 2 digits. A single undecided image may swing far, so the mean is judged; 0.5 % of decisions may flip.
INT8 = Tolerance(max_abs_error=None, mean_abs_error=2e-2, margin=0.2, flips=5e-3)
# Weights of 8 bits but activations of 16: half of the former.
INT16 = Tolerance(max_abs_error=None, mean_abs_error=1e-2, margin=0.1, flips=5e-3)


def verify(
    variant: str,
    model: Model,
    samples: Samples,
    reference: NDArray[np.float32],
    tolerance: Tolerance,
    *,
    probabilities: bool,
) -> Verification:
    """Runs an exported model on held-out samples and compares it with Keras.

    Args:
        variant: Its id, for messages.
        model: The exported model.
        samples: What to run it on.
        reference: The Keras model's outputs for them, (N, ...).
        tolerance: What is let through.
        probabilities: Whether the outputs are probabilities.

    Raises:
        VerificationError: If it is out of tolerance; the message has the figures and the worst sample's index.
    """
    outputs = next(iter(model.run({model.input.name: samples.images}).values()))
    if outputs.shape != reference.shape:
        raise VerificationError(f"{variant} gives outputs of shape {outputs.shape}, the model {reference.shape}")
    error = np.abs(outputs - reference)
    flipped = _top(outputs) != _top(reference)
    span = 1.0 if probabilities else float(np.ptp(reference)) or 1.0
    _judge(variant, error, flipped & (_margins(reference) > tolerance.margin * span), tolerance, span)
    known = samples.labels
    return Verification(
        reference="keras",
        data=f"{samples.source} {samples.split}",
        samples=len(samples),
        max_abs_error=float(error.max()),
        top1_agreement=float(1 - flipped.mean()),
        accuracy=None if known is None else float((_top(outputs) == known).mean()),
        reference_accuracy=None if known is None else float((_top(reference) == known).mean()),
    )


def _judge(
    variant: str, error: NDArray[np.float32], decided_flips: NDArray[np.bool_], tolerance: Tolerance, span: float
) -> None:
    """Written so that NaN, which compares false with everything, is out of tolerance too."""
    worst = int(np.argmax(error.reshape(len(error), -1).max(axis=1)))
    found = []
    if tolerance.max_abs_error is not None and not error.max() <= tolerance.max_abs_error * span:
        found.append(f"largest error {error.max():.2g} (allowed {tolerance.max_abs_error * span:.2g})")
    if not error.mean() <= tolerance.mean_abs_error * span:
        found.append(f"mean error {error.mean():.2g} (allowed {tolerance.mean_abs_error * span:.2g})")
    if decided_flips.mean() > tolerance.flips:
        found.append(
            f"{decided_flips.sum()} of {len(error)} decisions changed (allowed {tolerance.flips * len(error):.0f})"
        )
    if found:
        raise VerificationError(f"{variant} is too far from the Keras model: {'; '.join(found)}; worst sample: {worst}")


def _top(outputs: NDArray[np.float32]) -> NDArray[np.intp]:
    top: NDArray[np.intp] = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return top


def _margins(reference: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = reference.reshape(len(reference), -1)
    if flat.shape[1] < 2:
        return np.zeros(len(flat), np.float32)
    best = np.partition(flat, -2, axis=1)
    return best[:, -1] - best[:, -2]
