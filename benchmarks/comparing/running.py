"""Running the trials of a comparison that are not finished, on this machine or on a cluster."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from liteport.errors import InvalidInputError
from liteport.terminal import ProgressCallback
from liteport.train import Dataset

from .check import find_fault
from .children import Children
from .cluster import run_on_cluster
from .local import run_here
from .ray_driver import Task
from .setup import Setup, Spec
from .trial import LOG_FILE, Failure, Outcome, Trial, read_failure, read_trial

_STEPS = ("training", "exporting")


def finished(specs: Sequence[Spec], trials: Path) -> dict[Spec, Trial]:
    """Returns what the finished trials recorded.

    Args:
        specs: Those to look for.
        trials: The folder that has a folder for each.

    Raises:
        IntegrityError: If a record is damaged.
    """
    found = {spec: read_trial(trials / spec.name) for spec in specs}
    return {spec: trial for spec, trial in found.items() if trial is not None}


def failed(specs: Sequence[Spec], trials: Path) -> tuple[Failure, ...]:
    """Returns how those failed that did; see `finished`."""
    done = finished(specs, trials)
    found = (read_failure(trials / spec.name) for spec in specs if spec not in done)
    return tuple(failure for failure in found if failure is not None)


def run_trials(
    specs: Sequence[Spec],
    setup: Setup,
    dataset: Dataset,
    trials: Path,
    jobs: int,
    ray: str | None,
    progress: ProgressCallback,
) -> None:
    """Runs the trials that are not finished; how each ends, it records itself.

    Args:
        specs: All trials.
        setup: What they share.
        dataset: The data, which designs must fit.
        trials: The folder that has, or gets, a folder for each.
        jobs: Trials at a time, on this machine or on each node.
        ray: The cluster's address; None for this machine.
        progress: Called as they proceed, with their names.

    Raises:
        InvalidInputError: If a design or a variant is unknown, or does not fit the data.
        DeviceError: If the cluster cannot be joined, or is lost.
        MissingDependencyError: If Ray is not installed.
    """
    done = finished(specs, trials)
    left = [spec for spec in specs if spec not in done]
    if not left:
        return
    lock = threading.Lock()

    def tell(what: str, step: int, steps: int, note: str) -> None:
        with lock:  # trials run in threads: who reports progress need not expect several
            progress(what, step, steps, note)

    count, bad = len(done), 0
    tell("trials", count, len(specs), "")
    outcomes = (
        _run_here(left, setup, dataset, trials, jobs, tell)
        if ray is None
        else _run_on_cluster(left, setup, dataset, trials, jobs, ray, tell)
    )
    for outcome in outcomes:
        count, bad = count + 1, bad + isinstance(outcome, Failure)
        tell(str(Spec(outcome.design, outcome.seed)), len(_STEPS), len(_STEPS), _note(outcome))
        tell("trials", count, len(specs), f"{count - bad} of {len(specs)} finished")


def _run_here(
    specs: Sequence[Spec], setup: Setup, dataset: Dataset, trials: Path, jobs: int, tell: ProgressCallback
) -> Iterator[Outcome]:
    designs = list(dict.fromkeys(spec.design for spec in specs))
    tell("designs", 0, 1, "")
    with TemporaryDirectory(prefix="liteport-compare-") as scratch:
        log = Path(scratch) / LOG_FILE
        fault = find_fault(designs, dataset.input_shape, len(dataset.class_names), setup, Children(), log)
    if fault is not None:
        raise InvalidInputError(fault)
    tell("designs", 1, 1, "fit the data")

    def step(spec: Spec, doing: str) -> None:
        tell(str(spec), _STEPS.index(doing), len(_STEPS), doing)

    yield from run_here(specs, setup, trials, jobs, step)


def _run_on_cluster(
    specs: Sequence[Spec], setup: Setup, dataset: Dataset, trials: Path, jobs: int, address: str, tell: ProgressCallback
) -> Iterator[Outcome]:
    shape, classes = dataset.input_shape, len(dataset.class_names)
    task = Task(address, jobs, setup, tuple(specs), str(trials), shape, classes)

    def joined(what: str) -> None:
        tell(f"Ray cluster at {address}", 1, 1, what)

    tell(f"Ray cluster at {address}", 0, 1, "")
    for name in run_on_cluster(task, trials.parent / "ray.log", joined):
        outcome = read_trial(trials / name) or read_failure(trials / name)
        assert outcome is not None, "the driver puts one of them there"
        yield outcome


def _note(outcome: Outcome) -> str:
    if isinstance(outcome, Failure):
        return f"failed: {outcome.step}: {outcome.reason}"
    return f"validation accuracy {outcome.validation_accuracy:.2%}, {outcome.total_seconds:.0f} s"
