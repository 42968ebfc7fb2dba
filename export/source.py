"""The model to export: where it comes from, and what its training recorded."""

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.files import sha256_of
from liteport.foreign import FOREIGN_ERRORS, one_line
from liteport.terminal import muted, quiet_import

from .callable_model import CallableModel, of_keras, of_saved_model
from .custom_objects import CustomObjects, load_custom_objects
from .learned import Aware, aware_of, know_layers

TRAINING_FILE = "training.json"
_SAVED_MODEL_FILE = "saved_model.pb"
_EXPECTED = "a .keras or .h5 file, a SavedModel folder, or the folder of a run"

# How the two kinds of file begin: a zip archive and HDF5.
_SIGNATURES = {".keras": b"PK\x03\x04", ".h5": b"\x89HDF\r\n\x1a\n"}


@dataclass(frozen=True)
class Source:
    """A model and what its training recorded.

    Attributes:
        model: Its inference function; of a quantization-aware model that with floating weights.
        name: A name for people.
        file: Where it was read from, a file or a SavedModel folder; None for a live model.
        training: The run's training.json, or None.
        aware: What else a quantization-aware model is; None of any other.
    """

    model: CallableModel
    name: str
    file: Path | None
    training: Mapping[str, Any] | None
    aware: Aware | None = None

    def sha256(self) -> str | None:
        """Returns the digest of `file`; of a SavedModel that of the graph, which is one file of several."""
        if self.file is None:
            return None
        return sha256_of(self.file / _SAVED_MODEL_FILE if self.file.is_dir() else self.file)


def load_source(model: Any, custom_objects: CustomObjects = None, *, safe_mode: bool = True) -> Source:
    """Finds the model that the user means.

    Args:
        model: A `keras.Model`; a `.keras` or `.h5` file; a SavedModel folder; or the folder of a run. A file's
            `training.json` beside it is read too, when it is about that very file.
        custom_objects: Layers and functions that are not Keras's own; see `load_custom_objects`.
        safe_mode: Whether files may not bring code of their own (`Lambda` layers).

    Raises:
        NotFoundError: If the path does not exist.
        InvalidInputError: If it is no Keras model, or a custom object is unknown.
        IntegrityError: If training.json is about another model file.
    """
    keras = _keras()
    if isinstance(model, keras.Model):
        return _of(model, model.name, None, None)
    if not isinstance(model, (str, Path)):
        raise InvalidInputError(f"model is a {type(model).__name__}; expected a keras.Model or a path")
    path = Path(model)
    if not path.exists():
        raise NotFoundError(f"{path} does not exist; expected {_EXPECTED}")
    if (path / _SAVED_MODEL_FILE).is_file():
        return Source(of_saved_model(path), _text(path.resolve().name), path, None)
    if path.is_dir():
        path = path / "model.keras"
        if not path.is_file():
            raise InvalidInputError(
                f"{path.parent} holds neither model.keras nor {_SAVED_MODEL_FILE}; expected {_EXPECTED}"
            )
    training = _read_training(path)
    loaded = _load_keras(path, keras, load_custom_objects(custom_objects), safe_mode)
    name = (training["design"] or loaded.name) if training else path.stem
    return _of(loaded, _text(name), path, training)


def _of(model: Any, name: str, file: Path | None, training: Mapping[str, Any] | None) -> Source:
    aware = aware_of(model)
    return Source(of_keras(model) if aware is None else aware.plain, name, file, training, aware)


def _keras() -> Any:
    """Imports Keras on TensorFlow, whose graphs the converters take."""
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend == "tensorflow":
        quiet_import("tensorflow", "export")  # first: Keras would miss it in words of its own
        keras = quiet_import("keras", "export")
        backend = keras.config.backend()  # if it was imported before, this may be another
    if backend != "tensorflow":
        raise InvalidInputError(f"Keras runs on {backend!r}; export runs on TensorFlow: set KERAS_BACKEND=tensorflow")
    return keras


def _text(name: Any) -> str:
    """A name as Unicode: in one of a file, bytes that are none stand as half surrogates, which no format takes."""
    return str(name).encode(errors="replace").decode()


def _load_keras(path: Path, keras: Any, custom_objects: Mapping[str, Any], safe_mode: bool) -> Any:
    if path.suffix not in _SIGNATURES:
        raise InvalidInputError(f"{path} is no Keras model: expected {_EXPECTED}")
    know_layers()
    signature = _SIGNATURES[path.suffix]
    with path.open("rb") as file:
        if file.read(len(signature)) != signature:  # of which Keras says that the file was not found
            raise InvalidInputError(f"{path} is no Keras model: its content is not that of a {path.suffix} file")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):  # of which Keras says the same
        raise InvalidInputError(f"{path} cannot be read as a Keras model: its end is missing or damaged; copy it again")
    try:
        with muted():
            model = keras.models.load_model(path, custom_objects, compile=False, safe_mode=safe_mode)
    # Keras has no error of its own: it lets out whatever the zip, HDF5 and JSON readers and its classes raise.
    except (*FOREIGN_ERRORS, quiet_import("tensorflow", "export").errors.OpError) as error:
        raise InvalidInputError(f"{path} cannot be read as a Keras model: {_reason(error)}") from error
    if not isinstance(model, keras.Model):
        raise InvalidInputError(f"{path} holds a {type(model).__name__}, expected a keras.Model")
    return model


def _reason(error: Exception) -> str:
    """Keras's message in one line, with what to do about the two refusals that have a remedy."""
    text = one_line(error, 10_000)
    if "safe_mode" in text or "enable_unsafe_deserialization" in text:
        return "it holds code (a Lambda layer); if you trust whoever made it, pass --no-safe-mode (safe_mode=False)"
    if "Could not locate" in text or "custom_objects" in text or "Unknown layer" in text:
        return f"{text[:160]}...; name what is not Keras's own: --custom-objects module:name"
    return text[:300]


def _read_training(model_file: Path) -> Mapping[str, Any] | None:
    path = model_file.with_name(TRAINING_FILE)
    if not path.is_file():
        return None
    try:
        training = json.loads(path.read_bytes())
        known = {key: training[key] for key in ("design", "dataset", "class_names", "preprocessing", "model_sha256")}
        known |= {key: training["dataset"][key] for key in ("source", "seed", "digest")}
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{path} is damaged ({error!r}); train again, or move it away to export without it"
        ) from error
    if known["model_sha256"] != sha256_of(model_file):
        raise IntegrityError(
            f"{path} is about another model file than {model_file.name}; move it away to export without it"
        )
    return dict(training)
