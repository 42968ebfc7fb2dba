import numpy as np
import pytest

from liteport.train.compression.pruning import Pruning, lamp_scores, masks

SCHEDULE = Pruning(0.8, start=10, end=110, every=30)


def test_sparsity_rises_by_a_cubic_polynomial_and_stays() -> None:
    assert [SCHEDULE.at(step) for step in (0, 10, 110, 500)] == [0, 0, 0.8, 0.8]
    assert SCHEDULE.at(60) == pytest.approx(0.8 * (1 - 0.5**3))  # halfway
    rising = np.diff([SCHEDULE.at(step) for step in range(10, 111)])
    assert (rising > 0).all()
    assert (np.diff(rising) < 0).all()  # ever more slowly


def test_weights_are_pruned_every_so_many_steps_and_at_the_end() -> None:
    assert [step for step in range(200) if SCHEDULE.updates_after(step)] == [40, 70, 100, 110]
    assert [SCHEDULE.has_begun(step) for step in (10, 39, 40, 110)] == [False, False, True, True]


def test_a_schedule_of_one_step_has_an_update() -> None:
    shortest = Pruning(0.5, start=0, end=1, every=1)
    assert [shortest.updates_after(step) for step in range(3)] == [False, True, False]
    assert shortest.has_begun(1)


def test_score_is_the_square_over_the_sum_of_those_not_smaller() -> None:
    kernel = np.array([[2, -1], [0, 3]], dtype=np.float32)
    np.testing.assert_allclose(lamp_scores(kernel), [[4 / 13, 1 / 14], [0, 1]])
    np.testing.assert_array_equal(lamp_scores(np.zeros(3, np.float32)), 0)


def test_as_many_weights_go_as_were_asked_for() -> None:
    random = np.random.default_rng(0)
    kernels = [random.normal(size=shape).astype(np.float32) for shape in ((3, 3, 1, 8), (500, 20))]
    kept = masks(kernels, 0.8)
    assert sum(mask.sum() for mask in kept) == 10072 - int(0.8 * 10072)
    for kernel, mask in zip(kernels, kept, strict=True):  # within a kernel the smallest
        assert np.abs(kernel[~mask]).max(initial=0) <= np.abs(kernel[mask]).min()
    assert kept[0].mean() > kept[1].mean()  # the small kernel keeps more


def test_no_kernel_loses_all_its_weights_whatever_its_magnitude() -> None:
    random = np.random.default_rng(0)
    kernels = [scale * random.normal(size=(50, 50)).astype(np.float32) for scale in (1e-6, 1)]
    assert all(mask.any() for mask in masks(kernels, 0.9999))


def test_pruned_weights_stay_pruned_at_a_higher_sparsity() -> None:
    kernel = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    first = masks([kernel], 0.5)[0]
    second = masks([np.where(first, kernel, 0)], 0.7)[0]
    assert not (second & ~first).any()
