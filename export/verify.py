"""Holding every exported file against the Keras model, through the runtime that users will run it with.

The tolerance asks two things of each output. Values may differ by so much on average, and for floating schemes by so
much at all; and the top class may differ where Keras itself was undecided, that is where its two best classes were
closer than a margin, but elsewhere for no more than a small share of the samples. All are relative to the span of the
reference's outputs unless those are probabilities, so that logits are judged by the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import VerificationError, require
from liteport.runtime.records import Verification

from .given_data import Samples

_WORST = 5


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
# 4 bits keep one digit of each weight: two and a half times what 8 bits may cost, and 2 % of decisions.
INT4 = Tolerance(max_abs_error=None, mean_abs_error=5e-2, margin=0.3, flips=2e-2)


@dataclass(frozen=True)
class Reference:
    """The Keras model's answers to the verification samples.

    Attributes:
        samples: What it was asked.
        outputs: By output name, (N, ...) each; of a classifier the first is (N, classes).
        activations: By output name: "softmax", "sigmoid", "linear" or "other".
        name: What is told of the model.
    """

    samples: Samples
    outputs: Mapping[str, NDArray[np.float32]]
    activations: Mapping[str, str]
    name: str = "keras"


def verify(outputs: Mapping[str, NDArray[Any]], reference: Reference, tolerance: Tolerance) -> Verification:
    """Compares an exported model's outputs with Keras's, on held-out samples.

    Args:
        outputs: What it gave, by output name; perhaps for only the first of the samples, if it is slow.
        reference: What Keras gave.
        tolerance: What is let through.

    Raises:
        VerificationError: If it is out of tolerance; the message has the figures and the worst samples' indices.
    """
    count = len(next(iter(outputs.values())))
    errors = {}
    flipped: NDArray[np.bool_] | None = None
    for name, whole in reference.outputs.items():
        expected, found = whole[:count], np.asarray(outputs[name], np.float32)
        if found.shape != expected.shape:
            raise VerificationError(f"it gives {name!r} of shape {found.shape}, the model {expected.shape}")
        errors[name] = np.abs(found - expected).reshape(count, -1)
        where = "" if len(reference.outputs) == 1 else f" in {name!r}"
        span = 1.0 if reference.activations[name] in ("softmax", "sigmoid") else float(np.ptp(expected)) or 1.0
        differ = top_class(found) != top_class(expected)
        flipped = differ if flipped is None else flipped  # of a model of several outputs the first decides
        decided = differ & (_margins(expected) > tolerance.margin * span)
        _judge(f"too far from the Keras model{where}", errors[name], decided, tolerance, span)
    assert flipped is not None
    every = np.concatenate(list(errors.values()), axis=1)
    return Verification(
        reference=reference.name,
        data=f"{reference.samples.source} {reference.samples.split}",
        samples=count,
        max_abs_error=float(every.max()),
        top1_agreement=float(1 - flipped.mean()),
        mean_abs_error=float(every.mean()),
        worst=_worst(every),
        **_paired(reference, outputs, count),
    )


def top_class(outputs: NDArray[Any]) -> NDArray[np.intp]:
    """Returns each sample's top class; where there is one value only, as of a sigmoid, whether it is above 0.5."""
    flat = outputs.reshape(len(outputs), -1)
    top: NDArray[np.intp] = flat.argmax(axis=1) if flat.shape[1] > 1 else (flat[:, 0] > 0.5).astype(np.intp)
    return top


def _paired(reference: Reference, outputs: Mapping[str, NDArray[Any]], count: int) -> dict[str, Any]:
    """Accuracy and the samples won and lost, with McNemar's exact test, which is a binomial one (McNemar 1947)."""
    if reference.samples.labels is None:
        return {"accuracy": None, "reference_accuracy": None}
    name, expected = next(iter(reference.outputs.items()))
    labels = reference.samples.labels[:count]
    ours, theirs = top_class(np.asarray(outputs[name])) == labels, top_class(expected[:count]) == labels
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p = require("scipy.stats", "export").binomtest(won, won + lost).pvalue if won + lost else 1.0
    return {
        "accuracy": float(ours.mean()),
        "reference_accuracy": float(theirs.mean()),
        "won": won,
        "lost": lost,
        "mcnemar_p": float(p),
    }


def _worst(errors: NDArray[np.float32]) -> tuple[int, ...]:
    largest = errors.max(axis=1)
    return tuple(int(index) for index in np.argsort(-largest, kind="stable")[:_WORST])


def _judge(
    complaint: str, error: NDArray[np.float32], decided_flips: NDArray[np.bool_], tolerance: Tolerance, span: float
) -> None:
    """Written so that NaN, which compares false with everything, is out of tolerance too."""
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
        worst = ", ".join(map(str, _worst(error)))
        raise VerificationError(f"{complaint}: {'; '.join(found)}; worst samples: {worst}")


def _margins(reference: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = reference.reshape(len(reference), -1)
    if flat.shape[1] < 2:
        margins: NDArray[np.float32] = np.abs(flat[:, 0] - 0.5)
        return margins
    best = np.partition(flat, -2, axis=1)
    return best[:, -1] - best[:, -2]
