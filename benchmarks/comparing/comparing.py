"""The comparison as a whole."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from liteport.errors import InterruptedTrainingError, InvalidInputError
from liteport.terminal import ProgressCallback, no_progress
from liteport.train import Dataset, load_dataset

from ..reports.words import controls
from ..reports.writing import write_report
from .cluster import check_address
from .figures import choose, design_figures
from .folder import REPORT, TRIALS, opened
from .measuring import Timing, measure
from .results import Comparison, read_comparison
from .running import failed, finished, run_trials
from .setup import FLOAT32, INT8, Setup, make_setup, make_specs
from .trial import Trial
from .writing import write_comparison

VARIANTS = (FLOAT32, INT8)


def compare(
    designs: Sequence[str],
    *,
    seeds: int = 3,
    data: str | Path = "mnist",
    out: str | Path = "compare",
    epochs: int | None = None,
    recipe: str | None = None,
    variants: Sequence[str] = VARIANTS,
    jobs: int = 1,
    ray: str | None = None,
    duration: float = 30.0,
    launches: int = 6,
    force: bool = False,
    progress: ProgressCallback = no_progress,
) -> Comparison:
    """Trains, exports and benchmarks each design with several seeds, and writes tables and a Pareto plot.

    A trial is a design and a seed, run by `liteport train` and `liteport export`. One that is finished in `out` is not
    run again, one that was cut short goes on, and one that failed is tried again. A failure does not stop the others.

    Args:
        designs: Names that `liteport train --design` takes; the first is what latencies are compared with.
        seeds: How many; 3 stands for 0, 1 and 2.
        data: What `load_dataset` takes.
        out: The comparison's folder.
        epochs: Of each training; None for the recipe's.
        recipe: Its name; None for the default.
        variants: Ids of what is exported and measured. Latency and size are those of the first int8 one.
        jobs: Trials at a time, on this machine or on each node of a cluster.
        ray: The address of a Ray cluster that runs the trials: "auto", "HOST:PORT" or "ray://HOST:PORT".
        duration: Seconds in which latencies are taken, on this machine in any case.
        launches: How many processes, one after the other, each variant is timed in.
        force: Whether what another comparison left in `out` is removed first.
        progress: Called as work proceeds.

    Returns:
        The figures, and the trials that failed.

    Raises:
        InvalidInputError: If a name is unknown, a number is out of its range, or `out` holds trials of other settings.
        NotFoundError: If the data does not exist.
        AlreadyExistsError: If `out` holds something else.
        IntegrityError: If a record or a bundle in it is damaged.
        DeviceError: If the cluster cannot be joined, or is lost.
        MissingDependencyError: If a package of an extra is needed and not installed.
        InterruptedTrainingError: If Ctrl-C was pressed; what is finished is kept.
        BackendError: If not one variant could be measured.
    """
    specs = make_specs(designs, seeds)
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise InvalidInputError(f"jobs: expected a whole number from 1, found {jobs}")
    if ray is not None:
        check_address(ray)
    dataset = load_dataset(data)
    setup = make_setup(dataset, epochs, recipe, variants)
    with opened(Path(out), setup, force=force) as folder:
        trials = folder / TRIALS
        try:
            run_trials(specs, setup, dataset, trials, jobs, ray, progress)
            done = tuple(finished(specs, trials).values())
            measured = _measured(done, setup, folder, dataset, Timing(duration, launches), progress)
        except KeyboardInterrupt as error:
            count = len(finished(specs, trials))
            raise InterruptedTrainingError(
                f"stopped; {count} of {len(specs)} trials are finished in {folder}; the same command goes on from there"
            ) from error
        comparison = replace(measured, failures=failed(specs, trials))
        write_comparison(comparison, folder)
    return comparison


def _measured(
    trials: tuple[Trial, ...], setup: Setup, folder: Path, dataset: Dataset, timing: Timing, progress: ProgressCallback
) -> Comparison:
    """Returns the figures of finished trials, which are measured unless those of the very same are there already."""
    before = read_comparison(folder)
    if before is not None and before.trials == trials:
        return before
    if not trials:
        return Comparison(_now(), setup, (), (), (), None, ())
    report, accuracies = measure(trials, setup, folder, dataset, timing, progress)
    write_report(report, folder / REPORT, force=True)
    designs = design_figures(trials, report, accuracies, setup.variants)
    notes = tuple(notice.text for notice in controls(report))
    return Comparison(_now(), setup, designs, trials, (), choose(designs, setup.deployed), notes)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
