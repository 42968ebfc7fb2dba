"""The Keras model to export: where it comes from, what is known of it, and its frozen inference graph."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.files import sha256_of
from liteport.terminal import quiet_import

from .refusal import told_as_refusal

TRAINING_FILE = "training.json"

# How the two kinds of file begin: a zip archive and HDF5.
_SIGNATURES = {".keras": b"PK\x03\x04", ".h5": b"\x89HDF\r\n\x1a\n"}

# The activation that ends a model, by the TensorFlow operation that computes it; a weighted sum gives logits.
_ACTIVATIONS = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "BiasAdd": "linear",
    "MatMul": "linear",
    "AddV2": "linear",
}


@dataclass(frozen=True)
class Source:
    """A Keras model and what its training recorded.

    Attributes:
        model: The `keras.Model`.
        name: A name for people.
        file: Where it was read from, or None for a live model.
        training: The run's training.json, or None.
    """

    model: Any
    name: str
    file: Path | None
    training: Mapping[str, Any] | None


@dataclass(frozen=True)
class Traced:
    """A model's inference graph with its weights as constants, traced once for all converters.

    Attributes:
        function: A `tf.function` of one argument, `input`, that returns `{"output": …}`.
        saved_model: The same as a SavedModel folder.
        input_shape: (None, H, W, C), or whatever else the model takes; the batch is free.
        output_shape: (None, classes).
        activation: "softmax", "sigmoid", "linear" (logits) or "other".
    """

    function: Any
    saved_model: Path
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    activation: str


def load_source(model: Any) -> Source:
    """Finds the model that the user means.

    Args:
        model: A `keras.Model`, a `.keras` or `.h5` file, or the folder of a run. A file's `training.json` beside it is
            read too, when it is about that very file.

    Raises:
        NotFoundError: If the path does not exist.
        InvalidInputError: If it is no Keras model.
        IntegrityError: If training.json is about another model file.
    """
    keras = quiet_import("keras", "export")
    if isinstance(model, keras.Model):
        return Source(model, model.name, None, None)
    if not isinstance(model, (str, Path)):
        raise InvalidInputError(f"model is a {type(model).__name__}; expected a keras.Model or a path")
    path = Path(model)
    if not path.exists():
        raise NotFoundError(f"{path} does not exist; expected a .keras or .h5 file, or the folder of a run")
    if path.is_dir():
        path = path / "model.keras"
        if not path.is_file():
            raise InvalidInputError(f"{path.parent} is no run: it holds no model.keras")
    training = _read_training(path)
    loaded = _load_keras(path, keras)
    name = (training["design"] or loaded.name) if training else path.stem
    return Source(loaded, str(name), path, training)


def _load_keras(path: Path, keras: Any) -> Any:
    if path.suffix not in _SIGNATURES:
        raise InvalidInputError(f"{path} is no Keras model: expected a .keras or .h5 file, or the folder of a run")
    signature = _SIGNATURES[path.suffix]
    with path.open("rb") as file:
        if file.read(len(signature)) != signature:  # of which Keras says that the file was not found
            raise InvalidInputError(f"{path} is no Keras model: its content is not that of a {path.suffix} file")
    try:
        model = keras.models.load_model(path, compile=False)
    # Keras has no error of its own: it lets out whatever the zip, HDF5 and JSON readers and its classes raise.
    except (ValueError, TypeError, KeyError, AttributeError, OSError, ImportError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInputError(f"{path} cannot be read as a Keras model: {reason}") from error
    if not isinstance(model, keras.Model):
        raise InvalidInputError(f"{path} holds a {type(model).__name__}, expected a keras.Model")
    return model


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


def trace(model: Any, folder: Path) -> Traced:
    """Traces a model once and freezes its weights.

    Args:
        model: A `keras.Model` with one image-like input and one output.
        folder: An existing empty folder for the SavedModel.

    Raises:
        InvalidInputError: If the model has several inputs or outputs, or an input whose size is not fixed.
        ConversionError: If it cannot be traced.
    """
    tf = quiet_import("tensorflow", "export")
    shape = _input_shape(model)
    signature = [tf.TensorSpec(shape, tf.float32, name="input")]
    with told_as_refusal("TensorFlow's tracing", ValueError, TypeError):
        live = tf.function(lambda x: model(x, training=False), input_signature=signature).get_concrete_function()
    freeze = _freezer()
    frozen = freeze(live)
    if len(frozen.outputs) != 1:
        raise InvalidInputError(f"{model.name} has {len(frozen.outputs)} outputs; expected one")
    output = frozen.outputs[0]

    # Keras names tensors as it likes; every variant shall have the same two names.
    @tf.function(input_signature=signature)
    def serve(input):  # type: ignore[no-untyped-def]
        return {"output": frozen(input)[0]}

    module = tf.Module()
    module.serve = serve
    # Gradients are of no use in inference, and some (swish has its own) cannot be saved once weights are frozen.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    signatures = {"serving_default": serve.get_concrete_function()}
    tf.saved_model.save(module, str(folder), signatures=signatures, options=options)
    return Traced(serve, folder, shape, (None, *output.shape[1:].as_list()), _activation(output))


def _freezer() -> Any:
    """What TensorFlow's converters turn variables into constants with; it is not among its public names."""
    return quiet_import("tensorflow.python.framework.convert_to_constants", "export").convert_variables_to_constants_v2


def _input_shape(model: Any) -> tuple[int | None, ...]:
    if not model.built:
        raise InvalidInputError(f"{model.name} has no input shape yet; call it once on a batch before the export")
    if inputs := getattr(model, "inputs", None):
        shapes = [tuple(tensor.shape) for tensor in inputs]
    else:  # a subclassed model knows what it was built for
        shapes = [tuple((model.get_build_config() or {}).get("input_shape") or ())]
    if len(shapes) != 1 or not shapes[0]:
        raise InvalidInputError(f"{model.name} does not take exactly one input; its inputs are {shapes}")
    if None in shapes[0][1:]:
        raise InvalidInputError(f"{model.name} takes inputs of shape {shapes[0]}; expected fixed sizes after the batch")
    return (None, *shapes[0][1:])


def _activation(output: Any) -> str:
    operation = output.op
    while operation.type == "Identity":
        operation = operation.inputs[0].op
    return _ACTIVATIONS.get(operation.type, "other")
