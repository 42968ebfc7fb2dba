"""The files of a run folder, and `training.json`, which describes them."""

import csv
import dataclasses
import json
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.files import replacing, sha256_of

from .config import TrainConfig
from .datasets import Dataset
from .evaluate import Metrics
from .pipeline import SCALE
from .precision import ChosenPrecision

SCHEMA_VERSION = 2
RECORD = "training.json"
MODEL = "model.keras"
WEIGHTS = "model.weights.h5"
CHECKPOINT = "checkpoint.weights.h5"
PLOTS = "plots"
HISTORY = "history.csv"
EVENTS = "logs"

Log = Literal["csv", "tensorboard"]

History = dict[str, list[float]]
"""Figures by name, one value an epoch."""


@dataclass(frozen=True)
class Progress:
    """How far a training is: all of `training.json` that changes from epoch to epoch.

    Attributes:
        history: `loss`, `accuracy`, `val_loss`, `val_accuracy` and `seconds` of each finished epoch.
        first: The first epoch whose model is what was asked for; of those before, one is only kept until then.
        test: Figures of the best epoch's model, at the end; None before.
    """

    history: History
    first: int = 1
    test: Metrics | None = None

    @property
    def epochs_done(self) -> int:
        """The number of finished epochs."""
        return len(self.history["loss"])

    @property
    def best_epoch(self) -> int:
        """The epoch with the highest validation accuracy, of several that with the lowest loss; from one."""
        accuracies, losses = self.history["val_accuracy"], self.history["val_loss"]
        epochs = range(self.first, self.epochs_done + 1) or range(1, self.epochs_done + 1)
        return min(epochs, key=lambda epoch: (-accuracies[epoch - 1], losses[epoch - 1]), default=0)

    @property
    def validation(self) -> Metrics:
        """Figures after the best epoch."""
        best = self.best_epoch - 1
        return Metrics(self.history["val_loss"][best], self.history["val_accuracy"][best])

    @property
    def seconds(self) -> float:
        """Time spent on the epochs."""
        return sum(self.history["seconds"])

    def with_epoch(self, train: Metrics, validation: Metrics, seconds: float) -> "Progress":
        """Returns this with one more epoch."""
        figures = (*train, *validation, seconds)
        history = {name: [*past, float(new)] for (name, past), new in zip(self.history.items(), figures, strict=True)}
        return Progress(history, self.first)


NOTHING_DONE: History = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": [], "seconds": []}


def describe(
    model: keras.Model,
    dataset: Dataset,
    config: TrainConfig,
    precision: ChosenPrecision,
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the part of `training.json` that stays the same during a training.

    Args:
        model: Is trained.
        dataset: What it is trained on.
        config: How.
        precision: What it computes in.
        origin: Where model and teacher come from; see `origin.Origin.described`.
    """
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "schema_version": SCHEMA_VERSION,
        **origin,
        "dataset": {
            "name": dataset.name,
            **dataset.recorded,
            **{name: len(split.labels) for name, split in splits.items()},
        },
        "class_names": list(dataset.class_names),
        "input_shape": list(dataset.input_shape),
        "preprocessing": {"scale": SCALE, "offset": 0.0},
        "seed": config.seed,
        "config": dataclasses.asdict(config),
        "precision": precision._asdict(),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "liteport": version("liteport"),
        },
        "parameters": model.count_params(),
    }


def save_run(
    folder: Path,
    description: Mapping[str, Any],
    progress: Progress,
    model: keras.Model | None,
    trained: keras.Model,
) -> None:
    """Replaces the files of a run.

    All are written under other names first. Then `training.json` is renamed, which is the moment from which on the new
    files count, and then the others are; a process killed in between leaves names that `read_interrupted` puts right.

    Args:
        folder: Exists.
        description: See `describe`.
        progress: Finished when it has test figures.
        model: Float32 and not compiled, so that it holds no optimizer; None keeps the files of an earlier epoch.
        trained: The compiled model, whose weights and optimizer state a resumed training starts from.
    """
    finished = progress.test is not None
    status: Literal["finished", "interrupted"] = "finished" if finished else "interrupted"
    written = []
    try:
        if model is not None:
            model.save(_next(folder, MODEL))
            model.save_weights(_next(folder, WEIGHTS))
            written += [MODEL, WEIGHTS]
        if not finished:
            trained.save_weights(_next(folder, CHECKPOINT))
            written.append(CHECKPOINT)
        record = {
            **description,
            "status": status,
            "history": progress.history,
            "epochs_done": progress.epochs_done,
            "best_epoch": progress.best_epoch,
            "seconds": round(progress.seconds, 3),
            "validation": progress.validation._asdict(),
            "test": progress.test._asdict() if progress.test is not None else None,
            "model_sha256": sha256_of(folder / MODEL if model is None else _next(folder, MODEL)),
            "checkpoint_sha256": None if finished else sha256_of(_next(folder, CHECKPOINT)),
        }
        with replacing(folder / RECORD) as record_file:
            record_file.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except BaseException:
        for name in (MODEL, WEIGHTS, CHECKPOINT):
            _next(folder, name).unlink(missing_ok=True)
        raise
    for name in written:
        _next(folder, name).replace(folder / name)
    if finished:
        (folder / CHECKPOINT).unlink(missing_ok=True)


def _next(folder: Path, name: str) -> Path:
    return folder / f".next-{name}"


def save_history(folder: Path, history: History, logs: Collection[Log]) -> None:
    """Writes what a run was asked to log besides, after an epoch.

    Args:
        folder: The run folder.
        history: Of all finished epochs.
        logs: "csv" writes them all into `history.csv`; "tensorboard" adds the last one to event files under `logs`.
    """
    if "csv" in logs:
        with replacing(folder / HISTORY) as path, path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", *history])
            rows.writerows([epoch, *figures] for epoch, figures in enumerate(zip(*history.values(), strict=True), 1))
    if "tensorboard" in logs:
        epoch = len(history["loss"])
        for split, prefix in (("train", ""), ("validation", "val_")):
            writer = tf.summary.create_file_writer(str(folder / EVENTS / split))
            with writer.as_default(step=epoch):
                for name in ("loss", "accuracy"):
                    tf.summary.scalar(name, history[prefix + name][-1])
            writer.close()


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "status": str,
    "design": (str, type(None)),
    "dataset": dict,
    "config": dict,
    "precision": dict,
    "history": dict,
    "validation": dict,
    "model_sha256": str,
}


def read_record(path: Path) -> dict[str, Any]:
    """Reads a `training.json`, given by itself or by its run folder.

    Raises:
        NotFoundError: If there is none.
        InvalidInputError: If it is not one that liteport wrote.
    """
    path = path if path.suffix == ".json" else path / RECORD
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected a folder that liteport train has written")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"{path} is not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        raise InvalidInputError(f"{path}: expected schema_version {SCHEMA_VERSION}, as this version of liteport writes")
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(record.get(name), kind)]
    if wrong:
        raise InvalidInputError(f"{path}: {', '.join(wrong)} missing or of a wrong type; it is damaged")
    return record


def read_interrupted(folder: Path) -> dict[str, Any]:
    """Reads the `training.json` of a training that can go on, and checks the files that this needs.

    Raises:
        NotFoundError: If there is none.
        InvalidInputError: If it is not one that liteport wrote, or the training is finished.
        IntegrityError: If the model or the checkpoint is missing or not the one it was written with.
    """
    record = read_record(folder)
    if record["status"] == "finished":
        raise InvalidInputError(f"{folder} is finished; to train further from it: liteport train --from {folder}")
    for name, digest in ((MODEL, record["model_sha256"]), (CHECKPOINT, record.get("checkpoint_sha256"))):
        if _is(_next(folder, name), digest):  # killed before it was renamed
            _next(folder, name).replace(folder / name)
        if not _is(folder / name, digest):
            raise IntegrityError(f"{folder / name} is missing or damaged; the training cannot go on from it")
    return record


def _is(path: Path, digest: object) -> bool:
    return path.is_file() and sha256_of(path) == digest
