"""What predictions say: accuracy, and what a variant lost and won against its reference. Pure functions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Accuracy:
    """How a variant answered a test split, on its own and beside the reference.

    Attributes:
        images: Images asked.
        correct: Images answered rightly.
        accuracy: `correct / images`.
        lost: Images that the reference answers rightly and this variant does not.
        won: Images that this variant answers rightly and the reference does not.
        difference_points: Accuracy less the reference's, in percentage points: `100 * (won - lost) / images`.
        top1_agreement: Share of images with the same top class as the reference, right or wrong.
    """

    images: int
    correct: int
    accuracy: float
    lost: int
    won: int
    difference_points: float
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
    if not top1.shape == reference.shape == labels.shape or top1.size == 0:
        raise ValueError(f"expected three equal, non-empty shapes, got {top1.shape}, {reference.shape}, {labels.shape}")
    right, reference_right = top1 == labels, reference == labels
    images, correct = int(labels.size), int(right.sum())
    lost, won = int((reference_right & ~right).sum()), int((right & ~reference_right).sum())
    return Accuracy(
        images=images,
        correct=correct,
        accuracy=correct / images,
        lost=lost,
        won=won,
        difference_points=100 * (won - lost) / images,
        top1_agreement=float((top1 == reference).mean()),
    )
