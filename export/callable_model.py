"""One way to call any model: flat tensors in, named tensors out, whatever kind of Keras model or SavedModel it is."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from liteport.errors import InvalidInputError
from liteport.foreign import FOREIGN_ERRORS, one_line
from liteport.runtime import TensorSpec
from liteport.terminal import muted, quiet_import

# What weights may not be held in: TensorFlow Lite has no arithmetic in these types, ONNX Runtime little.
_OTHER_PRECISIONS = ("float16", "bfloat16", "float64")

_DTYPES = ("float32", "float16", "uint8", "int8", "int32", "int64", "bool")


@dataclass(frozen=True)
class CallableModel:
    """A model as a function.

    Attributes:
        name: For messages.
        inputs: Each input's name, dtype and shape, batch first (None where it is free). A single one is called "input".
        call: From one tensor per input to the outputs by name, in the model's own order. A single output is called
            "output". To be called inside `tf.function`.
        as_it_is: The same with loops left alone, where `call` unrolls them; else None. It says what is right: Keras
            (3.15) unrolls some masked layers that go backwards to another answer.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    call: Callable[..., dict[str, Any]]
    as_it_is: Callable[..., dict[str, Any]] | None = None


def of_keras(model: Any) -> CallableModel:
    """Takes a Keras model: Sequential, functional or subclassed.

    Its inference is what is called: dropout off; recurrent layers unrolled, as neither converter takes the lists of
    tensors that loops are made of; and layers in mixed precision computed in float32, the type of their weights.

    Raises:
        InvalidInputError: If the model has not been built, computes in another precision, or an input has no fixed
            shape or an unusable dtype.
    """
    keras = quiet_import("keras", "export")
    if not model.built:
        raise InvalidInputError(f"{model.name} has no input shape yet; call it once on a batch before the export")
    for layer in model._flatten_layers():
        if layer.dtype_policy.name in _OTHER_PRECISIONS:
            raise InvalidInputError(
                f"{model.name} computes in {layer.dtype_policy.name} (layer {layer.name!r}); expected float32 or mixed "
                "precision: build it anew under the policy float32, and give it this one's weights (set_weights)"
            )
    structure, by_keyword = _input_structure(model, keras)
    tensors = keras.tree.flatten(structure)
    names = _clean([tensor.name for tensor in tensors], "input")
    specs = tuple(_spec(model.name, *entry) for entry in zip(names, tensors, strict=True))

    def answers(*inputs: Any, unroll: bool) -> dict[str, Any]:
        packed = keras.tree.pack_sequence_as(structure, list(inputs))
        with _for_inference(model, unroll=unroll):
            outputs = model(**packed, training=False) if by_keyword else model(packed, training=False)
        return _named_outputs(outputs, getattr(model, "output_names", None), keras)

    as_it_is = partial(answers, unroll=False) if any(map(_loops, model._flatten_layers())) else None
    return CallableModel(model.name, specs, partial(answers, unroll=True), as_it_is)


def of_saved_model(path: Path) -> CallableModel:
    """Takes a SavedModel's signature `serving_default`, or the only one that it has.

    Raises:
        InvalidInputError: If it cannot be read, has no or several such signatures, or an unusable input.
    """
    tf = quiet_import("tensorflow", "export")
    try:
        with muted():
            loaded = tf.saved_model.load(str(path))
    except (*FOREIGN_ERRORS, tf.errors.OpError) as error:
        raise InvalidInputError(f"{path} cannot be read as a SavedModel: {one_line(error)}") from error
    signatures = dict(loaded.signatures)
    key = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
    if key is None or (key != "serving_default" and len(signatures) > 1):
        raise InvalidInputError(
            f"{path} has the signatures {sorted(signatures)}; expected serving_default, or just one"
        )
    taken = signatures[key].structured_input_signature[1]
    keywords = sorted(taken)  # a signature has no order
    names = _clean(keywords, "input")
    specs = tuple(_spec(str(path), name, taken[keyword]) for name, keyword in zip(names, keywords, strict=True))

    def call(*inputs: Any) -> dict[str, Any]:
        # by way of `loaded`, which owns the variables that the function only refers to
        outputs = loaded.signatures[key](**dict(zip(keywords, inputs, strict=True)))
        names = sorted(outputs)
        return dict(zip(_clean(names, "output"), (outputs[name] for name in names), strict=True))

    return CallableModel(path.resolve().name, specs, call)


@dataclass(frozen=True)
class _Built:
    """What is known of an input of a subclassed model: the shape that it was built with."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


def _input_structure(model: Any, keras: Any) -> tuple[Any, bool]:
    """The nest of input tensors that `call` takes, and whether its parts are arguments of their own."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], False
    if getattr(model, "inputs", None):
        return model.input, False
    config = model.get_build_config() or {}
    if "shapes_dict" in config:  # several arguments: left_shape, right_shape
        shapes = {key.removesuffix("_shape"): shape for key, shape in config["shapes_dict"].items()}
        return {name: _built(shape, name, model.name) for name, shape in shapes.items()}, True
    return _built(config.get("input_shape"), "input", model.name), False


def _built(shape: Any, name: str, model: str) -> Any:
    """Turns the shapes that a subclassed model was built with into a nest of named inputs."""
    if isinstance(shape, dict):
        return {key: _built(item, key, model) for key, item in shape.items()}
    if not isinstance(shape, (list, tuple)) or not shape:
        raise InvalidInputError(
            f"{model} does not say what it takes; call it once on a batch before the export, or put it into a model "
            "that does: keras.Model(inputs, model(inputs)) of a keras.Input"
        )
    if isinstance(shape[0], (list, tuple, dict)):
        return [_built(item, f"{name}_{number}", model) for number, item in enumerate(shape)]
    return _Built(name, (None, *shape[1:]))


def _spec(model: str, name: str, tensor: Any) -> TensorSpec:
    shape = None if tensor.shape is None else tuple(tensor.shape)
    dtype = getattr(tensor.dtype, "name", tensor.dtype)
    if not shape or None in shape[1:]:
        raise InvalidInputError(
            f"{model} takes {name!r} of shape {shape}; expected a batch and fixed sizes after it (make a model with "
            "keras.Input of the size you will use, around this one)"
        )
    if dtype not in _DTYPES:
        raise InvalidInputError(f"{model} takes {name!r} of dtype {dtype}; expected one of {', '.join(_DTYPES)}")
    return TensorSpec(name, dtype, shape)


def _named_outputs(outputs: Any, names: Sequence[str] | None, keras: Any) -> dict[str, Any]:
    flat = keras.tree.flatten(outputs)
    if isinstance(outputs, dict) and len(outputs) == len(flat):
        names = sorted(outputs)  # the order in which a nest is flattened
    elif names is None or len(names) != len(flat):
        names = [f"output_{number}" for number in range(len(flat))]
    return dict(zip(_clean(list(names), "output"), flat, strict=True))


def _clean(names: Sequence[str], single: str) -> list[str]:
    """Names that every format takes, each once; a single input or output always has the same."""
    if len(names) == 1:
        return [single]
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name.split(":")[0], flags=re.ASCII)
        unique, number = plain, 2
        while unique in found:
            unique, number = f"{plain}_{number}", number + 1
        found.append(unique)
    return found


def _loops(layer: Any) -> bool:
    return getattr(layer, "unroll", None) is False


@contextmanager
def _for_inference(model: Any, *, unroll: bool) -> Iterator[None]:
    """Sets layers for tracing, and back: the model may be a live one that goes on training."""
    changed: list[tuple[Any, str, Any]] = []
    try:
        for layer in model._flatten_layers():  # there is no public way to layers inside layers
            if unroll and _loops(layer):
                changed.append((layer, "unroll", False))
                layer.unroll = True
            if layer.dtype_policy.name.startswith("mixed_"):
                changed.append((layer, "dtype_policy", layer.dtype_policy))
                layer.dtype_policy = "float32"
        yield
    finally:
        for layer, attribute, value in changed:
            setattr(layer, attribute, value)
