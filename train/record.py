"""The files of a run folder, and `training.json`, which describes them."""

import dataclasses
import json
import platform
from collections.abc import Mapping
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

SCHEMA_VERSION = 1
RECORD = "training.json"
MODEL = "model.keras"
WEIGHTS = "model.weights.h5"
CHECKPOINT = "checkpoint.weights.h5"
PLOTS = "plots"

History = dict[str, list[float]]
"""Figures by name, one value an epoch."""


@dataclass(frozen=True)
class Progress:
    """How far a training is: all of `training.json` that changes from epoch to epoch.

    Attributes:
        history: `loss`, `accuracy`, `val_loss` and `val_accuracy` of each finished epoch.
        seconds: Time spent on the epochs.
        validation: Figures after the last epoch.
        test: Figures at the end; None before.
    """

    history: History
    seconds: float
    validation: Metrics
    test: Metrics | None = None

    @property
    def epochs_done(self) -> int:
        """The number of finished epochs."""
        return len(self.history["loss"])


def describe(
    model: keras.Model, dataset: Dataset, config: TrainConfig, precision: ChosenPrecision, design: str | None
) -> dict[str, Any]:
    """Returns the part of `training.json` that stays the same during a training."""
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "schema_version": SCHEMA_VERSION,
        "design": design,
        "dataset": {
            "name": dataset.name,
            "source": dataset.source,
            "digest": dataset.digest,
            "seed": dataset.seed,
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
    folder: Path, description: Mapping[str, Any], progress: Progress, model: keras.Model, trained: keras.Model
) -> None:
    """Replaces the files of a run, `training.json` last; all are written before the first is renamed.

    Args:
        folder: Exists.
        description: See `describe`.
        progress: Finished when it has test figures.
        model: Float32 and not compiled, so that it holds no optimizer.
        trained: The compiled model, whose weights and optimizer state a resumed training starts from.
    """
    finished = progress.test is not None
    status: Literal["finished", "interrupted"] = "finished" if finished else "interrupted"
    with (
        replacing(folder / RECORD) as record_file,
        replacing(folder / MODEL) as model_file,
        replacing(folder / WEIGHTS) as weights_file,
        replacing(folder / CHECKPOINT) as checkpoint_file,
    ):
        model.save(model_file)
        model.save_weights(weights_file)
        trained.save_weights(checkpoint_file)
        record = {
            **description,
            "status": status,
            "history": progress.history,
            "epochs_done": progress.epochs_done,
            "seconds": round(progress.seconds, 3),
            "validation": progress.validation._asdict(),
            "test": progress.test._asdict() if progress.test is not None else None,
            "model_sha256": sha256_of(model_file),
            "checkpoint_sha256": None if finished else sha256_of(checkpoint_file),
        }
        record_file.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if finished:
        (folder / CHECKPOINT).unlink()


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "status": str,
    "design": (str, type(None)),
    "dataset": dict,
    "config": dict,
    "precision": dict,
    "history": dict,
    "seconds": (int, float),
    "validation": dict,
    "model_sha256": str,
}


def read_interrupted(folder: Path) -> dict[str, Any]:
    """Reads the `training.json` of a training that can go on, and checks the files that this needs.

    Raises:
        NotFoundError: If there is none.
        InvalidInputError: If it is not one that liteport wrote, or the training is finished.
        IntegrityError: If the model or the checkpoint is missing or not the one it was written with.
    """
    path = folder / RECORD
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
    if record["status"] == "finished":
        raise InvalidInputError(
            f"{folder} is finished; to train further from its weights: liteport train --weights {folder / WEIGHTS}"
        )
    for name, digest in ((MODEL, record["model_sha256"]), (CHECKPOINT, record.get("checkpoint_sha256"))):
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            raise IntegrityError(f"{folder / name} is missing or damaged; the training cannot go on from it")
    return record


def progress_of(record: Mapping[str, Any]) -> Progress:
    """Returns how far a recorded training is."""
    return Progress(record["history"], record["seconds"], Metrics(**record["validation"]))
