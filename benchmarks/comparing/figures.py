"""From trials and a benchmark of their bundles to figures of designs: pure functions."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev

from ..latency import Interval, paired_ratio, ratio_of_unpaired
from ..results import Report, Row
from .results import Choice, DesignFigures, Speed, Spread, VariantFigures
from .trial import Trial

Accuracies = Mapping[tuple[str, int, str], float]
"""Test accuracy by design, seed and variant."""


def spread(values: Mapping[int, float]) -> Spread:
    """Describes a figure over seeds.

    Args:
        values: By seed, at least one.
    """
    numbers = list(values.values())
    return Spread(fmean(numbers), stdev(numbers) if len(numbers) > 1 else None, tuple(values), tuple(numbers))


def design_figures(
    trials: Sequence[Trial], report: Report, accuracies: Accuracies, variants: Sequence[str]
) -> tuple[DesignFigures, ...]:
    """Puts together what is known of each design, in the order of the report's bundles, which are named like them.

    Args:
        trials: The finished ones.
        report: The benchmark of one trial's bundle of each design, taken side by side.
        accuracies: Of all trials.
        variants: Those to describe.
    """
    rows = {(row.bundle, row.variant): row for row in report.rows}
    designs = [bundle.name for bundle in report.bundles]
    seed = report.devices[0].settings.seed
    found = []
    for design in designs:
        own = [trial for trial in trials if trial.design == design]
        found.append(
            DesignFigures(
                design=design,
                parameters=own[0].parameters,
                timed_seed=own[0].seed,
                validation_accuracy=spread({trial.seed: trial.validation_accuracy for trial in own}),
                train_seconds=spread({trial.seed: trial.train_seconds for trial in own}),
                variants=tuple(
                    _variant(rows[design, name], rows[designs[0], name], own, accuracies, seed) for name in variants
                ),
            )
        )
    return tuple(found)


def _variant(row: Row, first: Row, trials: Sequence[Trial], accuracies: Accuracies, seed: int) -> VariantFigures:
    keys = {trial.seed: (trial.design, trial.seed, row.variant) for trial in trials}
    found = {number: accuracies[key] for number, key in keys.items() if key in accuracies}
    return VariantFigures(
        variant=row.variant,
        size_bytes=row.size_bytes,
        compressed_bytes=row.compressed_bytes,
        macs=row.macs or None,
        speed=_speed(row, first, seed),
        accuracy=spread(found) if found else None,
    )


def _speed(row: Row, first: Row, seed: int) -> Speed | None:
    if row.measurement is None:
        return None
    launches = row.measurement.latency.samples_ns
    # The ratio to a clock that ticks each nanosecond has the interval that the latency itself has.
    clock = [[(1,) for _ in rounds] for rounds in launches]
    p50 = ratio_of_unpaired(launches, clock, seed=seed)
    ratio, interval = None, None
    if row is first:
        ratio, interval = 1.0, Interval(1.0, 1.0)
    elif first.measurement is not None:
        found = paired_ratio(launches, first.measurement.latency.samples_ns, seed=seed)
        ratio, interval = found.value, found.interval
    return Speed(row.measurement.latency.percentiles.p50_ns, p50.interval, ratio, interval)


def choose(designs: Sequence[DesignFigures], variant: str) -> Choice | None:
    """Chooses a design by validation accuracy: the fastest of those within one standard error of the best.

    The one-standard-error rule is that of L. Breiman, J. Friedman, R. Olshen and C. Stone, "Classification and
    Regression Trees", 1984, section 3.4.3, with latency in the place of a tree's size. One seed has no standard error;
    then it is the best one.

    Args:
        designs: What to choose from.
        variant: The one whose latency counts.

    Returns:
        The choice; None where not one design was timed.
    """
    timed = {entry.design: entry.variant(variant).speed for entry in designs}
    able = [(entry, speed) for entry in designs if (speed := timed[entry.design]) is not None]
    if not able:
        return None
    best, _ = max(able, key=lambda pair: pair[0].validation_accuracy.mean)
    found = best.validation_accuracy
    error = 0.0 if found.deviation is None else found.deviation / sqrt(len(found.values))
    near = [pair for pair in able if pair[0].validation_accuracy.mean >= found.mean - error]
    chosen, _ = min(near, key=lambda pair: pair[1].p50_ns)
    highest = f"the highest validation accuracy ({100 * found.mean:.2f} %"
    if found.deviation is None:
        return Choice(chosen.design, f"it has {highest}; of one seed, which tells nothing of chance)")
    over = f"mean over {len(found.values)} seeds, standard error {100 * error:.2f})"
    if len(near) == 1:
        return Choice(chosen.design, f"it has {highest}, {over}, and no other is within one standard error")
    own = f"{100 * chosen.validation_accuracy.mean:.2f} %"
    return Choice(
        chosen.design,
        f"of the {len(near)} designs within one standard error of {highest}, {over}, it is the fastest ({own})",
    )
