import re
from dataclasses import replace

import pytest
from made_comparison import made_trial, two_designs

from liteport.benchmarks.comparing.figures import choose, design_figures, spread
from liteport.benchmarks.comparing.results import Comparison, DesignFigures, Speed

VARIANTS = ("tflite-float32", "tflite-int8")


def test_a_spread_is_mean_and_standard_deviation() -> None:
    found = spread({0: 0.98, 2: 0.99, 5: 1.0})
    assert found.mean == pytest.approx(0.99)
    assert found.deviation == pytest.approx(0.01)  # divisor n - 1; with n it would be 0.0082
    assert (found.seeds, found.values) == ((0, 2, 5), (0.98, 0.99, 1.0))
    assert spread({3: 0.5}).deviation is None


def test_figures_of_designs(comparison: Comparison) -> None:
    wide, small = comparison.designs
    assert (wide.design, small.design) == ("wide", "a:b")
    assert (wide.timed_seed, wide.parameters) == (0, 1234)
    assert wide.validation_accuracy.values == (0.990, 0.992, 0.994)
    assert small.train_seconds.values == (10.0, 11.0)
    int8 = small.variant("tflite-int8")
    assert (int8.size_bytes, int8.compressed_bytes, int8.macs) == (20_000, 18_000, 200_000)
    assert int8.accuracy is not None
    assert int8.accuracy.values == pytest.approx((0.978, 0.982))


def speed(design: DesignFigures, variant: str = "tflite-int8") -> Speed:
    found = design.variant(variant).speed
    assert found is not None
    return found


def test_latencies_are_compared_with_the_first_designs(comparison: Comparison) -> None:
    wide, small = comparison.designs
    assert speed(wide).p50_ns == 90_000
    assert speed(wide).ratio == 1.0
    assert speed(small).ratio == pytest.approx(0.5, rel=1e-3)  # of medians in whole nanoseconds
    assert speed(small, "tflite-float32").ratio == pytest.approx(0.5, rel=1e-3)
    interval = speed(small).ratio_interval
    assert interval is not None
    assert interval.low <= 0.5 <= interval.high


def test_the_latency_has_the_interval_of_its_launches() -> None:
    whole = two_designs()
    report = replace(whole, bundles=whole.bundles[:1], rows=whole.rows[:2])
    row = report.rows[0]
    assert row.measurement is not None
    # Launches that differ by 10 % leave the median that uncertain; the made-up ones do not differ.
    launches = tuple(tuple((1000 + 100 * number,) * 3 for _ in range(5)) for number in range(4))
    latency = replace(row.measurement.latency, samples_ns=launches)
    shaken = replace(report, rows=(replace(row, measurement=replace(row.measurement, latency=latency)), report.rows[1]))
    trials = [made_trial("wide", 0, 0.99)]
    steady, moved = (
        speed(design_figures(trials, each, {}, VARIANTS)[0], "tflite-float32").p50_interval for each in (report, shaken)
    )
    assert steady.high / steady.low < 1.001
    assert 1.1 < moved.high / moved.low < 2


def test_a_variant_that_was_not_measured_has_no_figures() -> None:
    report = two_designs()
    gone = replace(report.rows[1], measurement=None, failure="crashed")
    report = replace(report, rows=(report.rows[0], gone, *report.rows[2:]))
    trials = [made_trial("wide", 0, 0.99), made_trial("a:b", 0, 0.98)]
    wide, small = design_figures(trials, report, {("a:b", 0, "tflite-int8"): 0.97}, VARIANTS)
    assert wide.variant("tflite-int8").speed is None
    assert wide.variant("tflite-int8").accuracy is None
    assert speed(small).ratio is None
    assert small.variant("tflite-int8").accuracy is not None
    choice = choose([wide, small], "tflite-int8")
    assert choice is not None
    assert choice.design == "a:b"
    assert choose([wide], "tflite-int8") is None


def with_validation(design: DesignFigures, *values: float) -> DesignFigures:
    return replace(design, validation_accuracy=spread(dict(enumerate(values))))


@pytest.mark.parametrize(
    ("wide", "small", "chosen", "reason"),
    [
        # Standard error 0.0012 (0.002 / √3): 0.991 is within it, 0.990 is not.
        ((0.990, 0.992, 0.994), (0.991, 0.991), "a:b", "of the 2 designs within one standard error of the highest"),
        ((0.990, 0.992, 0.994), (0.990, 0.990), "wide", r"99.20 %, mean over 3 seeds, standard error 0.12\), and no"),
        ((0.992,), (0.991,), "wide", "of one seed, which tells nothing of chance"),
        ((0.990, 0.990), (0.992, 0.994), "a:b", "no other is within one standard error"),
    ],
)
def test_the_fastest_within_one_standard_error_of_the_best_is_chosen(
    wide: tuple[float, ...], small: tuple[float, ...], chosen: str, reason: str, comparison: Comparison
) -> None:
    designs = [with_validation(comparison.designs[0], *wide), with_validation(comparison.designs[1], *small)]
    choice = choose(designs, "tflite-int8")
    assert choice is not None
    assert choice.design == chosen
    assert re.search(reason, choice.reason), choice.reason


def test_the_test_split_does_not_choose(comparison: Comparison) -> None:
    worse = tuple(
        replace(
            entry,
            variants=tuple(
                replace(one, accuracy=spread({0: 0.1 if entry.design == "wide" else 1.0})) for one in entry.variants
            ),
        )
        for entry in comparison.designs
    )
    assert choose(worse, "tflite-int8") == comparison.choice
