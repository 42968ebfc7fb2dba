"""The benchmark as a whole: every variant in a process of its own, all taking turns.

While latencies are taken, nothing else runs: the workers wait for their turn, and so does this process.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from liteport.errors import BackendError, require
from liteport.files import check_new_folder
from liteport.terminal import ProgressCallback, no_progress
from liteport.train import Dataset

from .accuracy import compare
from .environment import describe_environment, usable_cores
from .inputs import Paths, Subject, resolve
from .latency import paired_ratio, percentiles
from .prediction import predict_all
from .process import Worker
from .report import REPORT_FILE, write_report
from .results import BundleInfo, Latency, Measurement, Report, Row, Settings
from .trial import Images, Trial

FEW_IMAGES = 32
THROUGHPUT_ROUNDS = 3
REFERENCES = ("tflite-float32", "onnx-float32")
"""The variants that others are compared with, in order of preference; a bundle without them has its first."""


def benchmark(
    bundles: Paths,
    data: str | Path | Dataset | None = None,
    *,
    out: str | Path | None = None,
    variants: Sequence[str] | None = None,
    threads: int = 1,
    rounds: int = 20,
    runs: int = 50,
    batch: int = 32,
    seed: int = 0,
    timeout: float = 120.0,
    force: bool = False,
    progress: ProgressCallback = no_progress,
) -> Report:
    """Measures accuracy, latency, throughput, memory and size of every variant.

    Args:
        bundles: One bundle's folder, or several.
        data: A data set, or its source; None for the one that each bundle's model was trained on. Its test split is
            used, whole.
        out: A folder to write the report to: `report.json`, `report.md` and `accuracy-latency.png`.
        variants: Ids of the variants to measure; None for all.
        threads: Threads of each engine. With one, processes are pinned to one core where the system allows.
        rounds: Rounds in which the variants take turns, in random order.
        runs: Timed inferences of one image in each turn.
        batch: Images of a batch, for images per second.
        seed: Of the order of turns.
        timeout: Seconds after which a worker that gives no answer counts as hung.
        force: Whether `out` may replace an older report.
        progress: Called as work proceeds.

    Returns:
        A row for each variant. One that crashed, hung or was refused has the reason instead of figures.

    Raises:
        NotFoundError: If a bundle or the data does not exist.
        IntegrityError: If a bundle is damaged.
        InvalidInputError: If a name is unknown, a number is below 1, or the data does not fit a bundle.
        AlreadyExistsError: If `out` exists and `force` is off.
        MissingDependencyError: If a package of the benchmarks extra is needed and not installed.
        BackendError: If not one variant could be measured.
    """
    pinned = threads == 1 and hasattr(os, "sched_setaffinity")
    settings = Settings(threads, rounds, runs, batch, seed, usable_cores()[-1] if pinned else None)
    if out is not None:
        check_new_folder(Path(out), force=force, marker=REPORT_FILE)
        require("matplotlib", "benchmarks")
    subjects = resolve(bundles, data, variants)
    environment = describe_environment()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="liteport-bench-")))
        start_worker = partial(Worker, scratch, timeout)
        with start_worker() as base:
            base_memory = base.ask("memory")["peak_bytes"]
        images = _saved(subjects, scratch, seed)
        trials = [
            Trial(subject, variant, stack.enter_context(start_worker()), images[subject.data.digest], settings)
            for subject in subjects
            for variant in subject.variants
        ]
        _measure(trials, settings, start_worker, progress)
    if all(trial.failure for trial in trials):
        reasons = dict.fromkeys(f"{trial.failure}" for trial in trials)
        raise BackendError(f"none of {len(trials)} variants could be measured: {'; '.join(reasons)}")
    references = {subject.name: _reference(subject, trials) for subject in subjects}
    report = Report(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        settings=settings,
        environment=environment,
        base_memory_bytes=base_memory,
        bundles=tuple(_bundle_info(subject, references[subject.name]) for subject in subjects),
        rows=tuple(_row(trial, references[trial.subject.name]) for trial in trials),
    )
    if out is not None:
        write_report(report, Path(out), force=force)
    return report


def _saved(subjects: list[Subject], scratch: Path, seed: int) -> dict[str, Images]:
    """Writes the test split of each data set for the workers to map, and returns the files by its digest."""
    saved: dict[str, Images] = {}
    for data in (subject.data for subject in subjects):
        images = Images(all=scratch / f"{data.digest}-all.npy", few=scratch / f"{data.digest}-few.npy")
        if data.digest not in saved:
            pixels = data.test.images
            np.save(images.all, pixels)
            np.save(images.few, pixels[np.random.default_rng(seed).permutation(len(pixels))[:FEW_IMAGES]])
        saved[data.digest] = images
    return saved


def _measure(
    trials: list[Trial], settings: Settings, start_worker: Callable[[], Worker], progress: ProgressCallback
) -> None:
    rng = np.random.default_rng(settings.seed)
    _each("load", trials, Trial.load, progress)
    _each("warm-up", trials, Trial.warm_up, progress)
    _in_turns("latency", trials, Trial.take_turn, settings.rounds, rng, progress)
    _each("memory", trials, Trial.read_memory, progress)
    _in_turns("throughput", trials, Trial.take_batches, THROUGHPUT_ROUNDS, rng, progress)
    predict_all(trials, settings, start_worker, progress)


def _each(phase: str, trials: list[Trial], step: Callable[[Trial], None], progress: ProgressCallback) -> None:
    for done, trial in enumerate(trials):
        progress(phase, done, len(trials), trial.name)
        trial.attempt(step)
    progress(phase, len(trials), len(trials), f"{len(trials)} variants")


def _in_turns(
    phase: str,
    trials: list[Trial],
    step: Callable[[Trial], None],
    rounds: int,
    rng: np.random.Generator,
    progress: ProgressCallback,
) -> None:
    """Lets the trials take turns in a new random order each round, so that noise and drift hit all alike."""
    for done in range(rounds):
        progress(phase, done, rounds, "")
        for index in rng.permutation(len(trials)):
            trials[index].attempt(step)
    progress(phase, rounds, rounds, f"{rounds} rounds")


def _reference(subject: Subject, trials: list[Trial]) -> Trial | None:
    measured = {trial.variant.id: trial for trial in trials if trial.subject is subject and trial.failure is None}
    return next((measured[name] for name in (*REFERENCES, *measured) if name in measured), None)


def _bundle_info(subject: Subject, reference: Trial | None) -> BundleInfo:
    return BundleInfo(
        name=subject.name,
        path=str(subject.path),
        reference=reference.variant.id if reference else None,
        data=subject.data.source,
        data_digest=subject.data.digest,
        images=len(subject.data.test.images),
    )


def _row(trial: Trial, reference: Trial | None) -> Row:
    variant = trial.variant
    return Row(
        bundle=trial.subject.name,
        variant=variant.id,
        scheme=variant.scheme,
        file=variant.file,
        sha256=variant.sha256,
        size_bytes=variant.size_bytes,
        measurement=_measurement(trial, reference) if reference and trial.failure is None else None,
        failure=trial.failure,
    )


def _measurement(trial: Trial, reference: Trial) -> Measurement:
    assert trial.engine is not None, "a trial without failure was loaded"
    return Measurement(
        engine=trial.engine,
        accuracy=compare(trial.top1, reference.top1, trial.subject.data.test.labels),
        load_ns=trial.load_ns,
        first_ns=trial.first_ns,
        latency=Latency(
            percentiles=percentiles(trial.rounds),
            ratio=paired_ratio(trial.rounds, reference.rounds),
            warm_up_runs=trial.warm_up_runs,
            steady=trial.steady,
            samples_ns=tuple(trial.rounds),
        ),
        images_per_second=1e9 * trial.settings.batch / median(trial.batches),
        batches_ns=tuple(trial.batches),
        peak_memory_bytes=trial.peak_memory_bytes,
    )
