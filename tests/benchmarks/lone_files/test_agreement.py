import math

import numpy as np
import pytest

from liteport.benchmarks.lone_files.foreign import agreement
from liteport.errors import BackendError

REFERENCE = np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)


def test_equal_outputs_have_no_noise() -> None:
    found = agreement([REFERENCE.copy()], [REFERENCE], "random")
    assert (found.items, found.source, found.top1_agreement, found.max_abs_difference) == (2, "random", 1.0, 0.0)
    assert found.snr_db is None


def test_figures_by_hand() -> None:
    """Powers 9 + 16 = 25 and, of the difference, 0.25; the second item's largest value is another."""
    found = agreement([np.array([[0.0, 3.0], [4.5, 0.0]])], [np.array([[0.0, 3.0], [4.0, 0.0]])], "x", items=7)
    assert found.items == 7
    assert found.max_abs_difference == 0.5
    assert found.snr_db == pytest.approx(20.0)  # 10 log10(25 / 0.25), up to float64's rounding
    assert agreement([REFERENCE[:, ::-1]], [REFERENCE], "x").top1_agreement == 0
    assert agreement([np.array([[0.1, 0.9], [0.2, 0.8]])], [REFERENCE], "x").top1_agreement == 0.5


def test_takes_all_outputs_together() -> None:
    """What is largest is looked for in the first output that has several values in the last dimension."""
    number, scores = np.array([[3.0], [4.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    found = agreement([number, np.array([[1.0, 2.0], [0.0, 0.0]])], [number, scores], "x")
    assert (found.top1_agreement, found.max_abs_difference) == (0.5, 2.0)
    assert found.snr_db == pytest.approx(10 * math.log10((9 + 16 + 1) / 4))
    assert agreement([number], [number], "x").top1_agreement is None
    assert agreement([np.float32(2).reshape(())], [np.array(3.0)], "x").items == 1


def test_layouts_of_images_are_the_same() -> None:
    nhwc = np.random.default_rng(0).random((2, 4, 5, 3))
    assert agreement([np.moveaxis(nhwc, -1, 1)], [nhwc], "x").snr_db is None
    assert agreement([nhwc], [np.moveaxis(nhwc, -1, 1)], "x").snr_db is None


def test_the_same_infinities_are_equal() -> None:
    reference = np.array([[-np.inf, 1.0, np.nan]])
    found = agreement([np.array([[-np.inf, 2.0, np.nan]])], [reference], "x")
    assert (found.max_abs_difference, found.snr_db) == (1.0, 0.0)
    for other in (np.inf, 0.0):
        with pytest.raises(BackendError, match="hold NaN or infinity where the reference's do not"):
            agreement([np.array([[other, 1.0, np.nan]])], [reference], "x")


def test_without_a_signal_there_is_no_ratio() -> None:
    assert agreement([np.ones((1, 2))], [np.zeros((1, 2))], "x").snr_db is None


def test_integers_do_not_overflow() -> None:
    assert agreement([np.array([[255]], np.uint8)], [np.array([[-128]], np.int8)], "x").max_abs_difference == 383


def test_refuses_outputs_of_other_shapes() -> None:
    with pytest.raises(BackendError, match=r"an output of shape \(2, 2\), the reference one of \(1, 2\)"):
        agreement([REFERENCE], [REFERENCE[:1]], "x")
    with pytest.raises(BackendError, match=r"an output of shape \(2, 3\), the reference one of \(2, 2\)"):
        agreement([np.ones((2, 3))], [REFERENCE], "x")
    with pytest.raises(BackendError, match="it gave 0 outputs, the reference 1"):
        agreement([], [REFERENCE], "x")
