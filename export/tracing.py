"""A model's inference graph, traced once and frozen for all converters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, InvalidInputError
from liteport.runtime import TensorSpec
from liteport.terminal import muted, quiet_import

from .callable_model import CallableModel
from .graph_rewriting import frozen
from .learned import Learned
from .refusal import placed, told_as_refusal

_REFERENCE_BATCH = 256

# The activation that ends a model, by the TensorFlow operation that computes it; a weighted sum gives logits.
_ACTIVATIONS = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "BiasAdd": "linear",
    "MatMul": "linear",
    "AddV2": "linear",
}


@dataclass(frozen=True)
class Traced:
    """A model's inference graph.

    Attributes:
        live: The model's own graph, weights as variables: positional tensors in, a list of tensors out.
        function: A `tf.function` with the weights as constants: positional tensors in, outputs by name out.
        saved_model: The latter as a SavedModel folder with the signature `serving_default`.
        inputs: Each input's name, dtype and shape; shape[0] is None where the batch is free.
        outputs: Each output's, likewise.
        activations: What computes each output: "softmax", "sigmoid", "linear" (logits) or "other".
        learned: The ranges of its activations, where it was trained for quantization.
    """

    live: Any
    function: Any
    saved_model: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    activations: tuple[str, ...]
    learned: Learned | None = None

    def answers(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model itself, by TensorFlow: what every variant is held against.

        Args:
            feeds: Model input by name, (N, ...) each.

        Returns:
            Outputs by name, (N, ...) each.
        """
        tf = quiet_import("tensorflow", "export")
        arrays = [feeds[spec.name] for spec in self.inputs]
        size = self.inputs[0].shape[0] or _REFERENCE_BATCH
        parts = []
        for start in range(0, len(arrays[0]), size):
            batch = [array[start : start + size] for array in arrays]
            count = len(batch[0])
            if self.inputs[0].shape[0]:  # a fixed batch is filled up
                batch = [np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)]) for part in batch]
            parts.append([np.asarray(output)[:count] for output in self.live(*map(tf.constant, batch))])
        joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return {spec.name: array for spec, array in zip(self.outputs, joined, strict=True)}


def trace(model: CallableModel, folder: Path, batch: int | None = None) -> Traced:
    """Traces a model once and freezes its weights.

    Args:
        model: The model.
        folder: An existing empty folder for the SavedModel.
        batch: A fixed batch size; by default the model's own, which mostly is free.

    Raises:
        InvalidInputError: If the batch size does not fit the model's own.
        ConversionError: If it cannot be traced.
    """
    tf = quiet_import("tensorflow", "export")
    inputs = tuple(_with_batch(spec, batch) for spec in model.inputs)
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs]
    live, names = _graph_of(model.call, specs)
    _check_no_state(live)
    constant = frozen(live)
    _check_no_tables(constant, len(inputs))

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
    def serve(*tensors: Any) -> dict[str, Any]:
        return dict(zip(names, constant(*tensors), strict=True))

    module = tf.Module()
    module.serve = serve
    # Gradients are of no use in inference, and some (swish has its own) cannot be saved once weights are frozen.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with muted():
        signatures = {"serving_default": serve.get_concrete_function()}
        tf.saved_model.save(module, str(folder), signatures=signatures, options=options)
    outputs = _output_specs(names, live, constant, inputs)
    own = live if model.as_it_is is None else _graph_of(model.as_it_is, specs)[0]
    return Traced(own, serve, folder, inputs, outputs, tuple(map(_activation, constant.outputs)))


def _graph_of(call: Callable[..., dict[str, Any]], specs: Sequence[Any]) -> tuple[Any, list[str]]:
    """Traces a function; returns the graph, whose outputs are a list, and their names."""
    tf = quiet_import("tensorflow", "export")
    names: list[str] = []

    def flat(*tensors: Any) -> list[Any]:
        outputs = call(*tensors)
        names[:] = outputs
        return list(outputs.values())

    with (
        told_as_refusal("TensorFlow's tracing", ValueError, TypeError, NotImplementedError, tf.errors.OpError),
        muted(),
    ):
        return tf.function(flat, input_signature=specs).get_concrete_function(), names


def _with_batch(spec: TensorSpec, batch: int | None) -> TensorSpec:
    if batch is None or spec.shape[0] == batch:
        return spec
    if batch < 1 or spec.shape[0] is not None:
        raise InvalidInputError(
            f"batch is {batch}; expected at least 1, and {spec.name!r} has {spec.shape[0] or 'any'}"
        )
    return replace(spec, shape=(batch, *spec.shape[1:]))


def _check_no_state(live: Any) -> None:
    """Refuses models that remember something from one call to the next.

    Raises:
        ConversionError: With the operations that do and their layers.
    """
    changes = [operation for operation in live.graph.get_operations() if operation.type.startswith("Assign")]
    if changes:
        where = placed(changes[0].type, [operation.name for operation in changes])
        raise ConversionError(
            f"the model keeps state from one call to the next ({where}), which no format holds; make it without "
            "(stateful=False)"
        )


def _check_no_tables(constant: Any, count: int) -> None:
    """Refuses models that look values up in tables, which are left over as inputs of a frozen graph.

    Raises:
        ConversionError: With the layers that do.
    """
    if len(constant.inputs) > count:
        tables = placed("a lookup table", [tensor.name for tensor in constant.inputs[count:]])
        raise ConversionError(f"the model has {tables}, which no format holds; look up before the model is called")


def _output_specs(
    names: Sequence[str], live: Any, constant: Any, inputs: Sequence[TensorSpec]
) -> tuple[TensorSpec, ...]:
    """Describes the outputs; what no graph tells of their shapes, an answer to zeros does.

    Raises:
        ConversionError: If an output does not hold one answer for each sample.
    """
    tf = quiet_import("tensorflow", "export")
    batch = inputs[0].shape[0]
    shapes = [one.shape.merge_with(other.shape) for one, other in zip(live.outputs, constant.outputs, strict=True)]
    if any(shape.rank is None or None in shape[1:] for shape in shapes):
        answers = live(*(tf.zeros((batch or 1, *spec.shape[1:]), spec.dtype) for spec in inputs))
        shapes = [_filled(shape, answer.shape, batch) for shape, answer in zip(shapes, answers, strict=True)]
    for name, shape in zip(names, shapes, strict=True):
        if shape.rank == 0 or shape[0] not in (None, batch):
            raise ConversionError(
                f"the model's output {name!r} has shape {tuple(shape)}; expected one answer for each sample of the "
                f"batch, that is ({batch or 'N'}, ...)"
            )
    return tuple(
        TensorSpec(name, tensor.dtype.name, (batch, *shape.as_list()[1:]))
        for name, tensor, shape in zip(names, constant.outputs, shapes, strict=True)
    )


def _filled(shape: Any, found: Any, batch: int | None) -> Any:
    """A shape with what is not known of it taken from one answer's; the batch stays."""
    if found.rank == 0:
        return found
    return ([batch] if shape.rank is None else shape[:1]) + found[1:]


def _activation(output: Any) -> str:
    operation = output.op
    while operation.type == "Identity":
        operation = operation.inputs[0].op
    return _ACTIVATIONS.get(operation.type, "other")
