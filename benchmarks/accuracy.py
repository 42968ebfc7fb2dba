"""What predictions say: accuracy, what a variant lost and won against its reference, and how sure that is.

Pure functions, of numpy and the standard library alone.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .latency import Interval

_Z = NormalDist().inv_cdf(0.975)  # leaves a 95 % interval
_BISECTIONS = 60  # halve the range from -1 to 1 to less than a double's precision


@dataclass(frozen=True)
class Accuracy:
    """How a variant answered a test split, on its own and beside the reference.

    Attributes:
        images: Images asked.
        correct: Images answered rightly.
        accuracy: `correct / images`.
        interval: Of the accuracy, Wilson's.
        lost: Images that the reference answers rightly and this variant does not.
        won: Images that this variant answers rightly and the reference does not.
        difference_points: Accuracy less the reference's, in percentage points: `100 * (won - lost) / images`.
        difference_interval: Of the difference, in percentage points.
        p_value: Exact, of McNemar's test that images are lost and won equally likely.
        top1_agreement: Share of images with the same top class as the reference, right or wrong.
    """

    images: int
    correct: int
    accuracy: float
    interval: Interval
    lost: int
    won: int
    difference_points: float
    difference_interval: Interval
    p_value: float
    top1_agreement: float


def compare(top1: NDArray[np.int64], reference: NDArray[np.int64], labels: NDArray[np.int64]) -> Accuracy:
    """Compares a variant's top classes with the labels and with the reference's top classes.

    Args:
        top1: The variant's class of each image, (N,).
        reference: The reference's class of each image, (N,).
        labels: The right class of each image, (N,).

    Raises:
        ValueError: If the three differ in shape or are empty.
    """
    _check_shapes(top1, reference, labels)
    right, reference_right = top1 == labels, reference == labels
    images, correct = int(labels.size), int(right.sum())
    lost, won = int((reference_right & ~right).sum()), int((right & ~reference_right).sum())
    difference = difference_interval(lost, won, images)
    return Accuracy(
        images=images,
        correct=correct,
        accuracy=correct / images,
        interval=wilson_interval(correct, images),
        lost=lost,
        won=won,
        difference_points=100 * (won - lost) / images,
        difference_interval=Interval(100 * difference.low, 100 * difference.high),
        p_value=mcnemar_p_value(lost, won),
        top1_agreement=float((top1 == reference).mean()),
    )


def wilson_interval(correct: int, images: int) -> Interval:
    """Returns the score interval of a share, which stays between 0 and 1 and holds near both.

    E. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).

    Args:
        correct: Images answered rightly.
        images: Images asked, 1 or more.
    """
    share, weight = correct / images, _Z**2 / images
    centre = (share + weight / 2) / (1 + weight)
    half = sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def difference_interval(lost: int, won: int, images: int) -> Interval:
    """Returns the score interval of the difference of two shares of the same images, `(won - lost) / images`.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17 (1998). It holds for small counts, where the usual normal interval does not:
    with nothing lost and nothing won it is not of width 0, but says what so many images leave possible.

    Args:
        lost: Images that only the reference answers rightly.
        won: Images that only the variant answers rightly.
        images: Images asked, 1 or more.
    """
    seen = (won - lost) / images

    def limit(outside: float) -> float:
        inside = seen
        for _ in range(_BISECTIONS):
            middle = (outside + inside) / 2
            if (seen - middle) ** 2 > _Z**2 * _variance(middle, lost, won, images):
                outside = middle
            else:
                inside = middle
        return inside

    return Interval(limit(-1.0), limit(1.0))


def _variance(difference: float, lost: int, won: int, images: int) -> float:
    """Variance of the difference seen, if the true one is `difference` and a loss as likely as then fits best."""
    linear = (2 * images - won + lost) * difference - won - lost
    root = sqrt(linear**2 + 8 * images * lost * difference * (1 - difference))
    loss = (root - linear) / (4 * images)
    return max(0.0, 2 * loss + difference * (1 - difference)) / images


def mcnemar_p_value(lost: int, won: int) -> float:
    """Returns the two-sided exact p of seeing counts so far apart, or farther, if both were equally likely.

    Q. McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages",
    Psychometrika 12 (1947), with the binomial distribution in place of its normal limit.

    Args:
        lost: Images that only the reference answers rightly.
        won: Images that only the variant answers rightly.
    """
    count = lost + won
    ways = term = 1  # to choose 0 of `count`; in integers, so nothing is rounded however many there are
    for chosen in range(1, min(lost, won) + 1):
        term = term * (count - chosen + 1) // chosen
        ways += term
    return min(1.0, 2 * ways / (1 << count))


def expected_calibration_error(
    top1: NDArray[np.int64], confidence: NDArray[Any], labels: NDArray[np.int64], bins: int = 15
) -> float:
    """Returns how far mean confidence and accuracy are apart: in bins of confidence, averaged over all images.

    C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017
    (arXiv 1706.04599), equation 3: bins of equal width, of which each holds its upper edge.

    Args:
        top1: The class of each image, (N,).
        confidence: That class's probability, from 0 to 1, (N,).
        labels: The right class of each image, (N,).
        bins: Number of bins.

    Raises:
        ValueError: If the three differ in shape or are empty.
    """
    _check_shapes(top1, confidence, labels)
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    bin_of = np.digitize(confidence, edges, right=True)
    excess = np.bincount(bin_of, weights=confidence.astype(np.float64) - (top1 == labels), minlength=bins)
    return float(np.abs(excess).sum() / labels.size)


def recalls(top1: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> tuple[float | None, ...]:
    """Returns the share of each class's images that are answered rightly; None for a class without images.

    Args:
        top1: The class that each image was taken for, (N,).
        labels: The right class of each image, (N,).
        classes: Number of classes, more than the largest label.

    Raises:
        ValueError: If the two differ in shape or are empty, or a label is `classes` or more.
    """
    _check_shapes(top1, labels)
    if labels.max() >= classes:
        raise ValueError(f"expected labels below {classes}, got {labels.max()}")
    images = np.bincount(labels, minlength=classes)
    correct = np.bincount(labels[top1 == labels], minlength=classes)
    return tuple(float(right / asked) if asked else None for right, asked in zip(correct, images, strict=True))


def _check_shapes(*arrays: NDArray[Any]) -> None:
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1 or 0 in shapes[0]:
        raise ValueError(f"expected equal, non-empty shapes, got {', '.join(map(str, shapes))}")
