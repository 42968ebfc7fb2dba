"""Where the model that is trained comes from: a design, or a model that was trained before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.files import sha256_of
from liteport.foreign import FOREIGN_ERRORS, one_line

from .datasets import Dataset
from .designs import build_model
from .qat import quantize_aware
from .record import MODEL
from .weights import load_weights

RECORDED = ("design", "dropout", "run", "weights", "weight_bits", "digests")
"""What `training.json` says of a model's origin."""


@dataclass(frozen=True)
class Origin:
    """What a training starts from; `training.json` holds it, so that the training can be run again.

    Attributes:
        design: A name for `build_model`; None for a model that was built elsewhere.
        dropout: Given to the design; None leaves it to it.
        run: A run folder or a `.keras` file whose model is trained further, instead of a new one.
        weights: A file whose weights a new model starts from.
        weight_bits: With them the model is made quantization-aware; None trains in float.
        digests: SHA-256 of those files, by attribute.
    """

    design: str | None = None
    dropout: float | None = None
    run: Path | None = None
    weights: Path | None = None
    weight_bits: int | None = None
    digests: Mapping[str, str] | None = None

    def build(self, dataset: Dataset, seed: int) -> keras.Model:
        """Builds or loads the model to train.

        Args:
            dataset: What it is to be trained on.
            seed: Of the weights of a new model.

        Raises:
            InvalidInputError: If the design, the weights or the model do not fit, or it has no quantized form.
            NotFoundError: If a file does not exist.
        """
        if self.run is not None:
            model = load_model(self.run)
        else:
            model = build_model(
                self.design or "", dataset.input_shape, len(dataset.class_names), dropout=self.dropout, seed=seed
            )
        if self.weights is not None:
            load_weights(model, self.weights)
        return model if self.weight_bits is None else quantize_aware(model, weight_bits=self.weight_bits)

    def described(self) -> dict[str, Any]:
        """Returns what `training.json` says of it."""
        found = {"run": self.run and model_file(self.run), "weights": self.weights}
        return {
            "design": self.design,
            "dropout": self.dropout,
            "run": self.run and str(self.run.absolute()),
            "weights": self.weights and str(self.weights.absolute()),
            "weight_bits": self.weight_bits,
            "digests": {name: sha256_of(path) for name, path in found.items() if path},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Origin":
        """Reads what `described` gave.

        Raises:
            KeyError: If something is missing.
        """
        settings = {name: record[name] for name in RECORDED}
        paths = {name: Path(settings[name]) for name in ("run", "weights") if settings[name]}
        return cls(**{**settings, **paths})

    def check_files(self) -> None:
        """Checks that the files are those that were recorded, where they were.

        Raises:
            NotFoundError: If one is gone.
            IntegrityError: If one has changed.
        """
        replayed = replace(self, digests=None).described()["digests"]
        for name, digest in (self.digests or {}).items():
            if replayed[name] != digest:
                raise IntegrityError(
                    f"{getattr(self, name)} is not what the recorded training started from; it changed"
                )


def model_file(path: Path) -> Path:
    """Returns the model's file of a run folder, or the `.keras` file that is given instead.

    Raises:
        NotFoundError: If there is none.
        InvalidInputError: If the file is of another kind.
    """
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise NotFoundError(f"{file} does not exist; expected a run folder that liteport train has written")
    if file.suffix != ".keras":
        raise InvalidInputError(f"{file}: expected a run folder or a .keras file")
    return file


def load_model(path: str | Path) -> keras.Model:
    """Loads the model of a run folder, or of a `.keras` file.

    Raises:
        NotFoundError: If there is none.
        InvalidInputError: If it is no Keras model, or one with layers that are not known here.
    """
    file = model_file(Path(path))
    try:
        return keras.models.load_model(file, compile=False)
    except FOREIGN_ERRORS as error:
        raise InvalidInputError(f"{file} cannot be read as a Keras model: {one_line(error)}") from error
