import numpy as np
import pytest

from liteport.benchmarks.accuracy import Accuracy, compare


def test_by_hand() -> None:
    labels = np.array([0, 1, 2, 3, 4])
    reference = np.array([0, 1, 2, 9, 9])  # right on the first three
    top1 = np.array([0, 1, 7, 3, 8])  # loses the third, wins the fourth, and is wrong in another way on the fifth
    assert compare(top1, reference, labels) == Accuracy(
        images=5, correct=3, accuracy=0.6, lost=1, won=1, difference_points=0.0, top1_agreement=0.4
    )


def test_lost_and_won_explain_the_difference() -> None:
    rng = np.random.default_rng(7)
    labels, reference, top1 = rng.integers(0, 3, (3, 500))
    found = compare(top1, reference, labels)
    reference_correct = sum(a == b for a, b in zip(reference, labels, strict=True))
    assert found.correct == sum(a == b for a, b in zip(top1, labels, strict=True))
    assert found.correct - reference_correct == found.won - found.lost
    # 100 * (a - b) / n in another order of operations: equal up to rounding.
    assert found.difference_points == pytest.approx(100 * (found.accuracy - reference_correct / 500), abs=1e-9)


@pytest.mark.parametrize(("images", "others"), [(0, 0), (3, 4)])
def test_refuses_what_cannot_be_compared(images: int, others: int) -> None:
    with pytest.raises(ValueError, match="equal, non-empty shapes"):
        compare(np.zeros(images, np.int64), np.zeros(others, np.int64), np.zeros(others, np.int64))
