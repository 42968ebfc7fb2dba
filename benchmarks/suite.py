"""The benchmark as a whole: what is measured, in which order, and what becomes of it."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from liteport.errors import BackendError, InvalidInputError
from liteport.files import check_new_folder
from liteport.runtime.schema import parse
from liteport.terminal import ProgressCallback, no_progress
from liteport.train import Dataset

from .asking import Asked, ask_file, ask_images
from .conditions import read_conditions
from .environment import describe_environment, device_name, usable_cores
from .findings import make_control, make_row
from .inputs import Paths, Subject, resolve, split_paths
from .lone_files.foreign import ForeignFiles
from .phases import Phases, reference_of
from .pictures import all_pictures
from .prediction import predict_all
from .process import Worker
from .reading import REPORT_FILE
from .results import Device, Report, Roofline, Settings
from .subjects import bundle_info, lone_subject, read_files
from .trial import Trial

LAYER_IMAGES = 32
DURATION = 30.0
LAUNCHES = 6
ROBUSTNESS = 1000


def benchmark(
    bundles: Paths,
    data: str | Path | Dataset | None = None,
    *,
    out: str | Path | None = None,
    variants: Sequence[str] | None = None,
    threads: int = 1,
    batch: int | None = None,
    duration: float | None = None,
    runs: int | None = None,
    launches: int = LAUNCHES,
    robustness: int = ROBUSTNESS,
    accuracy_time: float = 120.0,
    input_file: str | Path | None = None,
    emulate: Sequence[str] = (),
    seed: int = 0,
    timeout: float = 120.0,
    force: bool = False,
    progress: ProgressCallback = no_progress,
) -> Report:
    """Measures accuracy, latency, throughput, memory and size of every variant, and what the machine could do.

    Args:
        bundles: One bundle's folder, or several; and `.tflite` and `.onnx` files that need no bundle, which are
            compared with the first of them.
        data: A data set, or its source; None for the one that each bundle's model was trained on. Its test split is
            used, whole.
        out: A folder to write the report to.
        variants: Ids of the variants to measure; None for all.
        threads: Threads of each engine. With one, processes are pinned to one core where the system allows.
        batch: Images of one timed inference, and of a batch where images per second are measured; None for 1 and 32.
        duration: Seconds in which latencies are taken, all variants together; 30 where `runs` is not given either.
        runs: Timed inferences of each variant, at least; instead of `duration`.
        launches: How many processes, one after the other, each variant is timed in.
        robustness: Test images of which altered copies are made; 0 for none.
        accuracy_time: Seconds of computing after which a variant's accuracy comes from a sample of the test split.
        input_file: What lone files are asked where there are no labels, `.npy` or `.npz`; None for random values.
        emulate: Boards whose executed instructions are counted too, such as "pi4".
        seed: Of the order of turns, of samples and of altered copies.
        timeout: Seconds after which a worker that gives no answer counts as hung.
        force: Whether `out` may replace an older report.
        progress: Called as work proceeds.

    Returns:
        A row for each variant. One that crashed, hung or was refused has the reason instead of figures.

    Raises:
        NotFoundError: If a bundle or the data does not exist.
        IntegrityError: If a bundle is damaged.
        InvalidInputError: If a name is unknown, a number is out of its range, or the data does not fit a bundle.
        AlreadyExistsError: If `out` exists and `force` is off.
        MissingDependencyError: If a package of the benchmarks extra is needed and not installed.
        BackendError: If not one variant could be measured.
    """
    if duration is not None and runs is not None:
        raise InvalidInputError("duration and runs are given; expected one of them, which says when to end")
    folders, paths = split_paths(bundles)
    if input_file is not None and not paths:
        raise InvalidInputError(f"the input {input_file} is for lone files; bundles are asked about a data set: --data")
    if variants and not folders:
        raise InvalidInputError(f"variant {variants[0]!r} is of a bundle; lone files have none, so leave it out")
    settings = Settings(
        threads=threads,
        batch=1 if batch is None else batch,
        throughput_batch=32 if batch is None else batch,
        duration_s=DURATION if runs is None and duration is None else duration,
        runs=runs,
        launches=launches if runs is None else max(1, min(launches, runs)),
        seed=seed,
        core=usable_cores()[-1] if threads == 1 and hasattr(os, "sched_setaffinity") else None,
        robustness=robustness if folders or robustness < 0 else 0,  # lone files' items may be no images
        accuracy_time_s=accuracy_time,
    )
    if out is not None:
        check_new_folder(Path(out), force=force, marker=REPORT_FILE)
    if emulate:
        from .devices.counting import check_boards

        check_boards(emulate)
    if emulate and paths:
        raise InvalidInputError(f"{paths[0]} is a lone file; instructions are counted of a bundle's variants")
    subjects = resolve(folders, data, variants) if folders else []
    files = read_files(paths, data, input_file, batch, seed) if paths else None
    if files is not None and not subjects:
        settings = replace(settings, batch=files.count)
    report = _measure(subjects, files, settings, timeout, progress)
    if emulate:
        from .instructions import with_instructions

        report = with_instructions(report, subjects, emulate, progress)
    if out is not None:
        from .reports.writing import write_report

        write_report(report, Path(out), force=force)
    return report


def _measure(
    subjects: list[Subject], files: ForeignFiles | None, settings: Settings, timeout: float, progress: ProgressCallback
) -> Report:
    environment, name = describe_environment(), device_name()
    before = read_conditions(settings.core)
    phases = Phases(settings, np.random.default_rng(settings.seed), progress)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="liteport-bench-")))
        start_worker = partial(Worker, scratch, timeout)
        base_memory, roofline = _measure_machine(start_worker, settings, progress)
        trials = _make_trials(subjects, files, settings, scratch, start_worker, progress)
        for trial in trials:
            stack.callback(trial.stop)
        controls = phases.take_latencies(trials)
        after = read_conditions(settings.core)
        _take_the_rest(trials, phases)
    if all(trial.failure for trial in trials):
        reasons = dict.fromkeys(f"{trial.failure}" for trial in trials)
        raise BackendError(f"none of {len(trials)} variants could be measured: {'; '.join(reasons)}")
    references = {trial.subject.name: reference_of(_of(trial.subject, trials)) for trial in trials}
    pairs = ((control, references[control.subject.name]) for control in controls)
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    rows = tuple(make_row(trial, references[trial.subject.name], roofline, name) for trial in trials)
    return Report(
        created=created,
        devices=(
            Device(
                name=name,
                created=created,
                settings=settings,
                environment=environment,
                base_memory_bytes=base_memory,
                before=before,
                after=after,
                controls=tuple(make_control(control, chosen) for control, chosen in pairs if chosen is not None),
                roofline=roofline,
            ),
        ),
        bundles=tuple(bundle_info({t.subject.name: t for t in trials}[name], files, settings) for name in references),
        rows=rows,
        pictures=all_pictures({trial.subject.name: trial.subject for trial in trials}.values(), rows),
    )


def _measure_machine(
    start_worker: partial[Worker], settings: Settings, progress: ProgressCallback
) -> tuple[int, Roofline]:
    """Returns the memory of a process without a variant, and the roofline; both in a process of their own."""
    progress("machine", 0, 1, "peak rates")
    with start_worker() as worker:
        base_memory = worker.ask("memory")["peak_bytes"]
        Trial.pin(worker, None if settings.core is None else [settings.core])
        roofline = parse(Roofline, worker.ask("roofline", {"threads": settings.threads}), "the roofline")
    progress("machine", 1, 1, "peak rates")
    return base_memory, roofline


def _make_trials(
    subjects: list[Subject],
    files: ForeignFiles | None,
    settings: Settings,
    scratch: Path,
    start_worker: partial[Worker],
    progress: ProgressCallback,
) -> list[Trial]:
    asked: dict[str, Asked] = {}
    trials = []
    for subject in subjects:
        data = subject.data
        assert data is not None, "of a bundle it is always known"
        if data.digest not in asked:
            asked[data.digest] = ask_images(data, settings, scratch / f"images-{len(asked)}", progress)
        for candidate in subject.candidates:
            trials.append(Trial(subject, candidate, asked[data.digest], settings, start_worker))
    if files is not None:
        alone, settings = lone_subject(files, subjects), replace(settings, batch=files.count)
        for number, file in enumerate(files.files):
            own = ask_file(file, files, settings, scratch / f"file-{number}")
            trials.append(Trial(alone, file.candidate, own, settings, start_worker))
    return trials


def _take_the_rest(trials: list[Trial], phases: Phases) -> None:
    """All that is not a latency: stages, throughput, errors by layer, and answers."""
    with_images = [trial for trial in trials if trial.asked.sets]
    alone = [trial for trial in trials if not trial.asked.sets]
    for done, trial in enumerate(trials):
        phases.progress("costs", done, len(trials), trial.name)
        trial.survey_file()
    phases.progress("costs", len(trials), len(trials), "multiply-accumulates and bytes of each operation")
    phases.each("stages", trials, Trial.time_stages)
    phases.take_throughput(with_images)
    phases.each("layers", with_images, _find_layer_errors)
    phases.each("outputs", alone, Trial.read_outputs)
    if reference := reference_of(alone):
        for trial in alone:
            trial.attempt(partial(Trial.compare_outputs, reference=reference))
    predict_all(with_images, phases.settings, phases.progress)


def _find_layer_errors(trial: Trial) -> None:
    """Compares a variant with its engine's float one, where the bundle has that, on images it was not calibrated on."""
    engine, _, scheme = trial.candidate.name.partition("-")
    reference = f"{engine}-float32"
    names = {candidate.name for candidate in trial.subject.candidates}
    data = trial.subject.data
    if data is None or scheme == "float32" or reference not in names:
        return
    images = trial.worker.folder / "layers.npy"
    np.save(images, data.validation.images[:LAYER_IMAGES])
    trial.find_layer_errors(reference, images)


def _of(subject: Subject, trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.subject is subject]
