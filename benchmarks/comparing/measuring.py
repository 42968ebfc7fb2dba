"""The benchmark of a comparison: one seed's bundles side by side, and the accuracy of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from liteport.terminal import ProgressCallback
from liteport.train import Dataset

from ..results import Report
from ..suite import benchmark
from .figures import Accuracies
from .folder import TRIALS
from .setup import Setup, Spec
from .trial import BUNDLE, Trial

_FEWEST_RUNS = 2
"""Timed inferences where no time is wanted: the benchmark's own least."""


@dataclass(frozen=True)
class Timing:
    """How latencies are taken; see `benchmark`.

    Attributes:
        duration: Seconds, all designs and variants together.
        launches: Processes of each.
    """

    duration: float
    launches: int


def measure(
    trials: Sequence[Trial], setup: Setup, folder: Path, dataset: Dataset, timing: Timing, progress: ProgressCallback
) -> tuple[Report, Accuracies]:
    """Benchmarks one trial of each design, all variants of all designs taking turns, and asks the others' accuracy.

    The seeds of a design differ in their weights alone, and no engine's time depends on these: one seed is timed.

    Args:
        trials: The finished ones, at least one.
        setup: Has the variants.
        folder: The comparison's.
        dataset: Its test split is used.
        timing: How latencies are taken.
        progress: Called as work proceeds.

    Returns:
        The report, whose bundles are named like the designs; and the test accuracy of all trials.

    Raises:
        IntegrityError: If a bundle was damaged since.
        BackendError: If not one variant could be measured.
    """
    timed: dict[str, Trial] = {}
    for trial in trials:
        timed.setdefault(trial.design, trial)
    first = {str(_bundle(trial, folder)): trial for trial in timed.values()}
    others = {str(_bundle(trial, folder)): trial for trial in trials if trial not in timed.values()}
    report = benchmark(
        list(first),
        dataset,
        variants=setup.variants,
        duration=timing.duration,
        launches=timing.launches,
        robustness=0,
        progress=progress,
    )
    accuracies = _accuracies(report, first)
    if others:

        def told(what: str, done: int, total: int, note: str) -> None:
            progress(f"other seeds: {what}", done, total, note)

        quick = benchmark(
            list(others), dataset, variants=setup.variants, runs=_FEWEST_RUNS, launches=1, robustness=0, progress=told
        )
        accuracies |= _accuracies(quick, others)
    return _named_like_designs(report, first), accuracies


def _bundle(trial: Trial, folder: Path) -> Path:
    return folder / TRIALS / Spec(trial.design, trial.seed).name / BUNDLE


def _accuracies(report: Report, trials: Mapping[str, Trial]) -> dict[tuple[str, int, str], float]:
    of_bundle = {bundle.name: trials[bundle.path] for bundle in report.bundles}
    return {
        (trial.design, trial.seed, row.variant): row.measurement.answers.accuracy.accuracy
        for row in report.rows
        for trial in (of_bundle[row.bundle],)
        if row.measurement is not None and row.measurement.answers is not None
    }


def _named_like_designs(report: Report, trials: Mapping[str, Trial]) -> Report:
    """Returns the report with other names: a bundle's own is its model's, which the user's designs may share."""
    names = {bundle.name: trials[bundle.path].design for bundle in report.bundles}
    return replace(
        report,
        devices=tuple(
            replace(
                device,
                controls=tuple(replace(control, bundle=names[control.bundle]) for control in device.controls),
            )
            for device in report.devices
        ),
        bundles=tuple(replace(bundle, name=names[bundle.name]) for bundle in report.bundles),
        rows=tuple(replace(row, bundle=names[row.bundle]) for row in report.rows),
    )
