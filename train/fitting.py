"""Training a model: epochs, checkpoints, what is kept when it is stopped, and going on from there."""

from collections.abc import Collection
from dataclasses import dataclass
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
    save_history,
)
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
    config = config or TrainConfig()
    if out is not None:
        check_new_folder(Path(out), force=force, marker=RECORD)
    _check_fit(model, dataset, config)
    if "tensorboard" in logs:
        require("tensorboard", "tensorboard")
    teaching = _teacher(teacher, dataset)
    pipeline = EpochPipeline(dataset.train, len(dataset.class_names), config, teaching)
    with heeding_ctrl_c(progress) as report:
        precision = choose_precision(model, pipeline, config, len(dataset.train.labels), report)
        training = Training(model, dataset, config, precision, pipeline, taught=teaching is not None)
        if out is None:
            while training.goes_on:
                training.run_epoch(report)
            training.measure()
            run = _run(training, None)
        else:
            out = Path(out).absolute()
            described = (origin or Origin(design)).described() | _described(teacher) | {"logs": sorted(logs)}
            description = describe(training.model, dataset, config, precision, described)
            with new_folder(out, force=force, marker=RECORD) as folder:
                save_data_plots(dataset, folder / PLOTS)
                training.run_epoch(report)
                training.save(folder, description)
                save_history(folder, training.progress.history, logs)
            run = _go_on(training, out, description, report)
    model.set_weights(run.model.get_weights())
    return run


def resume(path: str | Path, *, dataset: Dataset | None = None, progress: ProgressCallback = no_progress) -> Run:
    """Goes on with a training that was stopped; the result is that of one that was not.

    Args:
        path: The run folder.
        dataset: The data, where `load_dataset` cannot load it again from the recorded source.
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
    training = Training(model, dataset, config, precision, pipeline, taught=teaching is not None, history=history)
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
    except KeyboardInterrupt as error:
        raise InterruptedTrainingError(
            f"stopped; epoch {kept} of {training.config.epochs} is kept in {folder}; "
            f"to go on: liteport train --resume {folder}"
        ) from error
    # a loss that is no number, a file of images that is gone, a full disk
    except (InterruptedTrainingError, InvalidInputError, OSError) as error:
        raise InterruptedTrainingError(
            f"{one_line(error)}; {folder} has all up to epoch {kept}, and the model of the best; "
            f"to go on from there: liteport train --resume {folder}"
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


def _check_fit(model: keras.Model, dataset: Dataset, config: TrainConfig) -> None:
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
