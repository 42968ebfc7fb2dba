import numpy as np
import pytest
from scipy.stats.mstats import mquantiles

from liteport.benchmarks.latency import Percentiles, is_steady, paired_ratio, percentiles


def test_percentiles_by_hand() -> None:
    rounds = [list(range(51, 101)), list(range(50, -1, -1))]  # 0 to 100, in no order and in two rounds
    assert percentiles(rounds) == Percentiles(50.0, 90.0, 99.0)


def test_percentiles_agree_with_scipy() -> None:
    samples = np.random.default_rng(0).lognormal(10, 1, 997).astype(np.int64)
    found = percentiles([samples[:400].tolist(), samples[400:].tolist()])
    expected = mquantiles(samples, [0.5, 0.9, 0.99], alphap=1, betap=1)  # type 7 in scipy's parametrization
    # Two formulas for one interpolation between neighbours: equal up to double rounding.
    np.testing.assert_allclose([found.p50_ns, found.p90_ns, found.p99_ns], expected, rtol=1e-12)


def test_ratio_is_the_median_of_paired_rounds() -> None:
    assert paired_ratio([[20, 20, 99], [30], [80, 90]], [[10], [10, 10], [100]]) == 2.0  # of 2.0, 3.0 and 0.85


def test_ratio_is_blind_to_drift_that_both_see() -> None:
    slowdown = np.linspace(1, 4, 15)
    variant = [[round(500 * factor)] * 5 for factor in slowdown]
    reference = [[round(1000 * factor)] * 5 for factor in slowdown]
    assert paired_ratio(variant, reference) == pytest.approx(0.5, abs=1e-3)  # the nanoseconds are rounded


def test_ratio_needs_pairs() -> None:
    with pytest.raises(ValueError, match="longer"):
        paired_ratio([[1]], [[1], [1]])


@pytest.mark.parametrize(
    ("medians", "steady"),
    [
        ([], False),
        ([100, 100], False),
        ([100, 100, 100], True),
        ([300, 105, 100, 102], True),
        ([100, 100, 106], False),
        ([100, 100, 100, 94], False),
    ],
)
def test_steady(medians: list[float], steady: bool) -> None:
    assert is_steady(medians) is steady
