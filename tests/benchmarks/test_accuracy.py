import numpy as np
import pytest
from scipy.stats import binomtest

from liteport.benchmarks.accuracy import (
    compare,
    difference_interval,
    expected_calibration_error,
    mcnemar_p_value,
    recalls,
    wilson_interval,
)


def test_by_hand() -> None:
    labels = np.array([0, 1, 2, 3, 4])
    reference = np.array([0, 1, 2, 9, 9])  # right on the first three
    top1 = np.array([0, 1, 7, 3, 8])  # loses the third, wins the fourth, and is wrong in another way on the fifth
    found = compare(top1, reference, labels)
    assert (found.images, found.correct, found.accuracy) == (5, 3, 0.6)
    assert (found.lost, found.won, found.difference_points, found.p_value) == (1, 1, 0.0, 1.0)
    assert found.top1_agreement == 0.4
    assert found.interval == wilson_interval(3, 5)
    assert found.difference_interval.high == 100 * difference_interval(1, 1, 5).high


def test_lost_and_won_explain_the_difference() -> None:
    rng = np.random.default_rng(7)
    labels, reference, top1 = rng.integers(0, 3, (3, 500))
    found = compare(top1, reference, labels)
    reference_correct = sum(a == b for a, b in zip(reference, labels, strict=True))
    assert found.correct == sum(a == b for a, b in zip(top1, labels, strict=True))
    assert found.correct - reference_correct == found.won - found.lost
    # 100 * (a - b) / n in another order of operations: equal up to rounding.
    assert found.difference_points == pytest.approx(100 * (found.accuracy - reference_correct / 500), abs=1e-9)
    assert found.difference_interval.low < found.difference_points < found.difference_interval.high


@pytest.mark.parametrize(("images", "others"), [(0, 0), (3, 4)])
def test_refuses_what_cannot_be_compared(images: int, others: int) -> None:
    with pytest.raises(ValueError, match="equal, non-empty shapes"):
        compare(np.zeros(images, np.int64), np.zeros(others, np.int64), np.zeros(others, np.int64))


@pytest.mark.parametrize(("correct", "images"), [(0, 1), (0, 20), (81, 263), (9894, 10_000), (10_000, 10_000)])
def test_accuracy_interval_agrees_with_scipy(correct: int, images: int) -> None:
    found = wilson_interval(correct, images)
    expected = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    # Two formulas for one value: equal up to double rounding.
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("lost", "won", "images", "low", "high"),
    [
        (3, 9, 32, -0.027, 0.390),  # T. Tango, Statistics in Medicine 17 (1998)
        (7, 1, 21, -0.517, -0.026),  # M. Fagerland et al., Statistics in Medicine 33 (2014)
        (8, 16, 86, -0.020, 0.207),  # A. Agresti and Y. Min, Statistics in Medicine 24 (2005)
    ],
)
def test_difference_interval_agrees_with_published_ones(
    lost: int, won: int, images: int, low: float, high: float
) -> None:
    found = difference_interval(lost, won, images)
    assert (round(found.low, 3), round(found.high, 3)) == (low, high)


@pytest.mark.parametrize("images", [1, 300, 10_000])
def test_difference_interval_where_nothing_differs(images: int) -> None:
    found = difference_interval(0, 0, images)
    squared = 1.959964**2
    # The equation of the limits, solved by hand for this case; the constant has seven digits.
    assert found.high == pytest.approx(squared / (images + squared), rel=1e-6)
    assert found.low == pytest.approx(-found.high, rel=1e-12)  # bisected from either side


@pytest.mark.parametrize(("lost", "won"), [(0, 5), (2, 40), (60, 61)])
def test_difference_interval_mirrors(lost: int, won: int) -> None:
    one, other = difference_interval(lost, won, 400), difference_interval(won, lost, 400)
    # Limits are bisected to less than 1e-15; the variance's two roots lose some digits to cancellation.
    assert (one.low, one.high) == (pytest.approx(-other.high, abs=1e-9), pytest.approx(-other.low, abs=1e-9))


def test_difference_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    images, loss, win = 2000, 0.004, 0.001  # eight images lost and two won, as by a good quantization
    draws = rng.multinomial(images, [loss, win, 1 - loss - win], size=400)
    intervals = [difference_interval(lost, won, images) for lost, won, _ in draws.tolist()]
    covered = sum(interval.low <= win - loss <= interval.high for interval in intervals)
    assert covered / 400 == pytest.approx(0.95, abs=0.033)  # three standard deviations of a share of 400


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 1), (7, 1), (5, 5), (3, 40), (4900, 5100)])
def test_p_value_agrees_with_scipy(lost: int, won: int) -> None:
    # Whole numbers here, logarithms of gamma functions there, whose rounding shows with large counts.
    expected = binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert mcnemar_p_value(lost, won) == pytest.approx(expected, rel=1e-9)


def test_calibration_error_by_hand() -> None:
    labels = np.zeros(5, np.int64)
    top1 = np.array([0, 1, 0, 0, 1])
    confidence = np.array([0.25, 0.5, 0.75, 1.0, 1.0])
    # Up to 0.5 two images, one right, confidence 0.375; above it three, two right, mean 0.9167: off by 0.125 and 0.25.
    found = expected_calibration_error(top1, confidence, labels, bins=2)
    assert found == pytest.approx((2 * 0.125 + 3 * 0.25) / 5)


def test_calibration_error_sees_overconfidence() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.1, 1, 20_000)
    top1 = (rng.random(20_000) > confidence).astype(np.int64)  # class 0, the right one, as often as it is sure
    labels = np.zeros(20_000, np.int64)
    # A bin of 1,300 images has a mean off by 1.1 % or so, and an absolute one of 0.8 times that.
    assert expected_calibration_error(top1, confidence, labels) < 0.015
    sharper = expected_calibration_error(top1, np.sqrt(confidence), labels)
    assert sharper == pytest.approx(np.mean(np.sqrt(confidence) - confidence), abs=0.015)


def test_calibration_error_is_zero_where_sure_and_right() -> None:
    zeros = np.zeros(4, np.int64)
    assert expected_calibration_error(zeros, np.ones(4, np.float32), zeros) == 0


def test_recalls_by_hand() -> None:
    labels, top1 = np.array([0, 0, 0, 2, 2]), np.array([0, 0, 1, 2, 1])
    assert recalls(top1, labels, 4) == (2 / 3, None, 0.5, None)


def test_recalls_refuse_a_label_beyond_the_classes() -> None:
    with pytest.raises(ValueError, match="labels below 3, got 3"):
        recalls(np.zeros(2, np.int64), np.array([0, 3]), 3)
