"""Training a model: epochs, checkpoints, what is kept when it is stopped, and going on from there."""

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from liteport.errors import IntegrityError, InterruptedTrainingError, InvalidInputError, require
from liteport.files import check_new_folder, new_folder, sha256_of
from liteport.foreign import one_line
from liteport.terminal import ProgressCallback, no_progress

from .config import TrainConfig
from .datasets import Dataset, reload
from .evaluate import Metrics, probabilities
from .interruption import heeding_ctrl_c
from .origin import RECORDED, Origin, load_model, model_file
from .pipeline import EpochPipeline
from .plots import save_data_plots, save_result_plots
from .precision import ChosenPrecision, choose_precision
from .record import (
    CHECKPOINT,
    PLOTS,
    RECORD,
    History,
    Log,
    describe,
    read_interrupted,
    read_record,
    save_history,
)
from .replicas import ALONE, Replicas
from .training import Training


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        path: Its folder; None if nothing was written.
        model: The trained model in float32, not compiled: that of the epoch that was best on the validation split.
        config: How it was trained.
        precision: What it was trained in.
        history: `loss`, `accuracy`, `val_loss`, `val_accuracy` and `seconds`, one value an epoch.
        best_epoch: The epoch of `model`, from one.
        seconds: Time spent on the epochs.
        validation: Figures of `model` on the validation split.
        test: Figures of `model` on the test split.
    """

    path: Path | None
    model: keras.Model
    config: TrainConfig
    precision: ChosenPrecision
    history: History
    best_epoch: int
    seconds: float
    validation: Metrics
    test: Metrics

    @property
    def epochs_done(self) -> int:
        """The number of epochs."""
        return len(self.history["loss"])


def fit(
    model: keras.Model,
    dataset: Dataset,
    config: TrainConfig | None = None,
    *,
    out: str | Path | None = None,
    force: bool = False,
    design: str | None = None,
    origin: Origin | None = None,
    teacher: str | Path | None = None,
    logs: Collection[Log] = (),
    replicas: Replicas = ALONE,
    progress: ProgressCallback = no_progress,
) -> Run:
    """Trains a model on the train split, follows it on the validation split and measures it on the test split.

    Args:
        model: A Sequential or functional classifier from pixels in [0, 1] to probabilities; it gets the trained
            weights when all is done.
        dataset: Images and labels.
        config: None for the defaults.
        out: The run folder to write. It appears when the first epoch is finished and is kept up to date after each.
        force: Whether an older run folder there is replaced.
        design: The name to record for the model.
        origin: What to record of the model, where a name is not enough to build it again.
        teacher: A run folder or a `.keras` file: its model's answers are learned besides the labels.
        logs: `"csv"` writes `history.csv`, `"tensorboard"` event files under `logs`, after each epoch.
        replicas: See `replicas.connect`. Of several workers only the chief reads and writes `out`; where that holds a
            stopped training of the same settings, it is gone on with.
        progress: Called after each batch.

    Raises:
        InvalidInputError: If model, teacher and data set do not fit, or `out` is a folder of another kind.
        NotFoundError: If there is no such teacher.
        AlreadyExistsError: If `out` exists and `force` is off.
        InterruptedTrainingError: If the loss is no longer a number, or Ctrl-C was pressed, or a file could not be
            written, after the first epoch.
        KeyboardInterrupt: If Ctrl-C was pressed when there was nothing to keep yet.
        MissingDependencyError: If TensorBoard is asked for and not installed.
    """
    config = (config or TrainConfig()).settled(len(dataset.train.labels))
    folder = Path(out).absolute() if out is not None and replicas.is_chief else None
    described = (origin or Origin(design)).described() | _described(teacher) | {"logs": sorted(logs)}
    _check_fit(model, dataset, config, replicas)
    goes_on = folder is not None and replicas.cluster is not None and not force
    kept = _stopped_before(folder, dataset, config, described) if folder is not None and goes_on else None
    if folder is not None and kept is None:
        check_new_folder(folder, force=force, marker=RECORD)
    if "tensorboard" in logs:
        require("tensorboard", "tensorboard")
    replicas.check_agreement(_agreed(model, dataset, config, described))
    teaching = _teacher(teacher, dataset)
    pipeline = EpochPipeline(dataset.train, len(dataset.class_names), config, teaching)
    with heeding_ctrl_c(progress) as report:
        precision, history = replicas.from_chief(
            lambda: (
                (list(kept["precision"].values()), kept["history"])
                if kept is not None
                else (choose_precision(model, pipeline, config, len(dataset.train.labels), report), None)
            )
        )
        training = Training(
            load_model(folder) if folder is not None and kept is not None else model,
            dataset,
            config,
            ChosenPrecision(*precision),
            pipeline,
            taught=teaching is not None,
            history=history,
            replicas=replicas,
        )
        if folder is None:
            run = _followed(training, report)
        else:
            description = describe(training.model, dataset, config, training.precision, described)
            if kept is not None:
                training.trained.load_weights(folder / CHECKPOINT)
                training.share()
            else:
                with new_folder(folder, force=force, marker=RECORD) as made:
                    training.share()
                    save_data_plots(dataset, made / PLOTS)
                    training.run_epoch(report)
                    training.save(made, description)
                    save_history(made, training.progress.history, logs)
            run = _go_on(training, folder, description, report)
    model.set_weights(run.model.get_weights())
    return run


def _followed(training: Training, progress: ProgressCallback) -> Run:
    """Runs a training of which this process keeps nothing; where it is one of several workers, the chief does."""
    training.share()
    while training.goes_on:
        training.run_epoch(progress)
    if training.is_chief:
        training.measure()
    training.conclude()
    return _run(training, None)


def _stopped_before(
    folder: Path, dataset: Dataset, config: TrainConfig, described: dict[str, Any]
) -> dict[str, Any] | None:
    """Returns the record of a stopped training of these settings, if that is what is in the folder."""
    if not (folder / RECORD).is_file() or read_record(folder)["status"] == "finished":
        return None
    record = read_interrupted(folder)
    wanted = json.loads(json.dumps({**described, "config": dataclasses.asdict(config)}))
    same = all(record.get(name) == value for name, value in wanted.items())
    return record if same and record["dataset"]["digest"] == dataset.digest else None


def _agreed(model: keras.Model, dataset: Dataset, config: TrainConfig, described: dict[str, Any]) -> dict[str, object]:
    """Returns what must be the same on all workers; folders may differ."""
    return {
        **dataclasses.asdict(config),
        "design": described["design"],
        "parameters": model.count_params(),
        "teacher": described["teacher"] and described["teacher"]["sha256"],
        "data (its digest)": dataset.digest,
        "Keras": keras.__version__,
        "liteport": version("liteport"),
    }


def resume(
    path: str | Path,
    *,
    dataset: Dataset | None = None,
    replicas: Replicas = ALONE,
    progress: ProgressCallback = no_progress,
) -> Run:
    """Goes on with a training that was stopped; the result is that of one that was not.

    Args:
        path: The run folder.
        dataset: The data, where `load_dataset` cannot load it again from the recorded source.
        replicas: Devices of this machine to go on with; several workers go on by calling `fit` again.
        progress: Called after each batch.

    Raises:
        NotFoundError: If `path` is not a run folder, or its data is gone.
        InvalidInputError: If the training is finished, or its record is not readable.
        IntegrityError: If the model, the teacher, the checkpoint or the data is not what it was.
        InterruptedTrainingError: If it is stopped again.
    """
    folder = Path(path).absolute()
    record = read_interrupted(folder)
    try:
        config = TrainConfig.from_json(record["config"])
        precision = ChosenPrecision(**record["precision"])
        history = dict(record["history"])
        origin = {key: record[key] for key in (*RECORDED, "teacher", "logs")}
        teacher = record["teacher"] and record["teacher"]["path"]
        digest = record["dataset"]["digest"]
    except (TypeError, KeyError) as error:
        raise InvalidInputError(f"{folder / RECORD} is damaged: {error}") from error
    dataset = dataset or reload(record["dataset"], progress=progress)
    if dataset.digest != digest:
        raise IntegrityError(f"{dataset.source} is not the data that {folder} was trained with; it has changed since")
    if _described(teacher) != {"teacher": record["teacher"]}:
        raise IntegrityError(f"{teacher} is not the teacher that {folder} was trained with; it has changed since")
    model = load_model(folder)
    teaching = _teacher(teacher, dataset)
    pipeline = EpochPipeline(dataset.train, len(dataset.class_names), config, teaching)
    training = Training(
        model, dataset, config, precision, pipeline, taught=teaching is not None, history=history, replicas=replicas
    )
    training.trained.load_weights(folder / CHECKPOINT)
    description = describe(model, dataset, config, precision, origin)
    with heeding_ctrl_c(progress) as report:
        return _go_on(training, folder, description, report)


def _teacher(path: str | Path | None, dataset: Dataset) -> keras.Model | None:
    """Loads a teacher.

    Raises:
        InvalidInputError: If it does not fit the data set.
    """
    if path is None:
        return None
    teacher = load_model(path)
    expected = (None, *dataset.input_shape), (None, len(dataset.class_names))
    if (teacher.input_shape, teacher.output_shape) != expected:
        raise InvalidInputError(
            f"the teacher {path} goes from {teacher.input_shape} to {teacher.output_shape}, "
            f"but {dataset.name} needs {expected[0]} to {expected[1]}"
        )
    teacher.trainable = False
    return teacher


def _described(teacher: str | Path | None) -> dict[str, Any]:
    if teacher is None:
        return {"teacher": None}
    return {"teacher": {"path": str(Path(teacher).absolute()), "sha256": sha256_of(model_file(Path(teacher)))}}


def _go_on(training: Training, folder: Path, description: dict[str, Any], progress: ProgressCallback) -> Run:
    """Runs the epochs that are left, saves each, and measures at the end."""
    kept = training.epochs_done
    try:
        while training.goes_on:
            training.run_epoch(progress)
            training.save(folder, description)
            kept = training.epochs_done
            save_history(folder, training.progress.history, description["logs"])
        predicted = training.measure()
        save_result_plots(training.progress.history, predicted, training.dataset, folder / PLOTS)
        training.save(folder, description)
        training.conclude()
    except KeyboardInterrupt as error:
        raise InterruptedTrainingError(
            f"stopped; epoch {kept} of {training.config.epochs} is kept in {folder}; to go on: {training.again(folder)}"
        ) from error
    # a loss that is no number, a file of images that is gone, a full disk
    except (InterruptedTrainingError, InvalidInputError, OSError) as error:
        raise InterruptedTrainingError(
            f"{one_line(error)}; {folder} has all up to epoch {kept}, and the model of the best; "
            f"to go on from there: {training.again(folder)}"
        ) from error
    return _run(training, folder)


def _run(training: Training, path: Path | None) -> Run:
    done = training.progress
    assert done.test is not None, "measured before"
    return Run(
        path=path,
        model=training.model,
        config=training.config,
        precision=training.precision,
        history=done.history,
        best_epoch=done.best_epoch,
        seconds=done.seconds,
        validation=done.validation,
        test=done.test,
    )


def _check_fit(model: keras.Model, dataset: Dataset, config: TrainConfig, replicas: Replicas) -> None:
    if config.batch_size < replicas.count:
        raise InvalidInputError(
            f"batch_size: expected at least one image for each of the {replicas.count} replicas, "
            f"found {config.batch_size}"
        )
    if config.batch_size > len(dataset.train.labels):
        raise InvalidInputError(
            f"batch_size: expected at most the {len(dataset.train.labels):,} training images of {dataset.name}, "
            f"found {config.batch_size}"
        )
    expected = (None, *dataset.input_shape), (None, len(dataset.class_names))
    found = model.input_shape, model.output_shape
    if found != expected:
        raise InvalidInputError(
            f"the model goes from {found[0]} to {found[1]}, but {dataset.name} needs {expected[0]} to {expected[1]}"
        )
    sums = probabilities(model, dataset.train.images[:8]).sum(axis=1)
    if not np.allclose(sums, 1, atol=0.02):  # bfloat16 has three digits
        raise InvalidInputError(
            f"the model's outputs add up to {sums[0]:.3g}, not 1; expected probabilities, as softmax gives them"
        )
